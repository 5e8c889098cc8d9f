"""The program `dgummy`: the same tasks as `inv`, for where there is no tasks.py."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from invoke.program import Program

from dgummy import layers
from dgummy.boundary import run_bounded


def make_program() -> Program:
    """The program `dgummy`: the same tasks, for where there is no tasks.py."""
    from dgummy import __version__
    from dgummy.tasks import ns

    return Dgummy(name="dgummy", binary="dgummy", binary_names=["dgummy"], namespace=ns, version=__version__)


class Dgummy(Program):
    """Invoke with our collection built in, and the project's invoke.yaml all the same."""

    def parse_collection(self) -> None:
        """Read the settings of the project that we are in, as `inv` does where it finds a tasks.py."""
        super().parse_collection()
        root = None
        with suppress(OSError):  # a folder that is gone is refused by whatever needs one
            root = layers.project_settings_folder(Path.cwd())
        if root is not None:
            self.config.set_project_location(str(root))
            self.config.load_project()


def main() -> None:
    """Entry point of the program `dgummy`."""
    sys.exit(run_bounded(lambda: make_program().run(), as_json=False))
