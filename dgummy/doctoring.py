"""Put `inv doctor` together: from an app, which may not even have settings that can be read, to a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy import layers, memo, repairs
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


class Clinic:
    """Looks at what an app is about, and mends what is safe to mend. Nobody is asked anything meanwhile."""

    def __init__(self, app: App, wish: Wish) -> None:
        app.asks = False
        self._app = app
        self._wish = wish

    @cached_property
    def _doctor(self) -> Doctor | ConfigError:
        """What looks at hosts, or why the settings cannot be used."""
        try:
            return Doctor(self._app.cluster, self._app.resolver)
        except ConfigError as error:
            return error

    def look(self) -> Report:
        """Look at this machine and the hosts. DgummyError for a wish that makes no sense."""
        doctor = self._doctor
        if isinstance(doctor, ConfigError):
            return without_settings(self._scene_without_settings(doctor))
        return doctor.look(self._wish, self._scene)

    def mend(self, report: Report) -> list[Mended]:
        """Carry out the repairs that a report names."""
        doctor = self._doctor
        if isinstance(doctor, ConfigError):
            return repairs.mend(report.findings, repairs.nobody, jobs=1)
        return repairs.mend(report.findings, doctor.call, jobs=self._app.settings.jobs)

    def _scene_without_settings(self, error: ConfigError) -> Scene:
        try:
            state_dir = self._app.state_dir
        except ConfigError:
            state_dir = layers.expand_path(Settings().state_dir, self._app.home)
        return Scene(
            os.environ,
            state_dir,
            self._memo_dir,
            self._app.home,
            config=Trouble(error.message, error.remedy),
            readable=False,
        )

    def _scene(self, targets: Mapping[str, Sequence[SSHTarget]]) -> Scene:
        app, cache = self._app, self._app.settings.cache
        merged, inventory = app.merged, app.inventory
        return Scene(
            os.environ,
            app.state_dir,
            self._memo_dir,
            app.home,
            cache_files=tuple(layers.expand_path(path, app.home) for path in (cache.load_path, cache.status_path)),
            targets=targets,
            d=self._d(),
            config=_missing_group(app),
            config_files=tuple(dict.fromkeys(merged.origins.values())),
            warnings=merged.warnings,
            hosts=len(inventory.hosts),
            why_here=NO_HOSTS if app.cluster.here == NO_HOSTS else "",
        )

    @property
    def _memo_dir(self) -> Path:
        return memo.folder(os.environ, self._app.home)

    def _d(self) -> str:
        from dgummy.transport.dfind import Found

        found = self._app.find_d()
        used = self._app.cluster.backend
        if isinstance(found, Found):
            return f"{found.path} speaks the {found.dialect.value} dialect; backend: {used}"
        return f"{found.why}; backend: {used}"


def _missing_group(app: App) -> Trouble | None:
    groups = app.inventory.groups
    if not groups or app.settings.group in groups:
        return None
    return Trouble(f"group: there is no group {app.settings.group}", f"groups: {', '.join(groups)}")
