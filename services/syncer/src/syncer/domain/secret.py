"""What to do about one Secret: write it, keep it, or leave it to whose it is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from syncer.domain.origin import (
    CERTIFICATE,
    CERTIFICATE_ID,
    CHAIN_SHA256,
    FINGERPRINT,
    MANAGED_BY,
    MANAGER,
    REVISION,
    SITE,
    SecretMarks,
    manager_of,
    owner_of,
)
from syncer.domain.target import Wanted, WriteReason

__all__ = [
    "TLS_TYPE",
    "Conflict",
    "ConflictReason",
    "ExistingSecret",
    "Keep",
    "KeepReason",
    "Pair",
    "Write",
    "annotations_for",
    "judge",
    "labels_for",
]

TLS_TYPE: Final = "kubernetes.io/tls"


class KeepReason(StrEnum):
    RIGHT = "right"
    NEWER = "newer"


class ConflictReason(StrEnum):
    """Why a Secret is not ours to write."""

    WRONG_TYPE = "wrong_type"
    OWNED = "owned"
    FOREIGN = "foreign"
    OTHER_CERTIFICATE = "other_certificate"


@dataclass(frozen=True)
class Pair:
    """What was seen of a Secret's data; `chain_sha256` is over the bytes of tls.crt."""

    fingerprint_sha256: str
    not_after: datetime
    chain_sha256: str
    key_fits: bool


@dataclass(frozen=True)
class ExistingSecret:
    """`pair` is None where tls.crt can't be read."""

    type: str
    marks: SecretMarks
    pair: Pair | None
    uid: str
    resource_version: str


@dataclass(frozen=True)
class Write:
    reason: WriteReason


@dataclass(frozen=True)
class Keep:
    reason: KeepReason


@dataclass(frozen=True)
class Conflict:
    """`owner` says whose the Secret is, for people."""

    reason: ConflictReason
    owner: str


def labels_for(wanted: Wanted) -> dict[str, str]:
    return {
        MANAGED_BY: MANAGER,
        CERTIFICATE_ID: wanted.certificate_id,
        CERTIFICATE: wanted.name,
        SITE: wanted.site,
    }


def annotations_for(wanted: Wanted, *, chain_sha256: str) -> dict[str, str]:
    """The key needs no hash: whether it fits the certificate can be seen."""
    return {
        REVISION: str(wanted.revision),
        FINGERPRINT: wanted.fingerprint_sha256,
        CHAIN_SHA256: chain_sha256,
    }


def judge(existing: ExistingSecret | None, wanted: Wanted) -> Write | Keep | Conflict:
    """Decide by what was read. Whose a Secret is comes first: only then does it matter what it holds."""
    if existing is None:
        return Write(WriteReason.MISSING)
    marks = existing.marks
    if existing.type != TLS_TYPE:
        return Conflict(ConflictReason.WRONG_TYPE, f"has type {existing.type}, kept by {manager_of(marks)}")
    owner = owner_of(marks)
    if owner is not None:
        return Conflict(ConflictReason.OWNED, f"belongs to {owner}")
    if marks.certificate_id is None:
        return Conflict(ConflictReason.FOREIGN, f"is not certbus's, kept by {manager_of(marks)}")
    if marks.certificate_id != wanted.certificate_id:
        other = marks.labels.get(CERTIFICATE) or marks.certificate_id
        return Conflict(ConflictReason.OTHER_CERTIFICATE, f"belongs to certificate {other}")
    return _judge_ours(existing, wanted)


def _judge_ours(existing: ExistingSecret, wanted: Wanted) -> Write | Keep:
    pair, revision = existing.pair, existing.marks.revision
    intact = pair is not None and pair.key_fits
    if intact and pair is not None and pair.fingerprint_sha256 == wanted.fingerprint_sha256:
        right = _marked(existing.marks, wanted, chain_sha256=pair.chain_sha256)
        return Keep(KeepReason.RIGHT) if right else Write(WriteReason.EDITED)
    if revision is not None and revision < wanted.revision:
        return Write(WriteReason.OLDER)
    if revision is not None and revision > wanted.revision and intact and pair is not None:
        # An annotation is quickly edited: that it is newer is believed where the certificate itself agrees.
        return Keep(KeepReason.NEWER) if pair.not_after >= wanted.not_after else Write(WriteReason.EDITED)
    return Write(WriteReason.EDITED)


def _marked(marks: SecretMarks, wanted: Wanted, *, chain_sha256: str) -> bool:
    # The site is left out: two sites that share a cluster would take the mark from each other for ever.
    labels = {name: value for name, value in labels_for(wanted).items() if name != SITE}
    annotations = annotations_for(wanted, chain_sha256=chain_sha256)
    return labels.items() <= dict(marks.labels).items() and annotations.items() <= dict(marks.annotations).items()
