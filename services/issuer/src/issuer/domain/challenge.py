"""A challenge record: stored before it is shown, removed when its order needs it no more."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.job import JobId

__all__ = ["SEEN", "ChallengeRecord", "ChallengeSolver", "Propagation"]


@dataclass(frozen=True)
class ChallengeRecord:
    """`url` is the challenge at the CA; name and value as in `ChallengeOffer`.

    `solver` is the name of the solver that shows it, also when the configuration has changed since; empty in rows of
    an earlier version, where the kind says which. `shown` tells that the solver took it.
    """

    job: JobId
    kind: ChallengeKind
    url: str
    identifier: str
    record_name: str
    record_value: str
    solver: str = ""
    shown: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Propagation:
    """Whether everybody whom a CA may ask sees the records; if not, `detail` says who doesn't see what, for people,
    and `look_again` when it is worth another look.
    """

    seen: bool
    detail: str = ""
    look_again: timedelta = timedelta()


SEEN: Final = Propagation(seen=True)


class ChallengeSolver(Protocol):
    """Shows challenge records where a CA looks for them.

    Every call is safe to repeat, and to make after a crash for records that another process showed or removed.
    Several records may share a name: removing some must leave the others. Each raises SolverError where the place
    can't be reached. None waits longer than a few seconds: what takes longer is looked at again.
    """

    async def present(self, records: Sequence[ChallengeRecord]) -> None: ...

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation: ...

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None: ...
