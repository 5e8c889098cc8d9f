"""Put `inv doctor` together: from an app, which may not even have settings that can be read, to a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy import fanout, layers, memo, repairs
from dgummy.backends import NO_HOSTS
from dgummy.diagnosis_here import Trouble
from dgummy.doctor import Doctor, without_settings
from dgummy.errors import ConfigError
from dgummy.findings import Report
from dgummy.repairs import Mended
from dgummy.selfcheck import Scene
from dgummy.settings import Settings

if TYPE_CHECKING:
    from dgummy.app import App
    from dgummy.chooser import Wish
    from dgummy.transport.sshconfig import SSHTarget

SETTINGS_S = 20.0
"""So long the settings may take, and with them the look for a `d`."""


class Clinic:
    """Looks at what an app is about, and mends what is safe to mend. Nobody is asked anything meanwhile."""

    def __init__(self, app: App, wish: Wish) -> None:
        app.asks = False
        self._app = app
        self._wish = wish

    @cached_property
    def _doctor(self) -> Doctor | Trouble:
        """What looks at hosts, or why the settings cannot be used."""
        call = fanout.Call(lambda: Doctor(self._app.cluster, self._app.resolver))
        if not call.wait(SETTINGS_S):
            what = "reading the settings, and looking for what they name, does not come to an end"
            return Trouble(what, "see which hangs: ls -ld ~/.config ~/.cache, and what DGUMMY_CONFIG names")
        try:
            return call.result()
        except ConfigError as error:
            return Trouble(error.message, error.remedy)

    def look(self) -> Report:
        """Look at this machine and the hosts. DgummyError for a wish that makes no sense."""
        doctor = self._doctor
        if isinstance(doctor, Trouble):
            return without_settings(self._scene_without_settings(doctor))
        return doctor.look(self._wish, self._scene)

    def mend(self, report: Report) -> list[Mended]:
        """Carry out the repairs that a report names."""
        doctor = self._doctor
        if isinstance(doctor, Trouble):
            return repairs.mend(report.findings, repairs.nobody, jobs=1)
        return repairs.mend(report.findings, doctor.call, jobs=self._app.settings.jobs)

    def _scene_without_settings(self, trouble: Trouble) -> Scene:
        call = fanout.Call(lambda: self._app.state_dir)
        try:
            state_dir = call.result() if call.wait(1) else None
        except ConfigError:
            state_dir = None
        return Scene(
            os.environ,
            state_dir or layers.expand_path(Settings().state_dir, self._app.home),
            self._memo_dir,
            self._app.home,
            config=trouble,
            readable=False,
        )

    def _scene(self, targets: Mapping[str, Sequence[SSHTarget]]) -> Scene:
        app, cache = self._app, self._app.settings.cache
        merged, inventory = app.merged, app.inventory
        wants_d = app.settings.backend in ("auto", "d") and bool(inventory.hosts)
        return Scene(
            os.environ,
            app.state_dir,
            self._memo_dir,
            app.home,
            cache_files=tuple(layers.expand_path(path, app.home) for path in (cache.load_path, cache.status_path)),
            targets=targets,
            find_d=app.find_d if wants_d else None,
            config=_missing_group(app),
            config_files=tuple(dict.fromkeys(merged.origins.values())),
            warnings=merged.warnings,
            hosts=len(inventory.hosts),
            why_here=NO_HOSTS if app.cluster.here == NO_HOSTS else "",
        )

    @property
    def _memo_dir(self) -> Path:
        return memo.folder(os.environ, self._app.home)


def _missing_group(app: App) -> Trouble | None:
    groups = app.inventory.groups
    if not groups or app.settings.group in groups:
        return None
    return Trouble(f"group: there is no group {app.settings.group}", f"groups: {', '.join(groups)}")
