"""`inv config.*`: what the settings are, where they come from, and how to begin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from dgummy.boundary import command
from dgummy.tasks._shared import session

if TYPE_CHECKING:
    from pathlib import Path

    from dgummy.app import App


@command(help={"origin": "say where each value comes from", "json": "print one JSON document on stdout"})
def show(c: Context, origin: bool = False, json: bool = False) -> int:
    """Show every setting with its value.

    Example: inv config.show --origin
    """
    from dgummy import layers
    from dgummy.render import documents, tables

    with session(c, json=json) as now:
        rows = layers.describe(now.app.merged)
        if json:
            now.console.result(documents.dump(documents.settings(rows)))
        else:
            now.console.result(tables.settings(rows, origin=origin))
    return 0


@command(help={"json": "print one JSON document on stdout"})
def path(c: Context, json: bool = False) -> int:
    """Show which files settings are read from, in order; later ones win.

    Example: inv config.path
    """
    from dgummy.render import documents, tables

    with session(c, json=json) as now:
        files = _files(c, now.app)
        now.console.result(documents.dump(documents.files(files)) if json else tables.files(files))
    return 0


@command(help={"json": "print one JSON document on stdout"})
def check(c: Context, json: bool = False) -> int:
    """Check the settings and name what is wrong with them.

    Example: inv config.check
    """
    from dgummy.errors import ConfigError
    from dgummy.render import documents

    with session(c, json=json) as now:
        app = now.app
        warnings = list(app.merged.warnings)
        groups, hosts = len(app.inventory.groups), len(app.inventory.hosts)
        _ = app.ssh_config
        if app.inventory.groups and app.settings.group not in app.inventory.groups:
            raise ConfigError(
                f"group: there is no group {app.settings.group}", f"groups: {', '.join(app.inventory.groups)}"
            )
        if json:
            now.console.result(
                documents.dump(
                    {"ok": True, "warnings": warnings, "groups": groups, "hosts": hosts, "source": app.inventory.source}
                )
            )
        else:
            now.console.result(f"✓ the settings are good: {_hosts_found(hosts, groups, app.inventory.source)}")
    return 0


@command(
    help={
        "write": "write the file; without it the proposal is only shown",
        "json": "print one JSON document on stdout",
    }
)
def init(c: Context, write: bool = False, json: bool = False) -> int:
    """Propose hosts from ssh's config, d's groups and Tailscale; --write makes the file.

    Example: inv config.init
    """
    from dgummy import discovery
    from dgummy.render import documents

    with session(c, json=json) as now:
        target = _user_file(now.app)
        proposal = _propose(now.app)
        text = discovery.render_config(proposal)
        if write:
            discovery.write_new(target, text)
        if json:
            now.console.result(documents.dump(documents.proposal(proposal, text, str(target), written=write)))
            return 0
        now.console.result(text.rstrip("\n"))
        if write:
            now.console.note(f"✓ wrote {target}; look through it, then: inv status", "good")
        elif target.exists():
            now.console.note(f"{target} is there already and is never overwritten; take from this what you want")
        else:
            now.console.note(f"nothing was written; inv config.init --write makes {target}")
    return 0


def _propose(app: App) -> Any:
    import platform

    from dgummy import discovery, inventory
    from dgummy.errors import ConfigError
    from dgummy.events import Notice
    from dgummy.transport.sshconfig import config_hosts

    groups: dict[str, tuple[str, ...]] = {}
    try:
        groups = inventory.d_groups(inventory.d_config_path(app.home))
    except ConfigError as error:
        app.bus(Notice(f"left out d's groups: {error.message}", "warning"))
    return discovery.propose(config_hosts(app.ssh_config), groups, discovery.tailscale_status(5.0), platform.node())


def _user_file(app: App) -> Path:
    from dgummy import layers

    named = os.environ.get(layers.CONFIG_VARIABLE)
    return layers.expand_path(named, app.home) if named else layers.user_config_path(os.environ, app.home)


def _hosts_found(hosts: int, groups: int, source: str) -> str:
    from dgummy.backends import NO_HOSTS
    from dgummy.units import format_count

    if not hosts:
        return NO_HOSTS
    where = "the settings of d" if source == "d" else "our settings"
    return f"{format_count(hosts, 'host')} in {format_count(groups, 'group')}, from {where}"


def _files(c: Context, app: App) -> list[tuple[Path, str]]:
    """The files, in the order they are read, each with what it is for."""
    from pathlib import Path

    from dgummy import inventory, layers

    own = (_user_file(app), "your settings")
    project = [(Path(path), "this project's, under `dgummy:`") for path in _invoke_file(c)]
    named = (own[0], f"your settings, as {layers.CONFIG_VARIABLE} says")
    files = [*project, named] if os.environ.get(layers.CONFIG_VARIABLE) else [own, *project]
    return [(inventory.d_config_path(app.home), "the groups of d, where the settings below have none"), *files]


def _invoke_file(c: Context) -> list[str]:
    """The project's settings file that Invoke read, or the one that it would read."""
    from pathlib import Path

    from dgummy.app import current_folder
    from dgummy.layers import project_settings_folder

    found = getattr(c.config, "_project_path", None)
    if found and Path(found).is_file():
        return [str(found)]
    root = project_settings_folder(current_folder())
    return [] if root is None else [str(root / "invoke.yaml")]
