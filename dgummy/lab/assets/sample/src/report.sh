#!/bin/sh
# How many queries and how many index hints there are.
queries=$(grep -c '^SELECT' queries.sql)
indexes=$(grep -c 'CREATE INDEX' queries.sql)
printf '%s queries, %s indexes\n' "$queries" "$indexes"
