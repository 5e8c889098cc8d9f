"""Where settings come from: files, Invoke's levels, the environment and flags, stacked into one record.

Cheap to import, for `inv --list`: whatever needs YAML or msgspec is imported when it is used.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgummy.errors import ConfigError

if TYPE_CHECKING:
    import invoke.config

    from dgummy.memo import Memo
    from dgummy.settings import Settings

ENV_PREFIX = "INVOKE_DGUMMY_"
CONFIG_VARIABLE = "DGUMMY_CONFIG"
DEFAULT_ORIGIN = "default"

_KEYS: dict[str, Any] = {
    "backend": None,
    "d": {"command": None, "timeout_s": None},
    "groups": None,
    "group": None,
    "hosts": None,
    "ssh_config": None,
    "load_weights": {"cpu": None, "memory": None, "load_average": None, "io": None},
    "task_types": None,
    "host_preferences": None,
    "overload_threshold": None,
    "sync_exclude": None,
    "sync_extra": None,
    "remote_dir": None,
    "path": None,
    "fallback": None,
    "jobs": None,
    "timeouts": {
        "connect_s": None,
        "probe_s": None,
        "script_s": None,
        "silence_s": None,
        "reconnect_s": None,
        "kill_s": None,
        "browser_s": None,
        "sync_idle_s": None,
        "workspace_s": None,
    },
    "cache": {"load_path": None, "load_ttl_s": None, "status_path": None, "status_ttl_s": None},
    "suites": None,
    "agent": {"command": None, "tool": None, "install": None, "start_gap_s": None, "home_margin": None},
    "pricing": {"date": None, "models": None},
    "budget": {"per_task_usd": None, "per_day_usd": None, "per_project_usd": None, "enforce": None},
    "watch": {"roots": None, "interval_s": None, "max_specialists": None},
    "collect": None,
    "workspace": {"expire_s": None},
    "notices": None,
    "state_dir": None,
}
"""Every key that can be set.

A literal, so that registering them costs no import; a test holds it to `Settings`.
"""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place sets. `origin` names it to people: a file, a variable, a flag.

    `prefix` stands before its keys in messages. `text`: values are text, as in the environment. None is
    "not set".
    """

    origin: str
    raw: Mapping[str, Any]
    prefix: str = ""
    text: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """All layers in one. `origins` tells, for each dotted key that was set, the layer that set it last."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def known_keys() -> dict[str, Any]:
    """Return every key that can be set, nested as in `Settings`, with None as its value. A fresh copy."""
    return copy.deepcopy(_KEYS)


def set_env_aside(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Take the `INVOKE_DGUMMY_*` variables out of the environment and return them, to be put back later.

    To be called before Invoke reads the environment, so while tasks.py is loaded: for a key that invoke.yaml sets,
    Invoke casts the text to the type found there, and ends in a traceback for a list (UncastableEnvVar) or a word
    in a number's place. Put them back before `load`.
    """
    return {name: environ.pop(name) for name in list(environ) if name.startswith(ENV_PREFIX)}


def project_settings_folder(cwd: Path) -> Path | None:
    """The nearest folder, from here upwards, with an Invoke settings file or a tasks.py."""
    names = ("invoke.yaml", "invoke.yml", "invoke.json", "invoke.py", "tasks.py")
    return next((folder for folder in (cwd, *cwd.parents) if _holds(folder, names)), None)


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def user_config_path(environ: Mapping[str, str], home: Path) -> Path:
    """Return the user's own settings file, which need not exist.

    A relative XDG_CONFIG_HOME is ignored, as its spec says.
    """
    base = environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if base.startswith("/") else home / ".config"
    return root / "distributed-gummy" / "config.yaml"


def expand_path(text: str, home: Path) -> Path:
    """Turn text from the settings into a path, with `~` and `~name` written out.

    ConfigError for a user that does not exist.
    """
    if text == "~" or text.startswith("~/"):
        return home / text[2:]
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{text}: no such user", "write the path out, or start it with ~/") from None


def file_layer(path: Path, home: Path, *, must_exist: bool = False, via: str = "") -> Layer | None:
    """Read the layer of a settings file; None if there is no such file.

    ConfigError as in `dgummy.yamltext.load_file`.

    `via` names what pointed at the file, for the message about a file that must be there and is not.
    """
    from dgummy.yamltext import load_file

    label = _short(path, home)
    raw = load_file(path, label)
    if raw is None:
        if must_exist:
            raise ConfigError(f"{via}: {label}: no such file", f"correct {via}, or unset it: unset {via}")
        return None
    return Layer(label, raw)


def env_layers(environ: Mapping[str, str]) -> list[Layer]:
    """Make one layer for each `INVOKE_DGUMMY_*` variable.

    ConfigError, with the nearest name, for one that sets no key.
    """
    known = {ENV_PREFIX + "_".join(key).upper(): key for key in _leaves(_KEYS)}
    layers = []
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        if name not in known:
            raise _unknown_variable(name, list(known))
        layers.append(Layer(name, _nested(known[name], environ[name]), text=True))
    return layers


def flag_layers(flags: Mapping[str, Any]) -> list[Layer]:
    """Make one layer for each flag: dotted settings key to value, None meaning "not given".

    `{"timeouts.connect_s": "2s"}`.
    """
    return [
        Layer("--" + key.replace("_", "-"), _nested(tuple(key.split(".")), value), text=True)
        for key, value in flags.items()
        if value is not None
    ]


def invoke_layers(config: invoke.config.Config) -> list[Layer]:
    """Read what Invoke's own levels hold under `dgummy:`, in Invoke's order.

    Its environment level is left out: Invoke casts by the type of whatever a file holds, so `env_layers`
    reads the environment itself.
    """
    lower, upper = _invoke_levels(config)
    return [*lower, *upper]


def load(
    config: invoke.config.Config | None,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    home: Path,
    memo: Memo | None = None,
) -> Merged:
    """Read every layer and merge them. With `memo`, only if any of them changed since that was done last.

    In order, later wins: the user's file, Invoke's levels up to the project's invoke.yaml, the file that
    DGUMMY_CONFIG names (it replaces the user's file), `INVOKE_DGUMMY_*`, a file given with `inv -f`, flags.
    """
    lower, upper = ([], []) if config is None else _invoke_levels(config)
    named = environ.get(CONFIG_VARIABLE, "")
    path = expand_path(named, home) if named else user_config_path(environ, home)

    def read() -> tuple[Settings, dict[str, str], tuple[str, ...]]:
        own = file_layer(path, home, must_exist=bool(named), via=CONFIG_VARIABLE if named else "")
        files = [*lower, own] if named else [own, *lower]
        layers = [*files, *env_layers(environ), *upper, *flag_layers(flags)]
        merged = merge([layer for layer in layers if layer is not None])
        return merged.settings, dict(merged.origins), merged.warnings

    if memo is None:
        return Merged(*read())
    from dgummy.settings import Settings

    levels = [[(layer.origin, layer.raw, layer.prefix) for layer in level] for level in (lower, upper)]
    variables = {name: environ[name] for name in sorted(environ) if name.startswith(ENV_PREFIX)}
    values = [str(home), bool(named), levels, variables, dict(flags)]
    kind = tuple[Settings, dict[str, str], tuple[str, ...]]
    return Merged(*memo.get("settings", read, kind=kind, files=[path], values=values))


def merge(layers: Sequence[Layer]) -> Merged:
    """Check each layer by itself, stack them (maps merge key by key, lists replace), check the whole.

    ConfigError names the layer, the key, what is wrong and what to write.
    """
    import msgspec

    from dgummy.settings import Settings, default_prices
    from dgummy.settings_check import Origins, check, normalise
    from dgummy.settings_reader import Reader

    merged: dict[str, Any] = {"pricing": {"models": msgspec.to_builtins(default_prices())}}
    origins: dict[str, Layer] = {}
    for layer in layers:
        reader = Reader(layer.origin, prefix=layer.prefix, text=layer.text)
        values = normalise(reader.read(layer.raw), reader)
        _stack(merged, values, layer, origins, ())
    settings = msgspec.convert(merged, Settings)
    lookup = Origins({key: (layer.origin, layer.prefix) for key, layer in origins.items()})
    warnings = check(settings, lookup)
    return Merged(settings, {key: layer.origin for key, layer in origins.items()}, warnings)


def describe(merged: Merged) -> list[tuple[str, Any, str]]:
    """List every key with its value in force and where that came from, for `inv config.show --origin`.

    Entries of maps have rows of their own (`groups.dev`); an empty map has one. `sync_exclude` shows the
    built-in list where none was set.
    """
    import msgspec

    from dgummy.settings import DEFAULT_SYNC_EXCLUDE

    values = msgspec.to_builtins(merged.settings)
    if values["sync_exclude"] is None:
        values["sync_exclude"] = list(DEFAULT_SYNC_EXCLUDE)
    rows: list[tuple[str, Any, str]] = []
    waiting: list[tuple[str, Any]] = list(reversed(values.items()))
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting.extend((f"{key}.{name}", item) for name, item in reversed(value.items()))
        else:
            shown = list(value) if isinstance(value, tuple) else value
            rows.append((key, shown, merged.origins.get(key, DEFAULT_ORIGIN)))
    return rows


def _stack(
    below: dict[str, Any],
    above: Mapping[str, Any],
    layer: Layer,
    origins: dict[str, Layer],
    key: tuple[str, ...],
) -> None:
    for name, value in above.items():
        path = (*key, name)
        if not isinstance(value, dict):
            below[name] = value
            origins[".".join(path)] = layer
            continue
        under = below.setdefault(name, {})
        # A host or a type that is listed with nothing under it was still set by someone.
        origins.setdefault(".".join(path), layer)
        if value:
            origins[".".join(path)] = layer
        _stack(under, value, layer, origins, path)


def _invoke_levels(config: Any) -> tuple[list[Layer], list[Layer]]:
    """Read Invoke's levels below and above the environment.

    The only place that knows Invoke's private names.
    """
    levels = {name: getattr(config, f"_{name}", None) for name in _INVOKE_LEVELS}
    if any(level is not None and not isinstance(level, Mapping) for level in levels.values()) or all(
        level is None for level in levels.values()
    ):
        section = _section(config, "invoke", "")
        return ([section] if section else []), []
    layers = {
        name: _section(levels[name], label, getattr(config, f"_{name}_path", None))
        for name, label in _INVOKE_LEVELS.items()
    }
    lower = [layers[name] for name in ("collection", "system", "user", "project")]
    upper = [layers[name] for name in ("runtime", "overrides", "modifications")]
    return [layer for layer in lower if layer], [layer for layer in upper if layer]


_INVOKE_LEVELS = {
    "collection": "tasks.py (configure)",
    "system": "system",
    "user": "user",
    "project": "project",
    "runtime": "inv -f",
    "overrides": "inv flags",
    "modifications": "tasks.py",
}


def _section(level: Any, label: str, path: object) -> Layer | None:
    section = level.get("dgummy") if level is not None else None
    if path:
        label = f"{Path(str(path)).name} ({path})"
    if section is None:
        return None
    if not hasattr(section, "items"):
        raise ConfigError(f"{label}: dgummy: expected a map", "write the settings indented under `dgummy:`")
    return Layer(label, _without_proxies(section), prefix="dgummy.")


def _without_proxies(value: Any) -> Any:
    """Turn Invoke's DataProxy into plain dicts."""
    if hasattr(value, "items") and callable(value.items):
        return {name: _without_proxies(item) for name, item in value.items()}
    return value


def _leaves(keys: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, below in keys.items():
        path = (*above, name)
        found.extend(_leaves(below, path) if below else [path])
    return found


def _nested(key: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(key):
        value = {name: value}
    result: dict[str, Any] = value
    return result


def _unknown_variable(name: str, known: Sequence[str]) -> ConfigError:
    from dgummy.wording import nearest

    clean = name if name.isprintable() else ascii(name)[1:-1]
    for parent in ("groups", "hosts", "task_types", "host_preferences"):
        variable = ENV_PREFIX + parent.upper()
        if name.startswith(variable + "_"):
            return ConfigError(
                f"{clean}: sets no key",
                f"did you mean {variable}? It takes a whole map: {variable}='{{name: …}}'",
            )
    close = nearest(name, known)
    if close:
        return ConfigError(f"{clean}: sets no key", f"did you mean {close}? Or unset it: unset {clean}")
    return ConfigError(f"{clean}: sets no key", f"unset {clean}; `inv config.show` lists the keys there are")


def _short(path: Path, home: Path) -> str:
    try:
        text = f"~/{path.relative_to(home)}" if path != home else "~"
    except ValueError:
        text = str(path)
    return text if text.isprintable() else ascii(text)[1:-1]
