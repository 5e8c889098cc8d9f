"""How workspaces on hosts are shown, and what became of copies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dgummy.render import documents
from dgummy.render.text import one_line
from dgummy.units import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from dgummy.copies import Cleaned, Kept, Listing
    from dgummy.copyrules import Workspace

_HEADERS = ("HOST", "FOLDER", "KIND", "SIZE", "UNUSED", "STATE")


def _kind(one: Workspace) -> str:
    return "isolated copy" if one.is_copy else "project"


def table(found: Listing) -> str:
    """The table of `inv workspace.list`."""
    rows = [
        (host, one_line(one.folder, 200), _kind(one), _size(one), _unused(one), _state(one))
        for host, workspaces in found.hosts.items()
        for one in workspaces
    ]
    if not rows:
        return "no workspaces"
    from tabulate import tabulate

    return tabulate(rows, _HEADERS, tablefmt="plain", disable_numparse=True)


def _size(one: Workspace) -> str:
    if one.gone:
        return "-"
    return "?" if one.size_bytes is None else format_bytes(one.size_bytes)


def _unused(one: Workspace) -> str:
    return "?" if one.unused_s is None else format_duration(one.unused_s)


def _state(one: Workspace) -> str:
    run_id, owner = one.run
    if not run_id:
        return f"{one.state.value}, its run never began" if one.abandoned else one.state.value
    joint = "by " if one.holder else ": "
    whose = f" of {one_line(owner)}" if owner else ""
    return f"{one.state.value}{' ' if one.holder else ''}{joint}run {one_line(run_id)}{whose}"


def document(found: Listing) -> dict[str, Any]:
    """`inv workspace.list --json`."""
    return {
        "workspaces": [
            {
                "host": host,
                "folder": one.folder,
                "kind": _kind(one),
                "source": one.source or None,
                "size_bytes": one.size_bytes,
                "unused_s": one.unused_s,
                "state": one.state.value,
                "run_id": one.run[0] or None,
                "owner": one.run[1] or None,
            }
            for host, workspaces in found.hosts.items()
            for one in workspaces
        ],
        "silent": documents.silent(found.silent),
    }


def cleaned(done: Cleaned) -> str:
    """What `inv workspace.clean` says at the end; what is kept, and what to do about it."""
    known = [one.size_bytes for one in done.removed if one.size_bytes is not None]
    size = f" ({'' if len(known) == len(done.removed) else 'at least '}{format_bytes(sum(known))})" if known else ""
    copies = "1 copy" if len(done.removed) == 1 else f"{len(done.removed):,} copies"
    lines = [f"{copies} {'would be removed' if done.dry else 'removed'}{size}"]
    if done.dry:
        lines += [f"  {one.host}: {one_line(one.copy.folder, 300)}" for one in done.removed]
    lines += [f"kept on {one.host}: {one_line(one.copy.folder, 300)}: {_reason(one)}" for one in done.kept]
    work = sum(one.is_work for one in done.kept)
    if work:
        lines.append(f"{format_count(work, 'copy' if work == 1 else 'copie')} with work that is on its host alone")
    return "\n".join(lines)


def _reason(one: Kept) -> str:
    run_id, owner = one.copy.run
    whose = f" (run {one_line(run_id)}{f' of {one_line(owner)}' if owner else ''})" if run_id else ""
    return one.reason + whose + (f"; {_remedy(one)}" if one.is_work else "")


def _remedy(one: Kept) -> str:
    return f"inv collect {one_line(one.copy.work_run)}"


def cleaned_document(done: Cleaned) -> dict[str, Any]:
    """`inv workspace.clean --json`."""
    return {
        "dry": done.dry,
        "removed": [
            {"host": one.host, "folder": one.copy.folder, "size_bytes": one.size_bytes, "unused_s": one.copy.unused_s}
            for one in done.removed
        ],
        "kept": [
            {
                "host": one.host,
                "folder": one.copy.folder,
                "reason": one.reason,
                "run_id": one.copy.run[0] or None,
                "owner": one.copy.run[1] or None,
                "remedy": _remedy(one) if one.is_work else None,
            }
            for one in done.kept
        ],
        "silent": documents.silent(done.silent),
    }
