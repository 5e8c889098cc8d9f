"""What values make sense, each by itself and together. Pure; errors name the layer that set the value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from dgummy.hostset import check_name, expand, suggest
from dgummy.model import LOCAL_HOST
from dgummy.requirement import parse_requirement
from dgummy.settings import BUILTIN_TASK_TYPES, LoadWeights, Settings
from dgummy.settings_reader import Reader, field_types
from dgummy.wording import key_error, nearest, shown, suggestion

BACKENDS = ("auto", "d", "ssh", "local")
FALLBACKS = ("local", "none")
ENFORCE = ("refuse", "stop")
COLLECT = ("auto", "ask", "off")
NOTICES = ("auto", "always")
MAX_JOBS = 512
MAX_GROUP_HOSTS = 10_000
MAX_SPECIALISTS = 100_000
MAX_ROOTS = 50
MAX_USD = 1e9

_NAME = re.compile(r"\w[\w.+-]*")
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w-]*)\}")
_PLACEHOLDERS = ("mode", "text")


class Origins:
    """Which layer set which key: dotted key to (origin, prefix); all others come from `elsewhere`."""

    def __init__(self, by_key: Mapping[str, tuple[str, str]], *, elsewhere: str = "default") -> None:
        self._by_key = by_key
        self._elsewhere = elsewhere

    def fail(self, key: str, what: str, remedy: str) -> NoReturn:
        """Raise the ConfigError for a key, naming the layer that set it or the nearest key above it."""
        asked = key
        while key and key not in self._by_key:
            key = key.rpartition(".")[0]
        origin, prefix = self._by_key.get(key, (self._elsewhere, ""))
        raise key_error(origin, prefix + asked, what, remedy)


def normalise(values: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """Check the names in one layer, and write out the host ranges (`node-[1-4]`) in it."""
    for group in values.get("groups", {}):
        _check_name_of(group, ("groups", group), "group", reader)
    for name in values.get("task_types", {}):
        _check_name_of(name, ("task_types", name), "task type", reader)
    for suite, jobs in values.get("suites", {}).items():
        _check_name_of(suite, ("suites", suite), "suite", reader)
        for label, job in jobs.items():
            _check_name_of(label, ("suites", suite, label), "label", reader)
            if "host" in job:
                job["host"] = _expanded(job["host"], ("suites", suite, label, "host"), reader)
    for section in ("groups", "host_preferences"):
        for name, hosts in values.get(section, {}).items():
            values[section][name] = _expanded(hosts, (section, name), reader)
    for name, host in values.get("hosts", {}).items():
        _checked_host(name, ("hosts", name), reader)
        for path in host.get("paths", ()):
            _checked_host(path, ("hosts", name, "paths"), reader)
    return values


def check(settings: Settings, origins: Origins) -> tuple[str, ...]:
    """Check the merged settings. ConfigError for what is wrong; returns warnings for what is only odd."""
    _check_choices(settings, origins)
    _check_weights(settings.load_weights, "load_weights", origins)
    _check_numbers(settings, origins)
    _check_paths(settings, origins)
    _check_agent(settings.agent.command, origins)
    _check_task_types(settings, origins)
    _check_hosts(settings, origins)
    _check_groups(settings, origins)
    _check_suites(settings, origins)
    _check_pricing(settings, origins)
    _check_budget(settings, origins)
    _check_watch(settings, origins)
    _check_collect(settings, origins)
    return tuple(_warnings(settings))


def check_preferences(settings: Settings, groups: Mapping[str, Sequence[str]], origins: Origins) -> None:
    """Refuse a host in `host_preferences` that none of these groups has."""
    known = list(dict.fromkeys(host for hosts in groups.values() for host in hosts))
    for task_type, hosts in settings.host_preferences.items():
        for host in hosts:
            if host not in known:
                close = suggest(host, known)
                in_groups = _listed("hosts in groups are", known)
                remedy = f"did you mean {close}? {in_groups}" if close else f"add it to a group; {in_groups}"
                origins.fail(f"host_preferences.{task_type}", f"{shown(host)} is in no group", remedy)


def _check_name_of(name: str, key: tuple[str, ...], noun: str, reader: Reader) -> None:
    if not _NAME.fullmatch(name):
        reader.fail(key, f"{shown(name)} cannot be a {noun} name", "use letters, digits, - _ . +")


def _expanded(hosts: list[str], key: tuple[str, ...], reader: Reader) -> list[str]:
    found: dict[str, None] = {}
    for text in hosts:
        try:
            names = expand(text)
        except ValueError as error:
            reader.fail(key, _first_line(error), "write a host name, or a range: node-[1-4]")
        for name in names:
            _checked_host(name, key, reader)
            found[name] = None
        if len(found) > MAX_GROUP_HOSTS:
            reader.fail(key, f"more than {MAX_GROUP_HOSTS:,} hosts", "write a shorter range")
    return list(found)


def _checked_host(name: str, key: tuple[str, ...], reader: Reader) -> None:
    try:
        check_name(name)
    except ValueError as error:
        reader.fail(key, _first_line(error), "write the name that ssh knows the host by")


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return text if text.isprintable() else ascii(text)[1:-1]


def _check_choices(settings: Settings, origins: Origins) -> None:
    for key, value, choices in (
        ("backend", settings.backend, BACKENDS),
        ("fallback", settings.fallback, FALLBACKS),
        ("budget.enforce", settings.budget.enforce, ENFORCE),
        ("collect.when", settings.collect.when, COLLECT),
        ("notices", settings.notices, NOTICES),
    ):
        if value not in choices:
            origins.fail(key, f"{shown(value)} is no choice", suggestion(value, choices, noun="the choices are"))


def _check_weights(weights: LoadWeights, key: str, origins: Origins) -> None:
    total = 0.0
    for name in field_types(LoadWeights):
        value = float(getattr(weights, name))
        if not math.isfinite(value) or value < 0:
            origins.fail(f"{key}.{name}", f"{value:g} is no weight", "write 0 or a positive number")
        total += value
    if total == 0:
        origins.fail(key, "all weights are zero", "make at least one of cpu, memory, load_average, io positive")
    if math.isinf(total):
        origins.fail(key, "the weights are too large", "write numbers such as 0.4; only their ratio counts")


def _check_numbers(settings: Settings, origins: Origins) -> None:
    if not 1 <= settings.jobs <= MAX_JOBS:
        origins.fail("jobs", f"{shown(settings.jobs)} is out of range", f"write a whole number from 1 to {MAX_JOBS}")
    threshold = settings.overload_threshold
    if not 0 <= threshold <= 10:
        hint = f"write {threshold / 100:g} for {threshold:g} %" if 10 < threshold <= 100 else "write 0.85, say"
        origins.fail("overload_threshold", f"{threshold:g} is no score", f"scores go from 0 to 1: {hint}")
    margin = settings.agent.home_margin
    if not 0 <= margin <= 10:
        hint = f"write {margin / 100:g} for {margin:g} %" if 10 < margin <= 100 else "write 0.25, say"
        origins.fail("agent.home_margin", f"{margin:g} is no difference of scores", f"scores go from 0 to 1: {hint}")
    limits = {f"timeouts.{name}": getattr(settings.timeouts, name) for name in field_types(type(settings.timeouts))}
    for key, seconds in {**limits, "d.timeout_s": settings.d.timeout_s}.items():
        if not 0 < seconds < 1e9:
            origins.fail(key, f"{seconds:g} is out of range", "write seconds above 0: 5, 0.5, 5s or 2m")
    for key, seconds in (
        ("cache.load_ttl_s", settings.cache.load_ttl_s),
        ("cache.status_ttl_s", settings.cache.status_ttl_s),
        ("agent.start_gap_s", settings.agent.start_gap_s),
    ):
        if not 0 <= seconds < 1e9:
            origins.fail(key, f"{seconds:g} is out of range", "write 0 or more seconds: 30, 30s or 2m")


def _check_paths(settings: Settings, origins: Origins) -> None:
    """Refuse relative paths on this machine: they would mean another file in every folder."""
    for key, text in (
        ("ssh_config", settings.ssh_config),
        ("state_dir", settings.state_dir),
        ("cache.load_path", settings.cache.load_path),
        ("cache.status_path", settings.cache.status_path),
    ):
        if text is not None and not text.startswith(("/", "~")):
            origins.fail(key, f"{shown(text)} is no absolute path", "start it with / or ~/")
    texts = [("remote_dir", settings.remote_dir), ("agent.tool", settings.agent.tool)]
    texts += [(f"hosts.{name}.remote_dir", host.remote_dir) for name, host in settings.hosts.items()]
    for key, text in texts:
        if text is not None and (not text.strip() or "\n" in text):
            origins.fail(key, f"{shown(text)} cannot be used", "write one line of text, or leave the key out")


def _check_agent(command: str, origins: Origins) -> None:
    key = "agent.command"
    names = _PLACEHOLDER.findall(command)
    for name in names:
        if name not in _PLACEHOLDERS:
            close = nearest(name, _PLACEHOLDERS)
            remedy = f"did you mean {{{close}}}? " if close else ""
            origins.fail(key, f"{{{name}}} is no placeholder", f"{remedy}There are {{mode}} and {{text}}")
    if "text" not in names:
        origins.fail(key, "the task's text has no place in it", 'write {text} where it goes: "gummy {mode} {text}"')
    quoted = _quoted_placeholder(command)
    if quoted:
        origins.fail(
            key,
            f"{{{quoted}}} stands inside quotes or after $ or \\",
            f"leave them out: {{{quoted}}} is quoted already",
        )


def _quoted_placeholder(command: str) -> str | None:
    """Find the first placeholder in shell quotes, where quoting it again would break it open."""
    starts = {match.start(): match.group(1) for match in _PLACEHOLDER.finditer(command)}
    quote, escaped, previous = "", False, ""
    for index, char in enumerate(command):
        if index in starts and (quote or escaped or previous == "$"):
            return starts[index]
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        previous = char
    return None


def _check_task_types(settings: Settings, origins: Origins) -> None:
    for name, task_type in settings.task_types.items():
        if task_type.weights is not None:
            _check_weights(task_type.weights, f"task_types.{name}.weights", origins)
        for term in task_type.requires:
            _check_requirement(term, f"task_types.{name}.requires", origins)
    known = list(dict.fromkeys((*BUILTIN_TASK_TYPES, *settings.task_types)))
    for name in settings.host_preferences:
        if name not in known:
            remedy = suggestion(name, known, noun="task types are")
            origins.fail(f"host_preferences.{name}", "no such task type", remedy)


def _check_suites(settings: Settings, origins: Origins) -> None:
    known = (*BUILTIN_TASK_TYPES, *settings.task_types)
    for suite, jobs in settings.suites.items():
        if not jobs:
            origins.fail(f"suites.{suite}", "has no labels", "write lines of `LABEL: COMMAND` under it")
        for label, job in jobs.items():
            key = f"suites.{suite}.{label}"
            if bool(job.run.strip()) == bool(job.task.strip()):
                what = "has both run and task" if job.run.strip() else "has no command"
                origins.fail(key, what, "give it `run: COMMAND`, or `task: TEXT` for an agent")
            for term in job.require:
                _check_requirement(term, f"{key}.require", origins)
            if job.type is not None and job.type not in known:
                origins.fail(f"{key}.type", "no such task type", suggestion(job.type, known, noun="task types are"))
            if job.timeout is not None and not 0 < job.timeout < 1e9:
                origins.fail(f"{key}.timeout", f"{job.timeout:g} is out of range", "write seconds above 0, or 20m")


def _check_hosts(settings: Settings, origins: Origins) -> None:
    for name, host in settings.hosts.items():
        if host.cores is not None and not 0 < host.cores < 1e6:
            origins.fail(f"hosts.{name}.cores", f"{host.cores:g} is no number of cores", "write 8, say")
        if host.slots is not None and not 1 <= host.slots <= MAX_JOBS:
            origins.fail(f"hosts.{name}.slots", f"{host.slots} is no number of slots", f"write 1 to {MAX_JOBS}")
        for capability in host.capabilities:
            if not _is_capability(capability):
                what = f"{shown(capability)} cannot be a capability"
                origins.fail(f"hosts.{name}.capabilities", what, "write names such as docker, or mem=64GB")
        for key, text in (("os", host.os), ("arch", host.arch)):
            if text is not None and not _NAME.fullmatch(text):
                origins.fail(f"hosts.{name}.{key}", f"{shown(text)} cannot be used", "write linux, darwin, arm64 …")


def _check_pricing(settings: Settings, origins: Origins) -> None:
    if not _DATE.fullmatch(settings.pricing.date):
        what = f"{shown(settings.pricing.date)} is no date"
        origins.fail("pricing.date", what, 'write the day that the prices are of: "2026-11-24"')
    for model, price in settings.pricing.models.items():
        key = f"pricing.models.{model}"
        for name in ("input", "output", "cache_write", "cache_write_1h", "cache_read"):
            rate = getattr(price, name)
            if rate is None and name in ("input", "output"):
                origins.fail(f"{key}.{name}", "there is no price", "write dollars per million tokens: 3.0, say")
            if rate is not None and not 0 <= rate <= MAX_USD:
                what = f"{rate:g} is no price"
                origins.fail(f"{key}.{name}", what, "write dollars per million tokens: 0 or a positive number")
        if price.long_prompt is not None and price.long_prompt < 0:
            what = f"{shown(price.long_prompt)} is no number of tokens"
            origins.fail(f"{key}.long_prompt", what, "write 200000, say")
        if not 0 <= price.long_factor <= 1000:
            what = f"{price.long_factor:g} is out of range"
            origins.fail(f"{key}.long_factor", what, "write how many times as much it costs: 2, say")


def _check_budget(settings: Settings, origins: Origins) -> None:
    for name in ("per_task_usd", "per_day_usd", "per_project_usd"):
        usd = getattr(settings.budget, name)
        if usd is not None and not 0 <= usd <= MAX_USD:
            what = f"{usd:g} is no amount of money"
            origins.fail(f"budget.{name}", what, "write US dollars, 0 or more: 4.50; or leave it out for no cap")


def _check_collect(settings: Settings, origins: Origins) -> None:
    for name in ("max_bytes", "max_total_bytes"):
        value = getattr(settings.collect, name)
        if value < 1:
            origins.fail(f"collect.{name}", f"{value} is out of range", "write a number of bytes: 104857600 is 100 MiB")
    if not 60 <= settings.workspace.expire_s < 1e10:
        what = f"{settings.workspace.expire_s:g} is out of range"
        origins.fail("workspace.expire_s", what, "write seconds from 60 on, or 7d")


def _check_watch(settings: Settings, origins: Origins) -> None:
    watch = settings.watch
    if len(watch.roots) > MAX_ROOTS:
        origins.fail("watch.roots", f"{len(watch.roots)} are too many", f"write up to {MAX_ROOTS}")
    for root in watch.roots:
        if not root.startswith(("/", "~/")):
            what = f"{shown(root)} is neither absolute nor below ~/"
            origins.fail("watch.roots", what, "start it with ~/ or /, as in ~/projects/*")
        if ".." in root.split("/"):
            origins.fail("watch.roots", f"{shown(root)} holds ..", "write the folder itself, as in ~/projects/*")
        if not root.isprintable():
            origins.fail("watch.roots", f"{shown(root)} cannot be used", "write one line of text")
    if not 0.1 <= watch.interval_s < 1e6:
        origins.fail(
            "watch.interval_s", f"{watch.interval_s:g} is out of range", "write seconds from 0.1 on: 2, 0.5 or 1m"
        )
    if not 1 <= watch.max_specialists <= MAX_SPECIALISTS:
        what = f"{shown(watch.max_specialists)} is out of range"
        origins.fail("watch.max_specialists", what, f"write a whole number from 1 to {MAX_SPECIALISTS:,}")


def _check_requirement(term: str, key: str, origins: Origins) -> None:
    try:
        parse_requirement(term)
    except ValueError as error:
        origins.fail(key, str(error), "write docker, os=linux or cores>=8")


def _is_capability(text: str) -> bool:
    try:
        return parse_requirement(text).op in ("has", "=")
    except ValueError:
        return False


def _check_groups(settings: Settings, origins: Origins) -> None:
    if not _NAME.fullmatch(settings.group):
        what = f"{shown(settings.group)} cannot be a group name"
        origins.fail("group", what, "write the name of one group, such as dev")
    if not settings.groups:
        return
    if settings.group not in settings.groups:
        remedy = suggestion(settings.group, settings.groups, noun="groups are")
        origins.fail("group", f"no group is called {shown(settings.group)}", f"{remedy}; `group:` names the default")
    check_preferences(settings, settings.groups, origins)


def _warnings(settings: Settings) -> Iterator[str]:
    in_groups = {host for hosts in settings.groups.values() for host in hosts}
    if settings.groups:
        for name in settings.hosts:
            if name not in in_groups:
                yield f"hosts.{name}: in no group, so it gets no work"
    if LOCAL_HOST in in_groups:
        yield f"groups: a host called {LOCAL_HOST} looks like this machine in results"


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"{noun} {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
