"""`inv skill.*`: the agent skill, which lets an agent put work on the user's machines."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from dgummy.boundary import command

_HELP = {
    "to": "the skill's folder (default: ~/.claude/skills/distributed-gummy)",
    "json": "print one JSON document on stdout",
}


@command(help={**_HELP, "force": "also over files that were edited, which are kept as NAME.bak, or a newer skill"})
def install(c: Context, to: str | None = None, force: bool = False, json: bool = False) -> int:
    """Install the skill for agents, or bring the one that is installed up to date.

    Example: inv skill.install
    """
    from dgummy import skill
    from dgummy.render import documents
    from dgummy.render import skill as screen
    from dgummy.render.console import Console

    console = Console()
    done = skill.install(_folder(to), force=force)
    for text, style in screen.installed_lines(done):
        console.note(text, style)
    if json:
        console.result(documents.dump(screen.installed(done)))
    return 0


@command(help=_HELP)
def show(c: Context, to: str | None = None, json: bool = False) -> int:
    """Show the skill: where it is installed, whether it is older than dgummy or was edited, and its text.

    Example: inv skill.show
    """
    from dgummy import skill
    from dgummy.render import documents
    from dgummy.render import skill as screen
    from dgummy.render.console import Console
    from dgummy.render.text import clean

    console = Console()
    found = skill.state(_folder(to))
    for text, style in screen.standing(found):
        console.note(text, style)
    text = clean(skill.document(found))
    console.result(documents.dump(screen.shown(found, text)) if json else text.rstrip("\n"))
    return 0


@command(help={**_HELP, "force": "also files that were edited"})
def remove(c: Context, to: str | None = None, force: bool = False, json: bool = False) -> int:
    """Remove the skill; what else is in its folder stays.

    Example: inv skill.remove
    """
    from dgummy import skill
    from dgummy.render import documents
    from dgummy.render import skill as screen
    from dgummy.render.console import Console

    console = Console()
    done = skill.remove(_folder(to), force=force)
    for text, style in screen.removed_lines(done):
        console.note(text, style)
    if json:
        console.result(documents.dump(screen.removed(done)))
    return 0


@command(positional=["function"], help={"function": "its name: select_optimal_host, say"})
def call(c: Context, function: str) -> int:
    """Call a function of the Python API, for the skill's scripts: a JSON object of arguments on stdin, JSON on stdout.

    Example: inv skill.call select_optimal_host <<<'{"task_type": "database"}'
    """
    from dgummy import calling
    from dgummy.render import documents
    from dgummy.render.console import Console

    answer = calling.answer(function, calling.given())
    Console().result(documents.dump(answer.document))
    return answer.exit_code


def _folder(to: str | None) -> Path:
    from dgummy import layers, skill
    from dgummy.app import current_folder
    from dgummy.errors import UsageError

    home = Path.home()
    if to is None:
        return skill.default_folder(home)
    if not to.strip():
        raise UsageError("--to: the name is empty", "name a folder, or leave --to out")
    return current_folder() / layers.expand_path(to, home)
