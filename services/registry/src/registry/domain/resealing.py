"""Recipients that can't open what they should hold: new at a certificate, or with another key than before.

The escrow seals the key to them again. Where it can't, the next revision is ordered: that is sealed to all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from certcore.api import CertificateState
from certcore.bundles import ResealWanted, SealedKey
from certcore.errors import SealingError
from certcore.events import Recipient
from certcore.identities import ESCROW
from certcore.placements import PLATFORM
from certcore.sealing import key_id
from registry.domain.change import Change
from registry.domain.deployment import SealedKeys, deployments
from registry.domain.errors import ConflictError
from registry.domain.issuance import want
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout
from registry.domain.site import Carried, Site

__all__ = [
    "Missing",
    "Resealing",
    "ResealingReason",
    "Standing",
    "accept_resealed",
    "decide",
    "fits",
    "of_escrow",
    "wanted_reseals",
]

_SEEN_LATELY: Final = timedelta(minutes=5)
"""Several rounds of the escrow."""
_PATIENCE: Final = timedelta(hours=1)
"""So long an escrow that is there may take before the next revision is ordered."""


class ResealingReason(StrEnum):
    """Why a key is sealed again by the escrow, or by way of a new revision, or not at all."""

    NOTHING_MISSING = "nothing_missing"
    LEFT_TO_ESCROW = "left_to_escrow"
    NEWER_COMES = "newer_revision_comes"
    NOT_DELIVERED = "not_delivered"
    NO_ESCROW = "no_escrow"
    NO_COPY = "no_escrow_copy"
    ESCROW_TOO_SLOW = "escrow_too_slow"


@dataclass(frozen=True)
class Resealing:
    """`new_revision`: the next revision is to be ordered."""

    reason: ResealingReason
    new_revision: bool = False


@dataclass(frozen=True)
class Missing:
    """The recipients that can't open a revision which they should hold; `copy` is the escrow's, if there is one."""

    revision: Revision
    copy: SealedKey | None
    recipients: tuple[Recipient, ...]


def fits(key: SealedKey | None, recipient: Recipient) -> bool:
    """Whether the recipient can open it, as far as it says to which key it was sealed."""
    if key is None:
        return False
    try:
        return key.key_id is None or key.key_id == key_id(recipient.public_key)
    except SealingError:
        # A key that nobody can seal to is no reason to try.
        return True


@dataclass(frozen=True)
class Standing:
    """A certificate with what is stored of the sealed keys that are wanted, and what is missing of them."""

    rollout: Rollout
    sealed: SealedKeys
    missing: tuple[Missing, ...]

    @classmethod
    def of(cls, rollout: Rollout, sealed: SealedKeys, sites: Sequence[Site], *, now: datetime) -> Self:
        return cls(rollout, sealed, _missing(rollout, sealed, sites, now=now))


def _missing(rollout: Rollout, sealed: SealedKeys, sites: Sequence[Site], *, now: datetime) -> tuple[Missing, ...]:
    """What is missing of the platform's keys, by revision."""
    enrolled = {recipient.name: recipient for site in sites for recipient in site.recipients}
    found = []
    for number in sorted({item.wanted for item in rollout.placements if item.is_wanted and item.wanted is not None}):
        revision = rollout.revision(number, PLATFORM)
        if revision is None or revision.not_after <= now:
            continue
        names = {
            item.recipient
            for item in rollout.placements
            if item.is_wanted and (item.wanted, item.variant) == (number, PLATFORM)
        }
        unfit = tuple(
            enrolled[name]
            for name in sorted(names & enrolled.keys())
            if not fits(sealed.get((number, PLATFORM, name)), enrolled[name])
        )
        if unfit:
            found.append(Missing(revision, sealed.get((number, PLATFORM, ESCROW)), unfit))
    return tuple(found)


def wanted_reseals(found: Sequence[Missing]) -> list[ResealWanted]:
    """What the escrow can do about it."""
    return [
        ResealWanted(
            certificate_id=item.revision.certificate_id,
            revision=item.revision.number,
            variant=item.revision.variant,
            spki_sha256=item.revision.spki_sha256,
            key=item.copy,
            recipients=item.recipients,
        )
        for item in found
        if item.copy is not None
    ]


def decide(standing: Standing, *, escrow_seen: datetime | None, since: datetime, now: datetime) -> Resealing:
    """What is done about what is missing. `escrow_seen` is when the escrow last asked what there is to seal again,
    `since` when it was noticed.
    """
    if not standing.missing:
        return Resealing(ResealingReason.NOTHING_MISSING)
    certificate, newest = standing.rollout.certificate, standing.rollout.newest
    if newest is not None and certificate.ordered > newest.number:
        return Resealing(ResealingReason.NEWER_COMES)
    if certificate.state not in {CertificateState.DELIVERING, CertificateState.LIVE}:
        # What fails to be issued is tried again by its own rule.
        return Resealing(ResealingReason.NOT_DELIVERED)
    obstacle = _obstacle(standing.missing, escrow_seen, since, now)
    return Resealing(obstacle or ResealingReason.LEFT_TO_ESCROW, new_revision=obstacle is not None)


def _obstacle(
    found: Sequence[Missing], escrow_seen: datetime | None, since: datetime, now: datetime
) -> ResealingReason | None:
    if escrow_seen is None or now - escrow_seen > _SEEN_LATELY:
        return ResealingReason.NO_ESCROW
    if any(item.copy is None for item in found):
        return ResealingReason.NO_COPY
    return ResealingReason.ESCROW_TOO_SLOW if now - since > _PATIENCE else None


def of_escrow(issued: SealedKey | None, variant: str) -> tuple[SealedKey, ...]:
    """The escrow's copy among what the issuer handed over.

    Raises:
        ConflictError: it is somebody else's, or of a key that the issuer can't have.
    """
    if issued is None:
        return ()
    if issued.recipient != ESCROW or issued.key_id is None or variant != PLATFORM:
        raise ConflictError(f"the copy for {ESCROW} is none")
    return (issued,)


def accept_resealed(
    standing: Standing, revision: Revision, keys: Sequence[SealedKey], carried: Carried, *, now: datetime
) -> Change:
    """Order the deliveries of keys that were sealed again: the same revision in the next generation. Keys that are
    stored already change nothing.

    Raises:
        ConflictError: a key isn't wanted, or is not sealed to the key that its recipient has.
    """
    rollout, sealed, found = standing.rollout, standing.sealed, standing.missing
    news = [key for key in keys if sealed.get((revision.number, revision.variant, key.recipient)) != key]
    wanted = _recipients(found, revision)
    what = f"revision {revision.number} of {rollout.certificate.name}"
    for key in news:
        recipient = wanted.get(key.recipient)
        if recipient is None:
            raise ConflictError(f"{what} is not to be sealed to {key.recipient} again")
        if key.key_id is None or not fits(key, recipient):
            raise ConflictError(f"{what} is sealed to another key than {key.recipient} has")
    names = {key.recipient for key in news}
    # Whoever misses another revision, too, is told when it has all.
    late = {recipient.name for item in found if item.revision != revision for recipient in item.recipients}
    placements = [
        item
        for item in rollout.placements
        if item.is_wanted
        and (item.wanted, item.variant) == (revision.number, revision.variant)
        and item.recipient in names
    ]
    if not placements:
        return Change(f"{what} is sealed as it should be")
    rollout, ordered = want(rollout, placements, revision.number, now)
    at_hand = {**sealed, **{(revision.number, revision.variant, key.recipient): key for key in news}}
    complete = [item for item in ordered if item.recipient not in late]
    reason = f"{what} was sealed again to {', '.join(sorted(names))}"
    return Change(
        reason,
        certificate=rollout.certificate,
        placements=ordered,
        announced=(*deployments(rollout, at_hand, carried, of=complete), rollout.expectation()),
    )


def _recipients(found: Collection[Missing], revision: Revision) -> Mapping[str, Recipient]:
    return {recipient.name: recipient for item in found if item.revision == revision for recipient in item.recipients}
