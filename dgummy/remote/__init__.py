"""The scripts that run on hosts, and how one is put together.

Each `*.sh` beside this file defines shell functions and runs nothing by itself. A composed script is the shared
`lib.sh`, the files asked for, and one call, all inside one brace group: a shell that got only part of it (a connection
cut half-way) finds no closing brace and runs nothing, and one whose beginning was read by something in a login profile
misses the opening line and gives up. It says `begin` first and `end STATUS` last, so that whoever
carries it can tell "nothing ran" from "cut off", and needs no exit status from the carrier.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dgummy.transport.base import Script

_NO_CODE = re.compile(r"^[ \t]*(?:#.*)?\n", re.MULTILINE)


@cache
def source(name: str) -> str:
    """The text of `remote/NAME.sh`."""
    return Path(__file__).with_name(f"{name}.sh").read_text(encoding="utf-8")


@cache
def code(*names: str) -> bytes:
    """The functions in `remote/NAME.sh`, without blank lines and comments, which a host would only have to read.

    No such line is part of a string in there; the tests see to that.
    """
    return "".join(_NO_CODE.sub("", source(name)) for name in names).encode()


def quote(word: str | bytes) -> bytes:
    """One shell word in single quotes, byte for byte. ValueError for a NUL, which no argument can hold."""
    raw = word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word
    if b"\0" in raw:
        raise ValueError("a NUL byte cannot be part of a command")
    return b"'" + raw.replace(b"'", b"'\\''") + b"'"


def compose(
    files: Sequence[str],
    call: str,
    args: Sequence[str | bytes] = (),
    *,
    variables: dict[str, str | bytes] | None = None,
    marker: str | None = None,
) -> Script:
    """A script that defines what is in `files`, sets `variables`, and calls `call` with `args`."""
    mark = marker or f"dg-{secrets.token_hex(12)}"
    settings = {"MARK": mark, **(variables or {})}
    lines = [b"DG_OPEN=" + mark.encode(), b"{"]
    lines += [name.encode() + b"=" + quote(value) for name, value in settings.items()]
    lines.append(b'[ "$DG_OPEN" = ' + mark.encode() + b" ] || exit 97")
    lines.append(b"printf '%s begin\\n' \"$MARK\"")
    lines.append(code("lib", *files) + b" ".join([call.encode(), *(quote(arg) for arg in args)]) + b" </dev/null")
    lines.append(b'STATUS=$?\nprintf \'%s end %s\\n\' "$MARK" "$STATUS"\nexit "$STATUS"\n}\n')
    return Script(b"\n".join(lines), mark)
