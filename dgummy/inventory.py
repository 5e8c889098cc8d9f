"""Which hosts were offered for work, in which groups, and which of them a command is about.

A host takes work only if it is in a group: of our own settings, or else of the `d` command's settings file
(`~/.config/distributed/config.yaml`, a map `groups: {dev: [node-1, …]}`). `~/.ssh/config` offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dgummy.errors import ConfigError, UnknownHostError, UsageError
from dgummy.hostset import check_name, expand, suggest
from dgummy.model import Host
from dgummy.requirement import parse_requirement
from dgummy.settings import HostSettings, Settings
from dgummy.wording import shown, suggestion

if TYPE_CHECKING:
    from dgummy.memo import Memo

D_CONFIG_LABEL = "~/.config/distributed/config.yaml"
_SHOW_ALL_UP_TO = 8


class Inventory(msgspec.Struct, frozen=True):
    """The groups and the hosts in them. `source` is "config", "d" (its settings file) or "none"."""

    groups: Mapping[str, tuple[str, ...]] = {}
    hosts: Mapping[str, Host] = {}
    source: str = "none"
    default_group: str = "dev"


def d_config_path(home: Path) -> Path:
    """Return where the `d` command keeps its groups. It knows no XDG_CONFIG_HOME."""
    return home / ".config" / "distributed" / "config.yaml"


def build(settings: Settings, d_config: str | Path | None = None, memo: Memo | None = None) -> Inventory:
    """Build the inventory: our groups, else those of `d`, else none.

    `d_config` is the path of `d`'s settings file, which need not exist, or its text. It is not looked at if
    we have groups of our own. ConfigError if it is malformed, or if a host preference names a host that
    none of its groups has. With `memo`, the file is read only if it changed since that was done last.
    """
    groups: Mapping[str, tuple[str, ...]] = settings.groups
    source = "config"
    if not groups and d_config is not None:
        groups, source = _checked_d_groups(settings, d_config, memo), "d"
    if not any(groups.values()):
        source = source if groups else "none"
    names = dict.fromkeys(name for members in groups.values() for name in members)
    hosts = {name: _host(name, settings.hosts.get(name), settings) for name in names}
    return Inventory(dict(groups), hosts, source, settings.group)


def d_groups(d_config: str | Path) -> dict[str, tuple[str, ...]]:
    """Read the groups from `d`'s settings file, or from its text.

    Whatever else is in it is `d`'s own affair.
    """
    raw = _load_d(d_config)
    groups = (raw or {}).get("groups")
    if groups is None:
        return {}
    if not isinstance(groups, Mapping):
        raise _d_error("groups", f"expected a map, got {shown(groups)}", "write it as groups: {dev: [node-1]}")
    return {_d_name(name): _d_members(_d_name(name), members) for name, members in groups.items()}


def select(
    inventory: Inventory,
    hosts: Iterable[str] = (),
    group: str | None = None,
    exclude: Iterable[str] = (),
    ssh_hosts: Callable[[], Sequence[str]] | None = None,
) -> tuple[Host, ...]:
    """Return the hosts a command is about, each once, in the order they were named or stand in their group.

    `hosts` are `--host` names or ranges, which must be in some group (in `group`, if that is given too);
    without any, the hosts of `group` or else of the default group. A name to exclude must be known as well:
    a typo there would send work where it is not wanted. `ssh_hosts` lists what `~/.ssh/config` knows; it is
    called for a better message only. Empty if no host was ever offered. UnknownHostError or ConfigError,
    with the nearest name, else.
    """
    wanted = _expand_all(hosts)
    pool = _pool(inventory, group, named=bool(wanted))
    dropped = set(_expand_all(exclude))
    for name in wanted:
        if name not in pool:
            raise _unknown(name, pool, inventory, group, ssh_hosts)
    for name in sorted(dropped):
        if name not in inventory.hosts:
            raise _unknown(name, tuple(inventory.hosts), inventory, None, ssh_hosts)
    chosen = dict.fromkeys(wanted or pool)
    return tuple(inventory.hosts[name] for name in chosen if name not in dropped)


def _host(name: str, said: HostSettings | None, settings: Settings) -> Host:
    said = said or HostSettings()
    terms = [parse_requirement(capability) for capability in said.capabilities]
    declared = {term.name: term.value or "true" for term in terms}
    cores = None if said.cores is None else f"{said.cores:g}"
    stated = {"os": said.os, "arch": said.arch, "cores": cores}
    declared.update({key: value for key, value in stated.items() if value is not None})
    return Host(
        name=name,
        paths=said.paths,
        declared=declared,
        remote_dir=said.remote_dir if said.remote_dir is not None else settings.remote_dir,
        path_dirs=tuple(dict.fromkeys((*said.path, *settings.path))),
        probe_root=said.probe_root,
        slots=said.slots,
    )


def _checked_d_groups(settings: Settings, d_config: str | Path, memo: Memo | None) -> dict[str, tuple[str, ...]]:
    def read() -> dict[str, tuple[str, ...]]:
        groups = d_groups(d_config)
        if any(groups.values()):
            from dgummy.settings_check import Origins, check_preferences

            check_preferences(settings, groups, Origins({}, elsewhere=D_CONFIG_LABEL))
        return groups

    if memo is None or isinstance(d_config, str):
        return read()
    kind = dict[str, tuple[str, ...]]
    return memo.get("d-groups", read, kind=kind, files=[d_config], values=settings.host_preferences)


def _load_d(d_config: str | Path) -> Mapping[Any, Any] | None:
    from dgummy.yamltext import load_file, load_mapping

    if isinstance(d_config, str):
        return load_mapping(d_config, D_CONFIG_LABEL)
    return load_file(d_config, D_CONFIG_LABEL)


def _d_error(key: str, what: str, remedy: str) -> ConfigError:
    return ConfigError(f"{D_CONFIG_LABEL}: {key}: {what}", remedy)


def _d_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise _d_error("groups", f"{shown(name)} cannot be a group name", "put the name in quotes")
    return name


def _d_members(group: str, members: object) -> tuple[str, ...]:
    key = f"groups.{group}"
    if members is None:
        return ()
    if not isinstance(members, list):
        raise _d_error(key, f"expected a list, got {shown(members)}", "write it as [node-1, node-2]")
    for name in members:
        if not isinstance(name, str):
            raise _d_error(key, f"expected a host name, got {shown(name)}", "put the name in quotes")
        try:
            check_name(name)
        except ValueError as error:
            raise _d_error(key, str(error), "write the name that ssh knows the host by") from None
    return tuple(dict.fromkeys(members))


def _expand_all(texts: Iterable[str]) -> list[str]:
    try:
        return [name for text in texts for name in expand(text)]
    except ValueError as error:
        raise UsageError(str(error), "write a host name, or a range: node-[1-4]") from None


def _pool(inventory: Inventory, group: str | None, *, named: bool) -> tuple[str, ...]:
    """Return the hosts to choose from: of the group, or of all groups if hosts are named and no group is."""
    if group is None and (named or not inventory.groups):
        return tuple(inventory.hosts)
    name = inventory.default_group if group is None else group
    if name in inventory.groups:
        return inventory.groups[name]
    if not inventory.groups:
        raise ConfigError(
            f"group: no group is called {shown(name)}", "there are no groups yet: `inv config.init --write` offers some"
        )
    remedy = suggestion(name, inventory.groups, noun="groups are")
    raise ConfigError(f"group: no group is called {shown(name)}", remedy)


def _unknown(
    name: str,
    pool: Sequence[str],
    inventory: Inventory,
    group: str | None,
    ssh_hosts: Callable[[], Sequence[str]] | None,
) -> UnknownHostError:
    where = f"group {group}" if group else "any group"
    message = f"{shown(name)[1:-1]}: no such host in {where}"
    if group and name in inventory.hosts:
        return UnknownHostError(message, f"it is in another group: leave out --group {group}")
    if ssh_hosts is not None and name in ssh_hosts():
        target = group or inventory.default_group
        return UnknownHostError(
            f"{message}, though ssh knows it",
            f"to offer it for work, add it to a group in your config.yaml: groups: {{{target}: [{name}]}}",
        )
    if not pool:
        return UnknownHostError(message, "no host was offered yet: `inv config.init --write` offers some")
    close = suggest(name, pool)
    if close:
        return UnknownHostError(message, f"did you mean {close}?")
    listed = ", ".join(pool[:_SHOW_ALL_UP_TO])
    more = f" and {len(pool) - _SHOW_ALL_UP_TO} more: `inv status` lists them"
    return UnknownHostError(message, f"hosts are {listed}" + (more if len(pool) > _SHOW_ALL_UP_TO else ""))
