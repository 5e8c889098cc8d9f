"""`inv docs.build` and `inv docs.record`: for whoever works on this repository."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task


@task
def build(c: Context) -> None:
    """Make the pages of docs/ that come from the code: docs/configuration.md and docs/commands.md."""
    from dgummy.tasks import ns as dgummy_ns
    from scripts.docs import pages

    for name, text in pages.build(dgummy_ns).items():
        (pages.FOLDER / name).write_text(text, encoding="utf-8")


@task
def record(c: Context) -> None:
    """Record the screen anew on a lab of its own: docs/screen.svg."""
    from scripts.docs.pages import FOLDER
    from scripts.docs.record import svg

    (FOLDER / "screen.svg").write_text(svg(), encoding="utf-8")


ns = Collection("docs", build, record)
