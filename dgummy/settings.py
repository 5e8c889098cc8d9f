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
    between two starts on one host (gummy names its files by the second). home_margin: how much worse than
    the best host's the score may be of the host where the task's specialist lives, for the task to go there.
    """

    command: str = "gummy {mode} {text}"
    tool: str = "gummy"
    install: str = "brew install WillyV3/tap/gummy-agent"
    start_gap_s: float = 1.1
    home_margin: float = 0.25


class DSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `d` command.

    command: the program, a name or an absolute path (default: `dw`, else `d`, on PATH). timeout_s: how long one call of
    its load or status may take.
    """

    command: str | None = None
    timeout_s: float = 60.0


class ModelPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one model costs, in US dollars per million tokens.

    input, output: of the prompt, of the answer. cache_write, cache_write_1h: written to the prompt cache for 5 minutes,
    for an hour; cache_read: read from it. A message with tokens of a kind that has no price has no known cost.
    long_prompt: prompts of more tokens than this cost long_factor times as much, with their answers.
    """

    input: float | None = None
    output: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    cache_read: float | None = None
    long_prompt: int | None = None
    long_factor: float = 1.0


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
    """What tokens cost, for agents that tell only how many they used. date: of what day the prices are."""

    date: str = DEFAULT_PRICES_DATE
    models: dict[str, ModelPrice] = msgspec.field(default_factory=default_prices)

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
    """What agents may cost, in US dollars, as far as it is known; nothing set, no cap.

    per_task_usd: one task. per_day_usd: all that were started from here, or ended, since the midnight before now.
    per_project_usd: all that the ledger knows of a project. At the last two no new agent task starts. enforce: `refuse`
    warns of a running task over its cap, `stop` ends it.
    """

    per_task_usd: float | None = None
    per_day_usd: float | None = None
    per_project_usd: float | None = None
    enforce: str = "refuse"


class CollectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How what runs change comes home; `collect: auto` is short for `collect: {when: auto}`.

    when: what happens once an agent's task is done: `auto` collects it, `ask` asks where there is a terminal, `off`
    leaves it. max_bytes: a larger file is named, not fetched. max_total_bytes: of all files of one run together.
    """

    SHORT_FOR: typing.ClassVar[str] = "when"

    when: str = "auto"
    max_bytes: int = 100 * 1024 * 1024
    max_total_bytes: int = 1024 * 1024 * 1024


class WorkspaceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The copies of a project that `--isolate` makes on hosts. expire_s: unused for so long, they are removed."""

    expire_s: float = 7 * 86400.0


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is watched on hosts.

    roots: where projects with specialists are looked for there, as patterns. interval_s: between two looks.
    max_specialists: of one host.
    """

    roots: tuple[str, ...] = ("~/*", "~/projects/*")
    interval_s: float = 2.0
    max_specialists: int = 500


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be configured, with its default.

    notices: `auto` keeps notices back where nobody watches (no terminal at all) until a command fails, `always` shows
    them as they come.
    """

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
    budget: BudgetSettings = BudgetSettings()
    watch: WatchSettings = WatchSettings()
    collect: CollectSettings = CollectSettings()
    workspace: WorkspaceSettings = WorkspaceSettings()
    suites: dict[str, dict[str, SuiteJob]] = {}
    notices: str = "auto"
    state_dir: str = "~/.local/state/distributed-gummy"
    pricing: Pricing = Pricing()  # last, for whoever has all settings shown: it is long
