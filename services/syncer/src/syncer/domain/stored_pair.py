"""What to do about one certificate's files."""

from dataclasses import dataclass
from datetime import datetime

from syncer.domain.target import Wanted, WriteReason

__all__ = ["PairSeen", "judge_pair"]


@dataclass(frozen=True)
class PairSeen:
    """What a reader of the files would get. `whole`: the files fit together, and nobody else may read them."""

    revision: int
    fingerprint_sha256: str
    not_after: datetime
    whole: bool
    reloaded: bool


def judge_pair(seen: PairSeen | None, wanted: Wanted) -> WriteReason | None:
    """Why the files must be written, or None where they hold the revision or a newer one."""
    if seen is None:
        return WriteReason.MISSING
    if seen.revision < wanted.revision:
        return WriteReason.OLDER
    if seen.revision > wanted.revision:
        # That it is newer is believed where the certificate itself agrees.
        return None if seen.whole and seen.not_after >= wanted.not_after else WriteReason.EDITED
    if not seen.whole or seen.fingerprint_sha256 != wanted.fingerprint_sha256:
        return WriteReason.EDITED
    return None if seen.reloaded else WriteReason.NOT_RELOADED
