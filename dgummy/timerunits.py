"""A job as systemd gets it: a service and the timer that starts it. Pure.

systemd ignores sections whose name begins with `X-`; ours says what the job is.
"""

from __future__ import annotations

import json
import re

from dgummy.cronline import Entry
from dgummy.schedule import calendar

MARK = "# Made by `inv cron.add`; `inv cron.remove` takes it away again."


def unit_name(name: str, kind: str) -> str:
    """The name of a job's unit; `kind` is service or timer."""
    return f"dgummy-{name}.{kind}"


def service(name: str, command: str) -> str:
    """The unit that runs a command by a shell, with an environment as cron's."""
    return f"""{MARK}
[Unit]
Description=dgummy job {name}

[Service]
Type=oneshot
ExecStart=/bin/sh -c {_quoted(command)}
"""


def timer(name: str, fields: str, command: str) -> str:
    """The unit that says when."""
    times = "\n".join(f"OnCalendar={text}" for text in calendar(fields))
    told = json.dumps({"name": name, "fields": fields, "command": command})
    return f"""{MARK}
[Unit]
Description=dgummy job {name}

[Timer]
{times}
AccuracySec=1s

[Install]
WantedBy=timers.target

[X-Dgummy]
Job={told}
"""


def read_timer(text: str, *, enabled: bool) -> Entry | None:
    """The job of a timer of ours; None for another, or one that somebody changed to what we do not know."""
    found = re.search(r"^Job=(\{.*\})$", text, re.MULTILINE)
    if not text.startswith(MARK) or found is None:
        return None
    try:
        told = json.loads(found[1])
        return Entry(str(told["name"]), str(told["fields"]), str(told["command"]), enabled)
    except (ValueError, KeyError, TypeError):
        return None


def _quoted(text: str) -> str:
    """One word for systemd, as it is: no specifiers, no variables, no escapes of its own (systemd.service(5))."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
