"""Agent tasks: how one is started, and what proves that it did its work. Pure.

Agents exit 0 on a rate limit (and gummy exits 0 even if its specialist failed), so an exit code alone proves nothing:
the agent's own result must say no error, its report or a change must exist, and a `--verify` command must pass.
Files and result lines are as gummy writes them; see remote/agent.sh for where.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dgummy import costs
from dgummy.model import RunState

MODES = ("task", "plan", "execute")
SPECIALISTS_MODE = "task"
"""The mode in which gummy gives a text to a specialist; the others are one-off."""
SHOWN_CHANGES = 200
AGENT_CLI = "claude"
"""What gummy starts, and what has to be logged in."""
LOGIN_VARIABLES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)
"""The variables by which it logs in, where nobody has."""
_FILES = {
    "task": ("task.log", "task-report.md"),
    "plan": ("plan.log", "plan-report.md", "plan.md"),
    "execute": ("execute.log", "execution-report.md"),
}
# A long line is cut off on the way. Before the first text that may hold anything there are only plain values.
_IS_ERROR = re.compile(r'\{(?:\s*"\w+":\s*(?:"\w*"|[\w.+-]+),)*?\s*"is_error":\s*true\b')
_CUT_SHORT = {"type": "result", "is_error": True, "result": "its result is too long to be shown"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found on the host after an agent's run.

    result: the agent's result line, decoded, None if there is none. report: the path of its report, "" if none. changed
    and removed: names in the project, at most SHOWN_CHANGES of each; more: how many changed ones were not named.
    """

    result: dict[str, object] | None = None
    report: str = ""
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    more: int = 0
    verify_code: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an agent's run is a success, and if not, why not and what to do."""

    state: RunState
    reason: str = ""
    remedy: str = ""


def companions(tool: str) -> tuple[str, ...]:
    """The programs that an agent's program cannot do without."""
    return (AGENT_CLI,) if tool == "gummy" else ()


def logged_in_cli(tool: str) -> str:
    """The program whose login an agent's task depends on, "" if nobody knows."""
    return AGENT_CLI if tool in ("gummy", AGENT_CLI) else ""


def brings_login(environ: Mapping[str, str]) -> bool:
    """Whether these variables log it in, whatever its host has."""
    return any(environ.get(name) for name in LOGIN_VARIABLES)


def command_line(template: str, mode: str, text: str, verify: str | None = None) -> str:
    """The command that starts the agent with `text` as one argument; `verify` runs after an agent that exits 0."""
    command = template.replace("{mode}", mode).replace("{text}", shlex.quote(text))
    if verify is None:
        return command
    return (
        f"{command}\n"
        'dg_agent=$?; [ "$dg_agent" -eq 0 ] || exit "$dg_agent"\n'
        f"sh -c {shlex.quote(verify)}\n"
        'dg_verify=$?; echo "$dg_verify" >"$HOME/.local/state/dgummy/runs/$DGUMMY_RUN_ID/verify"\n'
        'exit "$dg_verify"'
    )


def evidence_args(run_id: str, directory: str, mode: str, text: str) -> list[str]:
    """The arguments of `agent_evidence` (remote/agent.sh)."""
    task_id = text if mode == "execute" else ""
    return [run_id, directory, str(SHOWN_CHANGES), task_id, *_FILES[mode]]


def read_result(line: str) -> dict[str, object] | None:
    """A result line as the agent logged it, None for anything else. Of one cut short, whether it is an error."""
    try:
        result = json.loads(line)
    except ValueError:
        return dict(_CUT_SHORT) if _IS_ERROR.match(line) else None
    return result if isinstance(result, dict) and result.get("type") == "result" else None


def said(line: str) -> str:
    """What a line of an agent's log says: the text in it, or the line itself where it is no JSON."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line
    message = found.get("message") if isinstance(found, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    texts = [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if texts:
        return " ".join(text for text in texts if isinstance(text, str))
    result = found.get("result") if isinstance(found, dict) else None
    return result if isinstance(result, str) else ""


def cost_usd(evidence: Evidence) -> float | None:
    """What the agent says it cost; None where it does not say."""
    return costs.result_cost_usd(evidence.result or {})


def judge(evidence: Evidence, verify: str | None) -> Judgement:
    """Judge a run whose command exited 0, or whose verify command was what failed."""
    result = evidence.result
    if result is not None and result.get("is_error"):
        said = str(result.get("result") or result.get("subtype") or "no reason given")
        return Judgement(
            RunState.FAILED,
            f"the agent reports an error: {_one_line(said)}",
            "read its log, then run the task again",
        )
    if evidence.verify_code not in (None, 0):
        return Judgement(
            RunState.FAILED,
            f"--verify failed with exit code {evidence.verify_code}: {_one_line(verify or '')}",
        )
    if not evidence.report and not evidence.changed and not evidence.removed:
        return Judgement(
            RunState.FAILED,
            "the agent exited 0 but left neither a report nor a change",
            "look at its output above; a rate limit or a denied tool often ends like this",
        )
    if verify is not None and evidence.verify_code is None:
        return Judgement(RunState.FAILED, "the --verify command did not run")
    return Judgement(RunState.OK)


def evidence_from(facts: Sequence[tuple[str, str]]) -> Evidence:
    """Evidence from the (name, value) facts of `agent_evidence`."""

    def every(name: str) -> list[str]:
        return [value for key, value in facts if key == name]

    def number(name: str) -> int | None:
        found = every(name)
        return int(found[0]) if found and found[0].isdigit() else None

    return Evidence(
        result=read_result((every("result") or [""])[0]),
        report=(every("report") or [""])[0],
        changed=tuple(every("changed")),
        removed=tuple(every("removed")),
        more=number("more") or 0,
        verify_code=number("verify"),
    )


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 200 else flat[:199] + "…"
