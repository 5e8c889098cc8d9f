#!/bin/sh
# Every query ends with a semicolon, and the report can be made.
cd "$(dirname "$0")/.." || exit 1
selects=$(grep -c '^SELECT' queries.sql)
ends=$(grep -v '^--' queries.sql | grep -c ';$')
if [ "$selects" -ne "$ends" ]; then
    echo "FAIL: $selects queries, $ends semicolons"
    exit 1
fi
sh src/report.sh || exit 1
echo "ok: $selects queries are whole"
