"""How the move of a specialist is shown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dgummy.render.text import one_line
from dgummy.units import format_bytes, format_count

if TYPE_CHECKING:
    from dgummy.moving import Moved


def text(moved: Moved) -> str:
    """What `inv specialists.move` says at the end: what was done, what is proven of it, and what is not."""
    name, target = one_line(moved.name), moved.target
    if moved.already:
        lines = [f"✓ {name} lives on {target} already"]
    elif moved.files:
        size = f"{format_count(moved.files, 'file')}, {format_bytes(moved.bytes)}"
        lines = [f"✓ {name} moved from {moved.source} to {target} ({size})"]
    else:
        lines = [f"✓ {name} moved from {moved.source} to {target} (all of it was there already)"]
    lines += [f"  proven: {one_line(what)}" for what in moved.proof.proven]
    lines += [f"  not proven: {one_line(what)}: {one_line(why)}" for what, why in moved.proof.unproven]
    if moved.aside:
        lines.append(f"  the old one is kept on {moved.source}: {one_line(moved.aside)}")
    return "\n".join(lines)


def document(moved: Moved) -> dict[str, Any]:
    """`inv specialists.move --json`."""
    return {
        "name": moved.name,
        "scope": moved.scope,
        "project": moved.project or None,
        "state": "already there" if moved.already else "moved",
        "from": moved.source,
        "to": moved.target,
        "session_id": moved.session or None,
        "files": moved.files,
        "bytes": moved.bytes,
        "set_aside": moved.aside or None,
        "proven": list(moved.proof.proven),
        "unproven": [{"what": what, "why": why} for what, why in moved.proof.unproven],
    }
