"""A challenge record: stored before it is shown, removed when its order needs it no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.job import JobId

__all__ = ["ChallengeRecord", "ChallengeSolver"]


@dataclass(frozen=True)
class ChallengeRecord:
    """`url` is the challenge at the CA; name and value as in `ChallengeOffer`."""

    job: JobId
    kind: ChallengeKind
    url: str
    identifier: str
    record_name: str
    record_value: str


class ChallengeSolver(Protocol):
    """Shows challenge records where a CA looks for them.

    Both calls are safe to repeat, and to make after a crash for records that another process showed or removed.
    Several records may share a name: removing some must leave the others. Both raise SolverError where the place
    can't be reached.
    """

    async def present(self, records: Sequence[ChallengeRecord]) -> None: ...

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None: ...
