"""What the test runners of a run said at its end: out of its output, else out of the JUnit XML that it left there."""

from __future__ import annotations

from dgummy import remote, summaries
from dgummy.model import Failure, Host
from dgummy.transport.base import Limits, Transport
from dgummy.transport.framing import Data, Frame

_MOST_REPORTS = 50
_MOST_KIB = 1024


def from_output(tails: dict[str, str], *, whole: bool) -> str:
    """One line about the tests in the last of what a run printed ("out" and "err"); "" for none."""
    found = summaries.read(f"{tails['err']}\n{tails['out']}", whole=whole)
    return summaries.describe(found) if found else ""


def from_host(control: Transport, host: Host, run_id: str, directory: str, *, script_s: float) -> str:
    """One line about the tests in the JUnit XML that a run left on its host; "" for none, or none that can be read."""
    reports: list[bytearray] = []

    def hear(frame: Frame) -> None:
        if not isinstance(frame, Data):
            reports.append(bytearray())
        elif reports:
            reports[-1].extend(frame.data)

    args = [run_id, directory, str(_MOST_REPORTS), str(_MOST_KIB)]
    script = remote.compose(("workspace", "junit"), "junit_reports", args, variables={"DG_ROOT": host.probe_root})
    answer = control.run_script(host, script, Limits(total_s=script_s), hear)
    if isinstance(answer, Failure):
        return ""
    try:
        found = summaries.read_junit(bytes(report) for report in reports if report)
    except ValueError:
        return ""
    return summaries.describe(found) if found else ""
