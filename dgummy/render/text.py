"""Make text that others wrote safe to show. Pure."""

from __future__ import annotations

import re

# CSI, OSC (ended by BEL or ST), strings, charsets, other escapes; then every control character but tab and newline.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# Halves of characters that JSON may spell ("\ud800") and no encoding takes; the others stand for undecodable bytes.
_HALVES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")


def clean(text: str) -> str:
    """Strip terminal escapes, control and direction characters; bytes that were no UTF-8 become U+FFFD."""
    readable = _HALVES.sub("\ufffd", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _CONTROLS.sub("", _ESCAPES.sub("", readable))


def without_state(reason: str, state: str) -> str:
    """A reason that does not begin by repeating the state that is shown beside it."""
    for word in (state, state.replace("_", " ")):
        for separator in (": ", "; "):
            reason = reason.removeprefix(word + separator)
    return reason


def one_line(text: str, width: int = 200) -> str:
    """Cleaned, on one line, cut to `width` characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
