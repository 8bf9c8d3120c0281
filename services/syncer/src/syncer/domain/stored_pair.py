"""Decides about one certificate's files."""

from dataclasses import dataclass
from datetime import datetime

from certdelivery.model import Held, Wanted, WriteReason

__all__ = ["PairSeen", "judge_pair"]


@dataclass(frozen=True)
class PairSeen:
    """What a reader of the files would get. `whole`: the files fit together, and only the owner may read them.

    `generation` is None where they were written before there were generations.
    """

    revision: int
    generation: int | None
    fingerprint_sha256: str
    not_after: datetime
    whole: bool
    reloaded: bool

    @property
    def held(self) -> Held:
        return Held(self.revision, self.fingerprint_sha256, self.generation)


def judge_pair(seen: PairSeen | None, wanted: Wanted) -> WriteReason | Held | None:
    """Why the files must be written; None where they hold the revision; what they hold, where that is newer."""
    if seen is None:
        return WriteReason.MISSING
    order = seen.generation if seen.generation is not None else seen.revision
    if order < wanted.generation:
        return WriteReason.OLDER
    if not seen.whole:
        return WriteReason.EDITED
    if order > wanted.generation:
        # Where no generation was stored, the certificate itself must be newer.
        believed = seen.generation is not None or seen.not_after >= wanted.not_after
        return seen.held if believed else WriteReason.EDITED
    if seen.fingerprint_sha256 != wanted.fingerprint_sha256:
        return WriteReason.EDITED
    return None if seen.reloaded else WriteReason.NOT_ACTIVE
