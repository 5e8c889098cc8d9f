"""Invoke's own settings files, where ours stand below `dgummy:`; a broken one is refused as our own file is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.config import Config

from dgummy import layers
from dgummy.errors import ConfigError
from dgummy.transport.plaintext import printable


class InvokeConfig(Config):
    """Invoke's settings. ConfigError, which names the file, for one that cannot be read.

    Each is merged at once, whatever is asked for, so that it is known whose fault it is if that fails.
    """

    def load_system(self, merge: bool = True) -> None:  # noqa: ARG002 - see above
        """Read the machine's file."""
        with _told("/etc/invoke.*"):
            super().load_system()

    def load_user(self, merge: bool = True) -> None:  # noqa: ARG002 - see above
        """Read the user's file."""
        with _told("~/.invoke.*"):
            super().load_user()

    def load_project(self, merge: bool = True) -> None:  # noqa: ARG002 - see above
        """Read the project's file."""
        with _told(f"{self._project_prefix}invoke.*"):
            super().load_project()

    def load_runtime(self, merge: bool = True) -> None:  # noqa: ARG002 - see above
        """Read the file that was named on the command line."""
        with _told(str(self._runtime_path)):
            super().load_runtime()

    def find_project(self, cwd: Path) -> None:
        """Read the file of the project that a folder is in, as `inv` does where it finds a tasks.py."""
        root = layers.project_settings_folder(cwd)
        if root is not None:
            self.set_project_location(str(root))
            self.load_project()


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the system's, YAML's, Invoke's, and whatever a file that is Python raises
        what = f"{type(error).__name__}: {printable(str(error))}"
        if isinstance(error, AttributeError):  # what Invoke has to say of a list, say
            what = "holds no map of settings"
        raise ConfigError(f"{place}: {what}", "correct it, or move it away") from error
