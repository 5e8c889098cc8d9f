"""One merged, typed, frozen settings record.

This module owns what keys there are, what they mean, and the shape of each. What values make sense together is
`dgummy.settings_check`; where they come from, and which wins, is `dgummy.layers`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NoReturn

import msgspec

from dgummy.errors import ConfigError
from dgummy.units import parse_duration_s

BUILTIN_TASK_TYPES = ("database", "api", "frontend", "testing", "security", "general")
"""The task types that are there without any configuration."""
DEFAULT_SYNC_EXCLUDE = ("node_modules", ".git", "dist", "build", ".DS_Store", "*.log")


class LoadWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much each figure counts in a host's score; not negative, not all zero. `io` is I/O wait or pressure."""

    cpu: float = 0.4
    memory: float = 0.3
    load_average: float = 0.3
    io: float = 0.0


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is said about one host under `hosts:`. Everything has a default: listing a host is not needed.

    paths: ssh names to try in order (LAN name, Tailscale name). remote_dir: where projects go on it. path: folders put
    before the login PATH. capabilities: what it has beyond what a probe finds (`[docker, gpu]`). os, arch, cores:
    stated instead of probed. slots: how many runs of one batch it takes at once (default: its cores). probe_root: a
    folder that stands in for `/` when load figures are read.
    """

    paths: tuple[str, ...] = ()
    remote_dir: str | None = None
    path: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    os: str | None = None
    arch: str | None = None
    cores: float | None = None
    slots: int | None = None
    probe_root: str = ""


class SuiteJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One label of a suite: `unit: pytest -q`, or `unit: {run: pytest -q, require: docker, timeout: 20m}`.

    run: a shell command; or task: a text for an agent. require, type: as the flags. host: only these. timeout: in
    seconds, or 20m.
    """

    SHORT_FOR: typing.ClassVar[str] = "run"
    ONE_OR_MORE: typing.ClassVar[tuple[str, ...]] = ("require", "host")

    run: str = ""
    task: str = ""
    require: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    type: str | None = None
    timeout: float | None = None


class TaskTypeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of work under `task_types:`. Keywords are matched as whole words, ignoring case."""

    keywords: tuple[str, ...] = ()
    weights: LoadWeights | None = None
    requires: tuple[str, ...] = ()


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All in seconds.

    connect_s: TCP, ssh banner and authentication together. probe_s: a whole probe. script_s: any other
    short script. silence_s: a run's connection that says nothing for so long counts as lost. reconnect_s:
    how long to try to get back to a run. kill_s: between TERM and KILL. browser_s: how long to wait, at a
    terminal, for a login page to be visited. sync_idle_s: rsync without any progress.
    """

    connect_s: float = 5.0
    probe_s: float = 10.0
    script_s: float = 30.0
    silence_s: float = 20.0
    reconnect_s: float = 120.0
    kill_s: float = 10.0
    browser_s: float = 120.0
    sync_idle_s: float = 60.0
    workspace_s: float = 3600.0


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where load and status are cached, and for how many seconds."""

    load_path: str = "/tmp/d-load-cache.json"  # noqa: S108 - the documented place; see dgummy.cache for how it is made safe
    load_ttl_s: float = 30.0
    status_path: str = "/tmp/d-status-cache.json"  # noqa: S108
    status_ttl_s: float = 60.0


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How `inv task` starts an agent.

    command: a template; `{mode}` is task or plan or execute, `{text}` the text as one quoted argument.
    tool: the program a host must have. install: the command that installs it. start_gap_s: least time
    between two starts on one host (gummy names its files by the second).
    """

    command: str = "gummy {mode} {text}"
    tool: str = "gummy"
    install: str = "brew install WillyV3/tap/gummy-agent"
    start_gap_s: float = 1.1


class DSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `d` command.

    command: the program, a name or an absolute path (default: `dw`, else `d`, on PATH). timeout_s: how long one call of
    its load or status may take.
    """

    command: str | None = None
    timeout_s: float = 60.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be configured, with its default."""

    backend: str = "auto"
    d: DSettings = DSettings()
    groups: dict[str, tuple[str, ...]] = {}
    group: str = "dev"
    hosts: dict[str, HostSettings] = {}
    ssh_config: str | None = None
    load_weights: LoadWeights = LoadWeights()
    task_types: dict[str, TaskTypeSettings] = {}
    host_preferences: dict[str, tuple[str, ...]] = {}
    overload_threshold: float = 0.85
    sync_exclude: tuple[str, ...] | None = None
    sync_extra: tuple[str, ...] = ()
    remote_dir: str | None = None
    path: tuple[str, ...] = ()
    fallback: str = "local"
    jobs: int = 16
    timeouts: Timeouts = Timeouts()
    cache: CacheSettings = CacheSettings()
    agent: AgentSettings = AgentSettings()
    suites: dict[str, dict[str, SuiteJob]] = {}
    state_dir: str = "~/.local/state/distributed-gummy"


Problem = tuple[str, str]
"""What is wrong with a value, and what to write instead."""


class Reader:
    """Turns what one layer holds into plain values of the right types, or raises ConfigError.

    `origin` names the layer and `prefix` stands before its keys in messages (`dgummy.` in invoke.yaml).
    With `text`, values are what a variable or a flag holds: numbers as text, lists with commas, maps as YAML flow text.
    """

    def __init__(self, origin: str, *, prefix: str = "", text: bool = False) -> None:
        self._origin = origin
        self._prefix = prefix
        self._text = text

    def read(self, raw: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the settings that a layer sets; None means "not set" and is left out."""
        return self._struct(raw, Settings, ())

    def fail(self, key: tuple[str, ...], what: str, remedy: str) -> NoReturn:
        """Raise the ConfigError for one key."""
        raise key_error(self._origin, self._prefix + ".".join(key), what, remedy)

    def _value(self, value: Any, kind: Any, key: tuple[str, ...]) -> Any:
        kind = _without_none(kind)
        if is_struct(kind):
            return self._struct(value, kind, key)
        container = typing.get_origin(kind)
        if container is dict:
            return self._map(value, typing.get_args(kind)[1], key)
        if container is tuple:
            return self._list(value, key)
        return self._leaf(value, kind, key)

    def _struct(self, value: Any, kind: type[msgspec.Struct], key: tuple[str, ...]) -> dict[str, Any]:
        known = field_types(kind)
        if isinstance(value, str) and hasattr(kind, "SHORT_FOR"):
            value = {kind.SHORT_FOR: value}
        result: dict[str, Any] = {}
        for name, item in self._items(value, key, example=f"{next(iter(known))}: …"):
            if name not in known:
                self.fail((*key, name), "no such key", _right_key(name, tuple(known), key))
            if isinstance(item, str) and name in getattr(kind, "ONE_OR_MORE", ()):
                item = [item]
            if item is not None:
                result[name] = self._value(item, known[name], (*key, name))
        return result

    def _map(self, value: Any, kind: Any, key: tuple[str, ...]) -> dict[str, Any]:
        """Read a map whose keys the user names.

        A name with nothing after it is an empty entry, and replaces one.
        """
        result: dict[str, Any] = {}
        for name, item in self._items(value, key, example="NAME: …"):
            empty: Any = {} if is_struct(kind) or typing.get_origin(kind) is dict else []
            result[name] = empty if item is None else self._value(item, kind, (*key, name))
        return result

    def _items(self, value: Any, key: tuple[str, ...], example: str) -> list[tuple[str, Any]]:
        if self._text and isinstance(value, str):
            value = self._flow_text(value, key) if value.strip() else {}
        if not isinstance(value, Mapping):
            self.fail(key, f"expected a map, got {shown(value)}", f"write lines of `{example}` under it")
        for name in value:
            if not isinstance(name, str):
                self.fail(
                    (*key, str(name)[:40]),
                    f"this key reads as {shown(name)}, not as text",
                    "put it in quotes",
                )
            if not name.isprintable():
                self.fail((*key, ascii(name)[1:-1][:60]), "a key holds control characters", "delete them")
        return list(value.items())

    def _flow_text(self, text: str, key: tuple[str, ...]) -> Any:
        from dgummy.yamltext import load_value

        return load_value(text, f"{self._origin}: {self._prefix}{'.'.join(key)}")

    def _list(self, value: Any, key: tuple[str, ...]) -> list[str]:
        if self._text and isinstance(value, str):
            if value.lstrip().startswith("["):
                value = self._flow_text(value, key)
            else:
                value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            self.fail(key, f"expected a list, got {shown(value)}", f"write it as [{list_hint(value)}]")
        return [self._item(item, key, number) for number, item in enumerate(value, 1)]

    def _item(self, item: Any, key: tuple[str, ...], number: int) -> str:
        problem = text_problem(item)
        if problem is None and not item.strip():
            problem = ("is empty", "delete it")
        if problem is not None:
            self.fail(key, f"item {number} {problem[0]}", problem[1])
        return str(item)

    def _leaf(self, value: Any, kind: Any, key: tuple[str, ...]) -> Any:
        if kind is str:
            problem = text_problem(value)
            if problem is not None:
                self.fail(key, *problem)
            return value
        return self._whole(value, key) if kind is int else self._number(value, key)

    def _whole(self, value: Any, key: tuple[str, ...]) -> int:
        if self._text and isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                pass
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"expected a whole number, got {shown(value)}", "write it as digits, without quotes")
        return value

    def _number(self, value: Any, key: tuple[str, ...]) -> float:
        is_duration = key[-1].endswith("_s") or key[-1] == "timeout"
        if isinstance(value, str) and (self._text or is_duration):
            number = _number_in(value, is_duration=is_duration)
            value = value if number is None else number
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            if is_duration:
                self.fail(key, f"expected seconds, got {shown(value)}", "write it as 5, 0.5, 5s or 2m")
            self.fail(key, f"expected a number, got {shown(value)}", "write it as 0.5, without quotes")
        try:
            return float(value)
        except OverflowError:
            self.fail(key, "the number is too large", "write a smaller one")


def key_error(origin: str, key: str, what: str, remedy: str) -> ConfigError:
    """Make the ConfigError for one key of one layer: `ORIGIN: KEY: WHAT`."""
    return ConfigError(f"{origin}: {key}: {what}" if key else f"{origin}: {what}", remedy)


@cache
def field_types(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """Return the fields of a settings struct and their types."""
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def is_struct(kind: Any) -> bool:
    """Say whether a type is a settings struct. In Python 3.10 `tuple[str, ...]` counts as a type."""
    return typing.get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def shown(value: object) -> str:
    """Write a value as a message shows it: short, without control characters, in YAML's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str) and not value:
        return "empty text"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else _plain(value)
    return f"{text[:60]}…" if len(text) > 61 else text


def _plain(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    # Python refuses to print an int of more than 4300 digits.
    text = "a huge number" if isinstance(value, int) and value.bit_length() > 200 else str(value)
    return text if text.isprintable() else ascii(text)


def list_hint(value: object) -> str:
    """Give an example of a list that holds this value."""
    plain = isinstance(value, str) and 0 < len(value) <= 60 and value.isprintable()
    return str(value) if plain else "a, b"


def text_problem(value: object) -> Problem | None:
    """Say what is wrong with a value that should be text, or None.

    Of control characters, tab and newline pass.
    """
    if not isinstance(value, str):
        quoted = f'"{shown(value)}"' if isinstance(value, (bool, int, float)) else "text"
        return f"expected text, got {shown(value)}", f"write {quoted}, with the quotes if it is meant as text"
    if not value.replace("\t", " ").replace("\n", " ").isprintable() and _has_control(value):
        return f"holds control characters: {shown(value)}", "delete them, or save the file as UTF-8"
    return None


def _has_control(value: str) -> bool:
    return any(
        (char < " " and char not in "\t\n") or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"
        for char in value
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was probably meant, or None. Dashes, case and small typos are forgiven."""
    import difflib

    by_plain = {_plain_name(candidate): candidate for candidate in known}
    if _plain_name(name) in by_plain:
        return by_plain[_plain_name(name)]
    found = difflib.get_close_matches(_plain_name(name), by_plain, n=1, cutoff=0.6)
    return by_plain[found[0]] if found else None


def suggestion(name: str, known: Iterable[str], *, noun: str) -> str:
    """Write a remedy: `did you mean X? …`, or what names there are."""
    names = list(known)
    close = nearest(name, names)
    listed = ", ".join(names[:24]) + (", …" if len(names) > 24 else "")
    there_are = f"{noun}: {listed}"
    return f"did you mean {close}? {there_are}" if close else there_are


def _plain_name(name: str) -> str:
    return name.lower().replace("-", "_")


def _right_key(name: str, known: tuple[str, ...], key: tuple[str, ...]) -> str:
    dotted = ".".join((*key, ""))
    noun = f"the keys of {'.'.join(key)} are" if key else "the keys are"
    if not key and name == "dgummy":
        return "this file holds the keys themselves: leave out the line `dgummy:` and the indent under it"
    close = nearest(name, known)
    elsewhere = _where_else(name)
    if elsewhere and (close is None or _plain_name(close) != _plain_name(name)):
        if "." not in elsewhere:
            return f"did you mean {elsewhere}? It is no part of {'.'.join(key)}: take away its indent"
        return f"did you mean {elsewhere}? Indent it under {elsewhere.rpartition('.')[0]}"
    listed = ", ".join(known)
    return f"did you mean {dotted}{close}? {noun} {listed}" if close else f"{noun} {listed}"


def _where_else(name: str) -> str | None:
    """Find the dotted key that ends with this name somewhere in the settings: for what lost its indent."""
    plain = _plain_name(name)
    if plain in BUILTIN_TASK_TYPES:
        return f"host_preferences.{plain}"
    if plain in field_types(Settings):
        return plain
    for parent, kind in field_types(Settings).items():
        kind = _without_none(kind)
        if is_struct(kind) and plain in field_types(kind):
            return f"{parent}.{plain}"
    return None


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _number_in(text: str, *, is_duration: bool) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_duration_s(text) if is_duration else None
    except ValueError:
        return None
