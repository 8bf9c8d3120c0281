"""How long control of names took to be proven, and what came of it: by CA and kind of solver."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Final

from certcore.clock import Clock
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import SolverError
from issuer.domain.failure import JobFailedError
from issuer.domain.job import Job, JobId
from issuer.handlers.metrics import Metrics

__all__ = ["ChallengeOutcome", "ChallengeTimes"]

_MOST: Final = 10_000
"""Of jobs that another issuer took over nothing more is heard."""
_UNNAMED: Final = "unknown"


class ChallengeOutcome(StrEnum):
    PROVEN = "proven"
    REFUSED = "refused"
    """The CA looked, and didn't see it."""
    UNREACHABLE = "unreachable"
    """The solver's place couldn't be reached; it is tried again."""


class ChallengeTimes:
    """`kinds` are those of the configured solvers, by name."""

    def __init__(self, *, kinds: Mapping[str, str], metrics: Metrics, clock: Clock) -> None:
        self._kinds = kinds
        self._metrics = metrics
        self._clock = clock
        self._began: dict[JobId, datetime] = {}

    @contextmanager
    def proving(self, job: Job, records: Sequence[ChallengeRecord]) -> Iterator[None]:
        """Around each look of a job: from the first one on it counts, also while the job waits in between."""
        if job.id not in self._began and len(self._began) >= _MOST:
            del self._began[next(iter(self._began))]
        self._began.setdefault(job.id, self._clock())
        try:
            yield
        except SolverError:
            self._ended(job, records, ChallengeOutcome.UNREACHABLE)
            raise
        except JobFailedError as failure:
            if failure.order_over:
                self._ended(job, records, ChallengeOutcome.REFUSED)
            raise
        self._ended(job, records, ChallengeOutcome.PROVEN)

    def _ended(self, job: Job, records: Sequence[ChallengeRecord], outcome: ChallengeOutcome) -> None:
        took = (self._clock() - self._began.pop(job.id, self._clock())).total_seconds()
        for kind in sorted({self._kinds.get(record.solver, _UNNAMED) for record in records}):
            self._metrics.challenged(job.ca or "", kind, outcome, took)
