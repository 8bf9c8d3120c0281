"""A registry that was restored from a copy takes over what the issuer has: it orders nothing twice.

The newest valid X.509 certificate of each variant that isn't stored here is wanted from the issuer. Until it is here
the certificate is renewing; then its targets should hold it in a generation of the new epoch, which is above whatever
they hold. A target that the copy knows without a report gets the same revision in a new generation, so that it
reports again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from certcore.api import CertificateState, IssuedRevision
from certcore.placements import PLATFORM, Action
from registry.domain.change import Announced, Change
from registry.domain.deployment import SealedKeys, deployments
from registry.domain.lifecycle import Trigger, follow
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest, SigningState
from registry.domain.rollout import Rollout
from registry.domain.site import Carried

__all__ = ["CaughtUp", "catch_up", "newest_valid"]

_WAITS_FOR_ISSUE: Final = frozenset({CertificateState.DELIVERING, CertificateState.LIVE, CertificateState.FAILING})


@dataclass(frozen=True)
class CaughtUp:
    """`wanted` are those that the issuer should store again."""

    change: Change
    wanted: tuple[IssuedRevision, ...]


def newest_valid(issued: Iterable[IssuedRevision], *, now: datetime) -> tuple[IssuedRevision, ...]:
    """Of one certificate, the newest of each variant that is valid now; by variant."""
    newest: dict[str, IssuedRevision] = {}
    for item in issued:
        known = newest.get(item.variant)
        if item.not_after > now and (known is None or item.revision > known.revision):
            newest[item.variant] = item
    return tuple(newest[variant] for variant in sorted(newest))


def catch_up(
    rollout: Rollout,
    issued: Sequence[IssuedRevision],
    sealed: SealedKeys,
    carried: Carried,
    *,
    approved: bool,
    now: datetime,
) -> CaughtUp:
    """Take over what the issuer reported of one certificate; `approved`: its approval covers the intent as it is.

    Without an approval only the revision's number is taken over: once it is approved, that revision is ordered, which
    the issuer has.

    Raises:
        PermanentError: as `registry.domain.deployment.deployment`.
    """
    highest = max((item.revision for item in issued), default=0)
    is_news = highest > rollout.certificate.ordered
    certificate = replace(rollout.certificate, ordered=max(rollout.certificate.ordered, highest))
    rollout = rollout.with_certificate(certificate)
    if not certificate.active or certificate.unreadable is not None or not approved:
        return CaughtUp(Change("its revision's number is taken over", certificate=certificate), ())
    newest = newest_valid(issued, now=now)
    wanted = tuple(item for item in newest if _is_missing(rollout, item))
    signing = tuple(request for item in wanted for request in _signing(rollout, item, now))
    newest_here = rollout.newest.number if rollout.newest is not None else 0
    if (wanted or is_news) and certificate.ordered > newest_here and certificate.state in _WAITS_FOR_ISSUE:
        # Where all that was lost has expired, the last of them stays ordered: the issuer gets it anew.
        reason = f"revision {certificate.ordered} was issued before the registry was restored: waiting for the issuer"
        certificate = certificate.moved(follow(certificate.state, Trigger.RENEWAL_ORDERED), reason, now)
        rollout = rollout.with_certificate(certificate)
    rollout, placements, announced = _ordered_again(rollout, newest, sealed, carried, now)
    change = Change(
        rollout.certificate.reason,
        certificate=rollout.certificate,
        placements=placements,
        signing=signing,
        announced=announced,
    )
    return CaughtUp(change, wanted)


def _is_missing(rollout: Rollout, item: IssuedRevision) -> bool:
    """Whether some target should hold a revision that isn't here, or isn't known to be issued."""
    taken = any(place.variant == item.variant and place.action is Action.HOLD for place in rollout.placements)
    known = max((one.number for one in rollout.revisions if _is_known(one, item.variant)), default=0)
    return taken and item.revision > known


def _is_known(revision: Revision, variant: str) -> bool:
    return revision.variant == variant and revision.announced


def _signing(rollout: Rollout, item: IssuedRevision, now: datetime) -> tuple[SigningRequest, ...]:
    """The signing request of a target that makes its own key is lost; that of an earlier revision is of no use."""
    if item.variant == PLATFORM:
        return ()
    own = [request for request in rollout.signing if request.variant == item.variant]
    dropped = tuple(
        replace(request, state=SigningState.DROPPED, since=now)
        for request in own
        if request.revision < item.revision and request.state in {SigningState.WANTED, SigningState.ORDERED}
    )
    known = next((request for request in own if request.revision == item.revision), None)
    if known is not None and known.state is SigningState.ORDERED:
        return dropped
    lost = SigningRequest(
        certificate_id=item.certificate_id,
        revision=item.revision,
        variant=item.variant,
        target=next(place.target for place in rollout.placements if place.variant == item.variant),
        state=SigningState.ORDERED,
        since=now,
    )
    return (*dropped, lost)


def _ordered_again(
    rollout: Rollout, newest: Sequence[IssuedRevision], sealed: SealedKeys, carried: Carried, now: datetime
) -> tuple[Rollout, tuple[Placement, ...], tuple[Announced, ...]]:
    """What the issuer has as the newest too, and what no target is known to hold: their reports may be lost.

    Nothing that the issuer doesn't name is ordered: the target may hold a newer one that nobody else has any more.
    """
    confirmed = {(item.revision, item.variant, item.fingerprint_sha256) for item in newest}
    leaves = {(item.number, item.variant): item.fingerprint_sha256 for item in rollout.variants}
    again = [
        item
        for item in rollout.placements
        if item.is_wanted
        and not item.is_held
        and (item.wanted, item.variant, leaves.get((item.wanted or 0, item.variant))) in confirmed
    ]
    if not again:
        return rollout, (), ()
    certificate = replace(rollout.certificate, generation=rollout.certificate.next_generation)
    rollout = rollout.with_certificate(certificate)
    placements = tuple(item.ordered(item.wanted or 0, certificate.generation, now) for item in again)
    for item in placements:
        rollout = rollout.with_placement(item)
    orders = deployments(rollout, sealed, carried, of=placements)
    return rollout, placements, (*orders, rollout.expectation())
