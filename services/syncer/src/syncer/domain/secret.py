"""Decides about one Secret: write it, keep it, or report a conflict."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from certdelivery.model import Held, Wanted, Withdrawal, WriteReason
from syncer.domain.origin import (
    CERTIFICATE,
    CERTIFICATE_ID,
    CHAIN_SHA256,
    FINGERPRINT,
    GENERATION,
    MANAGED_BY,
    MANAGER,
    MARKS_SHA256,
    REVISION,
    SITE,
    SecretMarks,
    manager_of,
    owner_of,
)

__all__ = [
    "TLS_TYPE",
    "Conflict",
    "ConflictReason",
    "ExistingSecret",
    "Keep",
    "KeepReason",
    "Pair",
    "Remove",
    "Write",
    "annotations_for",
    "judge",
    "judge_withdrawal",
    "labels_for",
]

TLS_TYPE: Final = "kubernetes.io/tls"


class KeepReason(StrEnum):
    RIGHT = "right"
    NEWER = "newer"
    NOT_OURS = "not_ours"
    GONE = "gone"


class ConflictReason(StrEnum):
    """Why a Secret must not be written."""

    WRONG_TYPE = "wrong_type"
    OWNED = "owned"
    FOREIGN = "foreign"
    OTHER_CERTIFICATE = "other_certificate"


@dataclass(frozen=True)
class Pair:
    """The parsed data of a Secret; `chain_sha256` is over the bytes of tls.crt."""

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
    """`newer` is what it holds, where that has a higher generation than what was asked for."""

    reason: KeepReason
    newer: Held | None = None


@dataclass(frozen=True)
class Remove:
    pass


@dataclass(frozen=True)
class Conflict:
    """`owner` names the Secret's owner, for people."""

    reason: ConflictReason
    owner: str


def labels_for(wanted: Wanted) -> dict[str, str]:
    return {
        MANAGED_BY: MANAGER,
        CERTIFICATE_ID: wanted.certificate_id,
        CERTIFICATE: wanted.name,
        SITE: wanted.place,
    }


def annotations_for(wanted: Wanted, *, chain_sha256: str) -> dict[str, str]:
    """The key needs no hash: that it fits the certificate is checked."""
    return {
        GENERATION: str(wanted.generation),
        REVISION: str(wanted.revision),
        FINGERPRINT: wanted.fingerprint_sha256,
        CHAIN_SHA256: chain_sha256,
        MARKS_SHA256: _marks_sha256(
            wanted.certificate_id, wanted.generation, wanted.revision, wanted.fingerprint_sha256
        ),
    }


def judge(existing: ExistingSecret | None, wanted: Wanted) -> Write | Keep | Conflict:
    """Decide by what was read: first by the owner of the Secret, then by what it holds."""
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


def judge_withdrawal(existing: ExistingSecret | None, withdrawal: Withdrawal) -> Remove | Keep:
    """Whether a Secret is to be removed: only what carries our marks of this very certificate."""
    if existing is None:
        return Keep(KeepReason.GONE)
    marks = existing.marks
    ours = marks.certificate_id == withdrawal.certificate_id and existing.type == TLS_TYPE
    if not ours or owner_of(marks) is not None:
        return Keep(KeepReason.NOT_OURS)
    held = _held(marks)
    if (held.order or 0) > withdrawal.generation:
        return Keep(KeepReason.NEWER, held)
    return Remove()


def _judge_ours(existing: ExistingSecret, wanted: Wanted) -> Write | Keep:
    held = _held(existing.marks)
    if held.order is None:
        return Write(WriteReason.EDITED)
    if held.order < wanted.generation:
        return Write(WriteReason.OLDER)
    pair = existing.pair
    if pair is None or not pair.key_fits:
        return Write(WriteReason.EDITED)
    if held.order > wanted.generation:
        believed = _agrees(existing.marks, held, pair, wanted)
        return Keep(KeepReason.NEWER, held) if believed else Write(WriteReason.EDITED)
    right = pair.fingerprint_sha256 == wanted.fingerprint_sha256 and _marked(existing.marks, wanted, pair)
    return Keep(KeepReason.RIGHT) if right else Write(WriteReason.EDITED)


def _held(marks: SecretMarks) -> Held:
    return Held(marks.revision, marks.annotations.get(FINGERPRINT, ""), marks.generation)


def _agrees(marks: SecretMarks, held: Held, pair: Pair, wanted: Wanted) -> bool:
    """Whether a copy is really newer: its content must match its marks, and they must be unedited."""
    if pair.fingerprint_sha256 != held.fingerprint_sha256:
        return False
    if held.generation is None:
        # Without a generation, the certificate itself must be newer.
        newer = pair.not_after >= wanted.not_after
        return newer and pair.fingerprint_sha256 != wanted.fingerprint_sha256
    sealed = _marks_sha256(wanted.certificate_id, held.generation, held.revision, held.fingerprint_sha256)
    return marks.annotations.get(MARKS_SHA256) == sealed


def _marked(marks: SecretMarks, wanted: Wanted, pair: Pair) -> bool:
    # Without the site: two sites that share a cluster would overwrite each other's mark.
    labels = {name: value for name, value in labels_for(wanted).items() if name != SITE}
    annotations = annotations_for(wanted, chain_sha256=pair.chain_sha256)
    if GENERATION not in marks.annotations:
        # Written before there were generations: it is right, and not written again to add one.
        del annotations[GENERATION], annotations[MARKS_SHA256]
    return labels.items() <= dict(marks.labels).items() and annotations.items() <= dict(marks.annotations).items()


def _marks_sha256(certificate_id: str, generation: int, revision: int | None, fingerprint_sha256: str) -> str:
    facts = f"{certificate_id}|{generation}|{revision}|{fingerprint_sha256}"
    return hashlib.sha256(facts.encode()).hexdigest()
