"""Which host should take this? Observe, choose, and note the choice where other processes see it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from dgummy import gate, placement, routing
from dgummy import inventory as inventories
from dgummy.errors import ConfigError, NoHostError, UsageError
from dgummy.findings import Work
from dgummy.gate import Unfit, Verdict
from dgummy.homes import Home
from dgummy.inventory import Inventory
from dgummy.journal import Journal
from dgummy.model import LOCAL_HOST, Host, HostReport, Placement, Requirement, Sample, TaskType, Weights
from dgummy.observe import Observation, Observer
from dgummy.placement import Candidate, Choice
from dgummy.settings import LoadWeights, Settings

PATIENCE_S = 1.5
"""How much longer than the first answer a choice waits for the others."""


HomeFinder: TypeAlias = Callable[[Mapping[str, str]], Home]
"""Says where a specialist lives, given the home folders that are known."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a host. `hosts` is a promise: one of these or none. `text` is what the type is derived from.

    `needs` are the kinds of work that it is, each of which wants something of a host (`dgummy.gate`). `insists`:
    whoever named hosts means them, whatever `inv doctor` found there a while ago. `brings_login`: the agent needs none
    there.
    """

    hosts: tuple[str, ...] = ()
    group: str | None = None
    exclude: tuple[str, ...] = ()
    task_type: str | None = None
    text: str = ""
    requires: tuple[str, ...] = ()
    needs: frozenset[Work] = frozenset()
    insists: bool = True
    brings_login: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """A choice, the kind of work it was made for, and what it was made from.

    `doubts`: what `inv doctor` found on hosts that may take it all the same, since they were named.
    """

    choice: Choice
    task_type: TaskType
    type_why: str
    observation: Observation
    doubts: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons, most important first."""
        doubt = self.doubts.get(self.choice.host or "")
        doubts = (f"{gate.DOUBTFUL}: {doubt}",) if doubt else ()
        return (*self.choice.why, *doubts, f"type {self.task_type.name}: {self.type_why}")


class Chooser:
    """Answers "which host?" for one inventory."""

    def __init__(
        self,
        settings: Settings,
        inventory: Inventory,
        observer: Observer,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        rng: random.Random,
        ssh_hosts: Callable[[], list[str]],
        verdicts: Callable[[], Mapping[str, Verdict]] = dict,
    ) -> None:
        self._settings = settings
        self._inventory = inventory
        self._observer = observer
        self._journal = journal
        self._now = now
        self.rng = rng
        self._ssh_hosts = ssh_hosts
        self._verdicts = verdicts
        self.task_types = routing.merge_types(
            routing.TASK_TYPES, {name: _task_type(name, settings) for name in settings.task_types}
        )

    @property
    def default_weights(self) -> Weights:
        """What figures count for work of no special kind."""
        return _weights(self._settings.load_weights)

    def hosts(self, wish: Wish) -> tuple[Host, ...]:
        """The hosts a wish is about."""
        return inventories.select(self._inventory, wish.hosts, wish.group, wish.exclude, ssh_hosts=self._ssh_hosts)

    def task_type(self, wish: Wish) -> tuple[TaskType, str]:
        """The kind of work: as given, else derived from the text."""
        if wish.task_type is None:
            return routing.derive(wish.text, self.task_types)
        if wish.task_type not in self.task_types:
            known = ", ".join(self.task_types)
            raise UsageError(f"there is no task type {wish.task_type}", f"known types: {known}")
        return self.task_types[wish.task_type], "as given"

    def check_fit(self, wish: Wish) -> None:
        """NoHostError if this machine, of which this is the chooser, lacks what is required."""
        if not wish.requires and not self.task_type(wish)[0].requires:
            return
        choice = self.pick(replace(wish, hosts=(LOCAL_HOST,), group=None, exclude=())).choice
        if choice.host is None:
            reason, agent = choice.verdicts[0].reason, self._settings.agent
            lacks_agent = f"lacks {agent.tool}" in reason
            remedy = f"install {agent.tool}: {agent.install}" if lacks_agent else "ask for less, or offer other hosts"
            remedy += f"; inv doctor --host {LOCAL_HOST} tells more"
            raise NoHostError(f"this machine {reason}", remedy)

    def pick(
        self,
        wish: Wish,
        *,
        excluded: Mapping[str, str] | None = None,
        busy: Mapping[str, str] | None = None,
        refresh: bool = False,
        workspace: Callable[[Host], str] | None = None,
        run_id: str | None = None,
        patience_s: float | None = PATIENCE_S,
        home: HomeFinder | None = None,
    ) -> Pick:
        """Choose a host; with `run_id` the choice is noted, so that whoever chooses next counts it.

        `excluded` maps hosts that failed already to the reason, `busy` those whose workspace was just found taken to
        who has it. `workspace` gives the project's folder on a host, where the run needs it to itself. `patience_s` is
        how much longer than the first answer the others are waited for, None for as long as the time-outs allow. `home`
        tells where the task's specialist lives.
        """
        hosts = self.hosts(wish)
        kind, type_why = self.task_type(wish)
        requirements = _requirements((*wish.requires, *kind.requires))
        left_out = dict(excluded or {})
        to_look_at = [host for host in hosts if host.name not in left_out]
        observation = self._observer.load(to_look_at, refresh=refresh, patience_s=patience_s)
        reports = {report.host: report for report in observation.reports}
        in_use = (_workspaces_in_use(hosts, reports, workspace) if workspace else {}) | dict(busy or {})
        candidates = [Candidate(host, reports.get(host.name)) for host in hosts]
        lives, (unfit, doubts) = home and home(home_dirs(observation)), self._unfit(candidates, wish, left_out)

        def decide(placements: tuple[Placement, ...], last_turn: str | None) -> Choice:
            return self._choose(candidates, kind, requirements, placements, left_out, in_use, last_turn, unfit, lives)

        choice = self._journal.place(run_id, self._scope(wish), decide, self._now())
        if choice.host is None and not refresh and observation.source == "cache" and to_look_at:
            # What was remembered leaves no host: look again before giving up.
            return self.pick(
                wish,
                excluded=excluded,
                busy=busy,
                refresh=True,
                workspace=workspace,
                run_id=run_id,
                patience_s=patience_s,
                home=home,
            )
        return Pick(choice, kind, type_why, observation, doubts)

    def observe(self, hosts: Sequence[Host], *, refresh: bool = False) -> Observation:
        """Look at hosts, each for as long as the time-outs allow."""
        return self._observer.load(hosts, refresh=refresh)

    def judged(self, wish: Wish, observation: Observation) -> Pick:
        """What would be picked for a wish from an observation; nothing is noted."""
        kind, type_why = self.task_type(wish)
        requirements = _requirements((*wish.requires, *kind.requires))
        candidates = [Candidate(host, observation.of(host.name)) for host in self.hosts(wish)]
        unfit, doubts = self._unfit(candidates, wish)
        choice = self._choose(candidates, kind, requirements, (), {}, {}, None, unfit)
        return Pick(choice, kind, type_why, observation, doubts)

    def judge(self, hosts: Sequence[Host], observation: Observation, wish: Wish) -> Choice:
        """What would be chosen from an observation, were a run placed now; nothing is noted."""
        kind, _ = self.task_type(wish)
        candidates = [Candidate(host, observation.of(host.name)) for host in hosts]

        def decide(placements: tuple[Placement, ...], last_turn: str | None) -> Choice:
            return self._choose(candidates, kind, (), placements, {}, {}, last_turn)

        return self._journal.place(None, self._scope(wish), decide, self._now())

    def _unfit(
        self, candidates: Sequence[Candidate], wish: Wish, excluded: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Unfit], dict[str, str]]:
        """Why hosts cannot take that kind of work; and why those might fail that may, since nobody else was named."""
        if not wish.needs:
            return {}, {}
        samples = {one.host.name: one.report.sample for one in candidates if one.report is not None}
        hosts = [one.host for one in candidates]

        def hindered(verdicts: Mapping[str, Verdict]) -> dict[str, Unfit]:
            tool = self._settings.agent.tool
            return gate.hindrances(
                hosts, samples, wish.needs, verdicts, tool=tool, now=self._now(), brings_login=wish.brings_login
            )

        unfit = hindered(self._verdicts())
        able = (one for one in candidates if one.host.name not in unfit and one.host.name not in (excluded or {}))
        if not (wish.hosts and wish.insists) or any(one.report is None or one.report.reachable for one in able):
            return unfit, {}
        seen = hindered({})
        return seen, {name: one.reason for name, one in unfit.items() if name not in seen}

    def _scope(self, wish: Wish) -> str:
        return wish.group or self._inventory.default_group

    def _choose(
        self,
        candidates: Sequence[Candidate],
        kind: TaskType,
        requirements: Sequence[Requirement],
        placements: Sequence[Placement],
        excluded: Mapping[str, str],
        in_use: Mapping[str, str],
        last_turn: str | None,
        unfit: Mapping[str, Unfit] | None = None,
        home: Home | None = None,
    ) -> Choice:
        return placement.choose(
            candidates,
            weights=kind.weights or _weights(self._settings.load_weights),
            now=self._now(),
            rng=self.rng,
            placements=placements,
            exclude=excluded,
            requirements=requirements,
            unfit=unfit or {},
            preferences=self._settings.host_preferences.get(kind.name, ()),
            overload_threshold=self._settings.overload_threshold,
            workspace_in_use=in_use,
            round_robin_after=last_turn,
            task_type=kind.name,
            home=home,
            home_margin=self._settings.agent.home_margin,
        )


def home_dirs(observation: Observation) -> dict[str, str]:
    """The home folder on each host, as far as it is known."""
    return {report.host: report.sample.home for report in observation.reports if report.sample and report.sample.home}


def _workspaces_in_use(
    hosts: tuple[Host, ...], reports: Mapping[str, HostReport], workspace: Callable[[Host], str]
) -> dict[str, str]:
    in_use: dict[str, str] = {}
    for host in hosts:
        report = reports.get(host.name)
        if report is None or report.sample is None:
            continue
        folder = _absolute(workspace(host), report.sample)
        for run in report.sample.active_runs:
            if run.workspace and run.workspace == folder:
                in_use[host.name] = f"run {run.run_id}" + (f" of {run.owner}" if run.owner else "")
    return in_use


def _absolute(folder: str, sample: Sample) -> str:
    return sample.home.rstrip("/") + folder[1:] if folder.startswith("~/") else folder


def _requirements(texts: tuple[str, ...]) -> tuple[Requirement, ...]:
    try:
        return tuple(placement.parse_requirement(text) for text in texts)
    except ValueError as error:
        raise UsageError(
            str(error), "for example: --require docker, --require os=darwin, --require 'cores>=8'"
        ) from error


def _weights(weights: LoadWeights) -> Weights:
    return Weights(weights.cpu, weights.memory, weights.load_average, weights.io)


def _task_type(name: str, settings: Settings) -> TaskType:
    given = settings.task_types[name]
    weights = None if given.weights is None else _weights(given.weights)
    try:
        for term in given.requires:
            placement.parse_requirement(term)
    except ValueError as error:
        raise ConfigError(
            f"task_types.{name}.requires: {error}", "write it as docker, os=darwin or cores>=8"
        ) from error
    return TaskType(name, given.keywords, weights, given.requires)
