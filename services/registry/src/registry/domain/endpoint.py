"""An endpoint: what it should serve, what was seen of it, and how long ago."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certcore.events import ServingVerdict

__all__ = ["LOOKS_THAT_COUNT", "ROUNDS_TO_PROVE", "Endpoint", "ProbeWorker", "are_stale", "is_stale", "looked_at"]

LOOKS_THAT_COUNT: Final = 2
"""A fault counts from the second look in a row: one handshake may fail by chance."""

ROUNDS_TO_PROVE: Final = 3
"""A proof older than this many periods of its probe worker proves nothing."""

_USUAL_PERIOD: Final = timedelta(seconds=60)
"""Of a probe worker that has not reported a round yet."""

_GOOD: Final = frozenset({ServingVerdict.WANTED, ServingVerdict.PREVIOUS})


@dataclass(frozen=True)
class Endpoint:
    """What the monitor observed last. `proven` is the revision that was last seen here as the wanted one, 0 before.

    `in_a_row` counts the looks in a row that found a fault; None where an older monitor didn't report it.
    `looked_at` is the last look before the round that missed this endpoint.
    """

    certificate_id: str
    url: str
    target: str | None
    verdict: ServingVerdict | str | None = None
    served_revision: int | None = None
    served_fingerprint_sha256: str | None = None
    detail: str = ""
    addresses: tuple[str, ...] = ()
    observed_at: datetime | None = None
    in_a_row: int | None = None
    proven: int = 0
    looked_at: datetime | None = None

    @property
    def is_good(self) -> bool:
        """Whether the last look found a wanted or accepted leaf."""
        return self.verdict in _GOOD

    @property
    def is_faulty(self) -> bool:
        """Whether a fault was seen often enough to count."""
        if self.verdict is None or self.is_good:
            return False
        return self.in_a_row is None or self.in_a_row >= LOOKS_THAT_COUNT

    @property
    def is_doubtful(self) -> bool:
        """Whether a fault was seen that doesn't count yet."""
        return self.verdict is not None and self.verdict not in _GOOD and not self.is_faulty


@dataclass(frozen=True)
class ProbeWorker:
    """A probe worker's last round: it looked at all endpoints but for those in `missed` (certificate id, URL)."""

    name: str
    place: str
    started: datetime
    ended: datetime
    period: timedelta
    looked: int
    missed: frozenset[tuple[str, str]] = frozenset()


def are_stale(workers: Sequence[ProbeWorker], *, now: datetime) -> bool:
    """Whether no probe worker finished a round lately."""
    return all(now - worker.ended > ROUNDS_TO_PROVE * worker.period for worker in workers)


def looked_at(endpoint: Endpoint, workers: Sequence[ProbeWorker]) -> datetime | None:
    """The time of the last look at the endpoint; None where there was none."""
    key = (endpoint.certificate_id, endpoint.url)
    rounds = [worker.ended for worker in workers if key not in worker.missed]
    seen = [endpoint.observed_at, endpoint.looked_at, *(rounds if endpoint.observed_at is not None else ())]
    return max((instant for instant in seen if instant is not None), default=None)


def is_stale(endpoint: Endpoint, workers: Sequence[ProbeWorker], *, now: datetime) -> bool:
    """Whether what was seen is too old to prove anything."""
    last = looked_at(endpoint, workers)
    longest = max((worker.period for worker in workers), default=_USUAL_PERIOD)
    return last is None or now - last > ROUNDS_TO_PROVE * longest
