"""Whether an agent did its work: what it left on its host is looked at there, and judged by `agents`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dgummy import agents, remote
from dgummy.agents import Evidence
from dgummy.model import Failure, Host, RunState
from dgummy.runs import Ending
from dgummy.transport.base import Limits, Transport


@dataclass(frozen=True, slots=True)
class Claim:
    """What an agent was asked to do in a run: its mode, its text, and the command that must pass afterwards."""

    run_id: str
    directory: str
    mode: str
    text: str
    verify: str | None = None


def prove(
    control: Transport, host: Host, claim: Claim, ending: Ending, *, script_s: float
) -> tuple[Ending, Evidence | None]:
    """Judge an ended run of an agent by what it left; its exit code alone proves nothing.

    Without a mode (no agent) and for endings that need no proof the ending is given back as it is.
    """
    if not claim.mode or ending.state not in (RunState.OK, RunState.FAILED):
        return ending, None
    script = remote.compose(
        ("workspace", "agent"),
        "agent_evidence",
        agents.evidence_args(claim.run_id, claim.directory, claim.mode, claim.text),
        variables={"DG_ROOT": host.probe_root},
    )
    answer = control.run_script(host, script, Limits(total_s=script_s))
    if isinstance(answer, Failure):
        unknown = f"it ended with exit code {ending.exit_code}, but what it left could not be looked at: {answer}"
        return replace(ending, state=RunState.LOST, reason=unknown, remedy=answer.remedy), None
    evidence = agents.evidence_from([(fact.name, fact.value) for fact in answer.facts])
    if ending.state is RunState.OK or evidence.verify_code is not None:
        judged = agents.judge(evidence, claim.verify)
        ending = replace(ending, state=judged.state, reason=judged.reason, remedy=judged.remedy)
    return ending, evidence
