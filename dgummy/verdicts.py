"""What `inv doctor` found on hosts and no probe can see, kept for as long as it is believed (`dgummy.gate`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from dgummy import cache, locks
from dgummy.errors import TryAgainError
from dgummy.gate import VERDICT_S, Verdict


class Verdicts:
    """The verdicts in the state folder. `key_parts` name everything that they depend on besides the hosts' names."""

    def __init__(self, state_dir: Path, key_parts: Iterable[str]) -> None:
        self._path = state_dir / "cache" / "doctor.json"
        self._locks = state_dir / "locks"
        self._key = cache.make_key(["doctor", *key_parts])

    def known(self, now: datetime) -> dict[str, Verdict]:
        """The verdicts that are still believed, by host."""
        found = cache.read(
            self._path, private_dir=self._path.parent, key=self._key, ttl_s=VERDICT_S, now=now, decode=_decode
        )
        if found.cached is None:
            return {}
        return {one.host: one for one in found.cached.value if (now - one.measured_at).total_seconds() <= VERDICT_S}

    def remember(self, fresh: Sequence[Verdict], now: datetime) -> None:
        """Put new verdicts in the place of what was known of these hosts. What cannot be written is not remembered."""
        # A name that no `--lock` can have.
        with suppress(TryAgainError), locks.held_all(self._locks, [".doctor"], TryAgainError("another holds it")):
            merged = self.known(now) | {one.host: one for one in fresh}
            payload = msgspec.json.encode([one for one in merged.values() if one.stops])
            cache.write(self._path, private_dir=self._path.parent, key=self._key, payload=payload, now=now)


def _decode(payload: bytes) -> tuple[Verdict, ...]:
    return msgspec.json.decode(payload, type=tuple[Verdict, ...])
