"""How much `from dgummy.tasks import ns` adds to `inv --list`: at most 1.3 times that of an empty tasks.py."""

from __future__ import annotations

import functools
import sys

import _measure as measure
from _measure import Limit

TASKS = {
    "empty tasks.py": "",
    "from dgummy.tasks import ns": "from dgummy.tasks import ns\n",
    "as a sub-collection": (
        "from invoke import Collection, task\n\nfrom dgummy import tasks\n\n\n"
        "@task\ndef build(c):\n    'Build.'\n\n\nns = Collection(build)\nns.add_collection(tasks.ns, 'on')\n"
    ),
}


def main() -> int:
    """Measure and print."""
    options = measure.arguments(__doc__, rounds=25).parse_args()
    with measure.scratch() as folder:
        env = measure.environment(folder)
        cases = {}
        for number, (name, text) in enumerate(TASKS.items()):
            project = folder / f"project{number}"
            project.mkdir()
            (project / "tasks.py").write_text(text, encoding="utf-8")
            code = 0 if text else 1  # "No tasks found"
            measure.run([measure.INV, "--write-pyc", "--list"], cwd=project, env=env, code=code)
            cases[name] = functools.partial(measure.run, [measure.INV, "--list"], cwd=project, env=env, code=code)
        taken = measure.interleaved(cases, options.rounds)
    base = "empty tasks.py"
    limits = {name: Limit(base, 1.3) for name in TASKS if name != base}
    return 0 if measure.show("inv --list", taken, limits) else 1


if __name__ == "__main__":
    sys.exit(main())
