CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    placed_at TEXT NOT NULL,
    state TEXT NOT NULL,
    total NUMERIC NOT NULL
);
