"""A crontab program that keeps its table in a file, with the words and exit codes of Debian's."""

from __future__ import annotations

from pathlib import Path

_SCRIPT = """#!/bin/sh
table='{table}'
case $1 in
-l) [ -f "$table" ] || { echo "no crontab for $(id -un)" >&2; exit 1; }
    cat "$table" ;;
-r) [ -f "$table" ] || { echo "no crontab for $(id -un)" >&2; exit 1; }
    rm "$table" ;;
-)  cat >"$table.new"
    if [ -s "$table.new" ] && [ -n "$(tail -c 1 "$table.new")" ]; then
        echo "new crontab file is missing newline before EOF, can't install." >&2
        exit 1
    fi
    mv "$table.new" "$table" ;;
*)  exit 2 ;;
esac
"""


SLOW = _SCRIPT.replace("case $1 in", "sleep 0.1\ncase $1 in")
"""The same, taking its time."""


def make(folder: Path, script: str = "") -> Path:
    """Put the program into a folder (for PATH); its table is the file `table` there, which is given back."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "table"
    program = folder / "crontab"
    program.write_text((script or _SCRIPT).replace("{table}", str(table)))
    program.chmod(0o755)
    return table
