"""The program `dgummy`: the same tasks as `inv`, for where there is no tasks.py."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from invoke.program import Program

from dgummy.boundary import run_bounded, words_around_dashes
from dgummy.invokefiles import InvokeConfig


def make_program() -> Program:
    """The program `dgummy`: the same tasks, for where there is no tasks.py."""
    from dgummy import __version__
    from dgummy.tasks import ns

    return Dgummy(
        name="dgummy",
        binary="dgummy",
        binary_names=["dgummy"],
        namespace=ns,
        version=__version__,
        config_class=InvokeConfig,
    )


class Dgummy(Program):
    """Invoke with our collection built in, and the project's invoke.yaml all the same."""

    def parse_collection(self) -> None:
        """Read the settings of the project that we are in, as `inv` does where it finds a tasks.py."""
        super().parse_collection()
        with suppress(OSError):  # a folder that is gone is refused by whatever needs one
            self.config.find_project(Path.cwd())


def main() -> None:
    """Entry point of the program `dgummy`."""
    sys.exit(run_bounded(lambda: make_program().run(), as_json="--json" in words_around_dashes()[0]))
