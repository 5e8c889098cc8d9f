"""One merged, typed, frozen settings record.

This module owns what keys there are, what they mean, and the shape of each. How they are read is
`dgummy.settings_reader`, what values make sense together `dgummy.settings_check`, where they come from, and which wins,
`dgummy.layers`.
"""

from __future__ import annotations

import typing

import msgspec

from dgummy.costs import Price

BUILTIN_TASK_TYPES = ("database", "api", "frontend", "testing", "security", "general")
"""The task types that are there without any configuration."""
DEFAULT_SYNC_EXCLUDE = ("node_modules", ".git", "dist", "build", ".DS_Store", "*.log")


class LoadWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much each figure counts in a host's score. Only their ratio matters; not all may be 0."""

    cpu: float = 0.4
    """CPU in use. Range: 0 or more. Example: `0.4`"""
    memory: float = 0.3
    """Memory in use. Range: 0 or more. Example: `0.3`"""
    load_average: float = 0.3
    """Load average of the last minute per core. Range: 0 or more. Example: `0.3`"""
    io: float = 0.0
    """I/O wait, or the kernel's I/O pressure where it tells that. Range: 0 or more. Example: `0.1`"""


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is said about one host. All of it has a default: a host needs no entry here."""

    paths: tuple[str, ...] = ()
    """Names that ssh knows it by, to be tried in order. Default: its own name. Example: `[mini-lan, mini-ts]`"""
    remote_dir: str | None = None
    """Where projects go on it, as `remote_dir` above. Example: `~/work/{name}`"""
    path: tuple[str, ...] = ()
    """Folders that come before its login PATH. Example: `[/opt/homebrew/bin]`"""
    capabilities: tuple[str, ...] = ()
    """What it has beyond what a probe finds; asked for with `--require`. Example: `[xcode, mem=64GB]`"""
    os: str | None = None
    """Its operating system, said instead of probed. Example: `darwin`"""
    arch: str | None = None
    """Its processor, said instead of probed. Example: `arm64`"""
    cores: float | None = None
    """How many cores it has, said instead of probed. Range: above 0. Example: `8`"""
    slots: int | None = None
    """How many runs of one group it takes at once. Default: as many as it has cores. Range: 1 to 512.
    Example: `2`"""
    probe_root: str = ""
    """A folder that stands in for `/` when load is read: for labs and containers. Example: `/host`"""


class SuiteJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One label of a suite: a command, or a map if there is more to say. One of `run` and `task` is needed."""

    SHORT_FOR: typing.ClassVar[str] = "run"
    ONE_OR_MORE: typing.ClassVar[tuple[str, ...]] = ("require", "host")

    run: str = ""
    """A shell command. Example: `pytest tests/integration`"""
    task: str = ""
    """Instead of a command: a text for an agent. Example: `look for slow queries`"""
    require: tuple[str, ...] = ()
    """What its host must have, as `--require`. Example: `docker`"""
    host: tuple[str, ...] = ()
    """Only these hosts. Example: `node-[1-2]`"""
    type: str | None = None
    """The kind of work, as `--type`. Example: `testing`"""
    timeout: float | None = None
    """It is ended after so long. Range: above 0. Example: `20m`"""


class TaskTypeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of work: a new one, or more about a built-in one."""

    keywords: tuple[str, ...] = ()
    """Words by which a text is known to be about it, whole and in any case. Example: `[train, model]`"""
    weights: LoadWeights | None = None
    """How its hosts are compared, as `load_weights`. Default: `load_weights`. Example: `{cpu: 0.8, memory: 0.2}`"""
    requires: tuple[str, ...] = ()
    """What its hosts must have, as `--require`. Example: `[gpu]`"""


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long things may take."""

    connect_s: float = 5.0
    """TCP, ssh banner and login together, over all `paths` of a host. Range: above 0. Example: `5`"""
    probe_s: float = 10.0
    """A whole probe of one host. Range: above 0. Example: `10`"""
    script_s: float = 30.0
    """Any other short script on a host. Range: above 0. Example: `30`"""
    silence_s: float = 20.0
    """A run's connection that says nothing for so long counts as lost. Range: above 0. Example: `20`"""
    reconnect_s: float = 120.0
    """How long to try to get back to a run before it counts as lost. Range: above 0. Example: `10m`"""
    kill_s: float = 10.0
    """Between TERM and KILL when a run is ended. Range: above 0. Example: `10`"""
    browser_s: float = 120.0
    """At a terminal: how long to wait until a login page was visited (Tailscale's check mode).
    Range: above 0. Example: `2m`"""
    sync_idle_s: float = 60.0
    """A sync, or a collect, that makes no progress for so long has failed. Range: above 0. Example: `60`"""
    workspace_s: float = 3600.0
    """How long a run waits while every host that could take it is in use. Range: above 0. Example: `1h`"""


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where load and status are cached, and for how long."""

    load_path: str = "/tmp/d-load-cache.json"  # noqa: S108 - the documented place; see dgummy.cache for how it is made safe
    """The file for load figures. Example: `~/.cache/dgummy-load.json`"""
    load_ttl_s: float = 30.0
    """How old they may be. Range: 0 or more. Example: `10`"""
    status_path: str = "/tmp/d-status-cache.json"  # noqa: S108
    """The file for who answers. Example: `~/.cache/dgummy-status.json`"""
    status_ttl_s: float = 60.0
    """How old that may be. Range: 0 or more. Example: `60`"""


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How agents are started."""

    command: str = "gummy {mode} {text}"
    """The command; `{mode}` becomes task, plan or execute, `{text}` the text as one quoted argument.
    Example: `gummy {mode} {text}`"""
    tool: str = "gummy"
    """The program that a host must have to get a task. Example: `gummy`"""
    install: str = "brew install WillyV3/tap/gummy-agent"
    """What installs it; shown where no host has it. Example: `brew install WillyV3/tap/gummy-agent`"""
    start_gap_s: float = 1.1
    """Least time between two starts on one host: gummy names its files by the second. Range: 0 or more.
    Example: `1.1`"""
    home_margin: float = 0.25
    """How much worse than the best score that of a specialist's host may be, for its task to go there.
    Range: 0 to 10. Example: `0.25`"""


class DSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `d` command."""

    command: str | None = None
    """The program: a name, or an absolute path. Default: `dw`, else `d`, on PATH. Example: `/usr/local/bin/dw`"""
    timeout_s: float = 60.0
    """How long one call of its load or status may take. Range: above 0. Example: `60`"""


class ModelPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one model costs, in US dollars per million tokens. Tokens of a kind without a price have no known cost."""

    input: float | None = None
    """Of the prompt; needed. Range: 0 or more. Example: `3`"""
    output: float | None = None
    """Of the answer; needed. Range: 0 or more. Example: `15`"""
    cache_write: float | None = None
    """Written to the prompt cache for 5 minutes. Range: 0 or more. Example: `3.75`"""
    cache_write_1h: float | None = None
    """Written to it for an hour. Range: 0 or more. Example: `6`"""
    cache_read: float | None = None
    """Read from it. Range: 0 or more. Example: `0.3`"""
    long_prompt: int | None = None
    """A prompt of more tokens than this costs `long_factor` times as much, with its answer. Range: 0 or more.
    Example: `200000`"""
    long_factor: float = 1.0
    """How many times as much. Range: 0 to 1000. Example: `2`"""


# By the page "Pricing" of the Claude Docs, as of DEFAULT_PRICES_DATE: input, output, written to the cache for 5 minutes
# and for an hour, read from it. Version 4 has no name without its date here: it would stand for all that begins so.
_PUBLISHED: dict[tuple[str, ...], tuple[float, float, float, float, float]] = {
    ("claude-fable-5-2",): (8, 40, 10, 16, 0.2),
    ("claude-fable-5-1", "claude-mythos-5-1"): (10, 50, 12.5, 20, 0.25),
    ("claude-fable-5", "claude-mythos-5"): (10, 50, 12.5, 20, 1),
    ("claude-opus-5-5",): (4, 20, 5, 8, 0.2),
    ("claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5"): (
        5,
        25,
        6.25,
        10,
        0.5,
    ),
    ("claude-opus-4-1", "claude-opus-4-20250514"): (15, 75, 18.75, 30, 1.5),
    ("claude-sonnet-5-5",): (2, 10, 2.5, 4, 0.1),
    ("claude-sonnet-5",): (2, 10, 2.5, 4, 0.2),
    ("claude-sonnet-4-6", "claude-sonnet-4-5", "claude-sonnet-4-20250514"): (3, 15, 3.75, 6, 0.3),
    ("claude-haiku-4-5",): (1, 5, 1.25, 2, 0.1),
    ("claude-3-5-haiku",): (0.8, 4, 1, 1.6, 0.08),
}
DEFAULT_PRICES_DATE = "2026-11-10"


def _model_price(input_: float, output: float, write: float, write_1h: float, read: float) -> ModelPrice:
    return ModelPrice(input=input_, output=output, cache_write=write, cache_write_1h=write_1h, cache_read=read)


def default_prices() -> dict[str, ModelPrice]:
    """What models cost at DEFAULT_PRICES_DATE."""
    prices = {model: _model_price(*rates) for models, rates in _PUBLISHED.items() for model in models}
    prices["claude-haiku-5-5"] = ModelPrice(
        input=0.1,
        output=0.5,
        cache_write=0.125,
        cache_write_1h=0.2,
        cache_read=0.01,
        long_prompt=100_000,
        long_factor=5.0,
    )
    return prices


class Pricing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What tokens cost, for agents that tell only how many they used."""

    date: str = DEFAULT_PRICES_DATE
    """Of what day the prices are. Example: `"2026-11-10"`"""
    models: dict[str, ModelPrice] = msgspec.field(default_factory=default_prices)
    """Prices by the model's name, or the beginning of it. Example: `{my-model: {input: 3, output: 15}}`"""

    @property
    def prices(self) -> dict[str, Price]:
        """The prices as `dgummy.costs` takes them."""
        return {
            model: Price(
                price.input,
                price.output,
                price.cache_write,
                price.cache_write_1h,
                price.cache_read,
                price.long_prompt,
                price.long_factor,
            )
            for model, price in self.models.items()
            if price.input is not None and price.output is not None
        }


class BudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What agents may cost, in US dollars, as far as it is known. Nothing set, no cap."""

    per_task_usd: float | None = None
    """One task. Range: 0 or more. Example: `0.50`"""
    per_day_usd: float | None = None
    """All tasks that were started from here, or ended, since midnight. Once it is reached, none starts.
    Range: 0 or more. Example: `4`"""
    per_project_usd: float | None = None
    """All that the ledger knows of a project. Once it is reached, none starts. Range: 0 or more.
    Example: `50`"""
    enforce: str = "refuse"
    """What happens to a running task over its cap: a warning, or its end. One of: refuse, stop. Example: `stop`"""


class CollectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How work comes home. `collect: auto` is short for `collect: {when: auto}`."""

    SHORT_FOR: typing.ClassVar[str] = "when"

    when: str = "auto"
    """Once an agent's task is done: collect it, ask at a terminal when it is given, or leave it.
    One of: auto, ask, off. Example: `ask`"""
    max_bytes: int = 100 * 1024 * 1024
    """A larger file is named, not fetched. Range: 1 or more. Example: `10485760`"""
    max_total_bytes: int = 1024 * 1024 * 1024
    """The same for all files of one run together. Range: 1 or more. Example: `1073741824`"""


class WorkspaceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The copies of a project that `--isolate` makes on hosts."""

    expire_s: float = 7 * 86400.0
    """One that was unused for so long is removed. Range: 60 or more. Example: `2d`"""


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is watched on hosts."""

    roots: tuple[str, ...] = ("~/*", "~/projects/*")
    """Where projects with specialists are looked for there: up to 50 patterns. Example: `[~/*, ~/work/*]`"""
    interval_s: float = 2.0
    """Between two looks. Range: 0.1 or more. Example: `5`"""
    max_specialists: int = 500
    """How many of one host are looked at. Range: 1 to 100000. Example: `100`"""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be configured, with its default."""

    backend: str = "auto"
    """What carries the work: the `d` command where it is there and ssh else, or one of them, or this machine alone.
    One of: auto, d, ssh, local. Example: `ssh`"""
    d: DSettings = DSettings()
    """The `d` command."""
    groups: dict[str, tuple[str, ...]] = {}
    """Which hosts take work, by group. A host in no group takes none. Default: the groups of `d`.
    Example: `{dev: [laptop-2, mini], build: ["node-[1-40]"]}`"""
    group: str = "dev"
    """The group that is meant where none is named. Example: `build`"""
    hosts: dict[str, HostSettings] = {}
    """What there is to say about single hosts, by name."""
    ssh_config: str | None = None
    """An ssh configuration to use instead of your own. Example: `~/.ssh/work_config`"""
    load_weights: LoadWeights = LoadWeights()
    """How much each figure counts in a score."""
    task_types: dict[str, TaskTypeSettings] = {}
    """Kinds of work, by name."""
    host_preferences: dict[str, tuple[str, ...]] = {}
    """Hosts to try first for a kind of work, while they are not overloaded.
    Example: `{database: [node-1], testing: [node-3]}`"""
    overload_threshold: float = 0.85
    """From this score on a preferred host counts as overloaded. Range: 0 to 10. Example: `0.7`"""
    sync_exclude: tuple[str, ...] | None = None
    """What is not sent, as in `.gitignore`. Default: `node_modules .git dist build .DS_Store *.log`, which in a
    git project is about untracked files only. Example: `[node_modules, "*.log", data/]`"""
    sync_extra: tuple[str, ...] = ()
    """What is sent although git ignores it. Example: `[.env]`"""
    remote_dir: str | None = None
    """Where projects go on hosts; `{name}` is the project's folder. Default: the same place below your home there.
    Example: `~/work/{name}`"""
    path: tuple[str, ...] = ()
    """Folders that come before the login PATH on hosts. Example: `[~/.local/bin]`"""
    fallback: str = "local"
    """What happens when no host can take a single run: it runs on this machine, or not at all.
    One of: local, none. Example: `none`"""
    jobs: int = 16
    """How many runs of a group are under way at once. Range: 1 to 512. Example: `8`"""
    timeouts: Timeouts = Timeouts()
    """How long things may take."""
    cache: CacheSettings = CacheSettings()
    """Where load and status are cached."""
    agent: AgentSettings = AgentSettings()
    """How agents are started."""
    budget: BudgetSettings = BudgetSettings()
    """What agents may cost."""
    watch: WatchSettings = WatchSettings()
    """What is watched on hosts."""
    collect: CollectSettings = CollectSettings()
    """How work comes home."""
    workspace: WorkspaceSettings = WorkspaceSettings()
    """Copies of a project on hosts."""
    suites: dict[str, dict[str, SuiteJob]] = {}
    """Named sets of commands for `inv fanout --suite`, each a map of labels."""
    notices: str = "auto"
    """Whether notices are kept back where nobody watches (no terminal at all) until a command fails, or always shown as
    they come. One of: auto, always. Example: `always`"""
    state_dir: str = "~/.local/state/distributed-gummy"
    """Where the ledger, logs and what was fetched are. Example: `~/.local/state/distributed-gummy`"""
    pricing: Pricing = Pricing()  # last, for whoever has all settings shown: it is long
    """What tokens cost."""
