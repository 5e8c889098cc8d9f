-- Open orders of a customer, newest first.
SELECT id, placed_at, total
FROM orders
WHERE customer_id = :customer_id AND state = 'open'
ORDER BY placed_at DESC;

-- Turnover by month.
SELECT strftime('%Y-%m', placed_at) AS month, sum(total) AS turnover
FROM orders
GROUP BY month;
