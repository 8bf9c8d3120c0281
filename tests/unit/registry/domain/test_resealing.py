"""What is sealed again: whoever can't open what it should hold, by the escrow, or by way of a new revision."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.api import CertificateState
from certcore.bundles import SealedKey
from certcore.events import EndpointsExpected, Recipient
from certcore.identities import ESCROW
from certcore.placements import PLATFORM
from certcore.sealing import encode_public_key, key_id
from registry.domain.deployment import Deployment, SealedKeys
from registry.domain.errors import ConflictError
from registry.domain.resealing import (
    ResealingReason,
    Standing,
    accept_resealed,
    decide,
    of_escrow,
    wanted_reseals,
)
from registry.domain.rollout import Rollout
from registry.domain.site import Site
from tests.unit.registry import samples
from tests.unit.registry.samples import NOON


def public_key() -> str:
    return encode_public_key(X25519PrivateKey.generate().public_key())


FIRST, SECOND, OF_ESCROW = public_key(), public_key(), public_key()
SYNCER = "site1-syncer"


def sites(key: str = FIRST) -> list[Site]:
    return [Site("site1", (Recipient(name=SYNCER, public_key=key),), ("syncer",))]


def a_rollout(state: CertificateState = CertificateState.LIVE, **changes: Any) -> Rollout:
    return samples.rollout(samples.certificate(state, **changes))


def sealed(recipient: str = SYNCER, key: str = FIRST, what: bytes = b"sealed") -> SealedKey:
    return SealedKey.of(recipient, what, key_id(key))


def stored(*keys: SealedKey) -> SealedKeys:
    return {(1, PLATFORM, key.recipient): key for key in keys}


COPY = sealed(ESCROW, OF_ESCROW)


def stands(keys: SealedKeys, key: str = FIRST, rollout: Rollout | None = None) -> Standing:
    return Standing.of(rollout or a_rollout(), keys, sites(key), now=NOON)


def test_nothing_is_missing_where_everybody_has_its_own_copy() -> None:
    standing = stands(stored(sealed(), COPY))
    assert standing.missing == ()
    assert decide(standing, escrow_seen=NOON, since=NOON, now=NOON).reason is ResealingReason.NOTHING_MISSING


def test_a_copy_of_before_keys_had_ids_counts_as_one() -> None:
    assert stands(stored(SealedKey.of(SYNCER, b"sealed", None), COPY), SECOND).missing == ()


@pytest.mark.parametrize("keys", [stored(sealed(), COPY), stored(COPY)], ids=["replaced", "new"])
def test_who_has_another_key_or_no_copy_is_listed_for_the_escrow(keys: SealedKeys) -> None:
    (item,) = wanted_reseals(stands(keys, SECOND).missing)
    assert (item.certificate_id, item.revision, item.variant, item.key) == ("c-1", 1, PLATFORM, COPY)
    assert item.recipients == (Recipient(name=SYNCER, public_key=SECOND),)
    assert item.spki_sha256 == samples.revision(1).spki_sha256


def test_what_expired_is_not_sealed_again() -> None:
    late = NOON + timedelta(days=1000)
    assert Standing.of(a_rollout(), stored(sealed(), COPY), sites(SECOND), now=late).missing == ()


def test_without_the_escrow_s_copy_nothing_is_listed() -> None:
    standing = stands(stored(sealed()), SECOND)
    assert standing.missing
    assert wanted_reseals(standing.missing) == []


MINUTE = timedelta(minutes=1)
BOTH = stored(sealed(), COPY)
SEEN = {"escrow_seen": NOON, "since": NOON}


@pytest.mark.parametrize(
    ("keys", "times", "reason"),
    [
        (BOTH, SEEN, None),
        (BOTH, {"escrow_seen": NOON - 5 * MINUTE, "since": NOON - 60 * MINUTE}, None),
        (BOTH, {**SEEN, "escrow_seen": None}, ResealingReason.NO_ESCROW),
        (BOTH, {**SEEN, "escrow_seen": NOON - 6 * MINUTE}, ResealingReason.NO_ESCROW),
        (stored(sealed()), SEEN, ResealingReason.NO_COPY),
        (BOTH, {**SEEN, "since": NOON - 61 * MINUTE}, ResealingReason.ESCROW_TOO_SLOW),
    ],
)
def test_a_revision_is_ordered_only_where_the_escrow_can_t_help(
    keys: SealedKeys, times: Any, reason: ResealingReason | None
) -> None:
    decision = decide(stands(keys, SECOND), **times, now=NOON)
    assert decision.reason is (reason or ResealingReason.LEFT_TO_ESCROW)
    assert decision.new_revision is (reason is not None)


@pytest.mark.parametrize(
    ("state", "ordered", "reason"),
    [
        (CertificateState.RENEWING, 2, ResealingReason.NEWER_COMES),
        (CertificateState.FAILING, 1, ResealingReason.NOT_DELIVERED),
        (CertificateState.RETIRED, 1, ResealingReason.NOT_DELIVERED),
    ],
)
def test_no_revision_is_ordered_beside_another_one(
    state: CertificateState, ordered: int, reason: ResealingReason
) -> None:
    standing = stands(stored(sealed()), SECOND, a_rollout(state, ordered=ordered))
    decision = decide(standing, escrow_seen=None, since=NOON, now=NOON)
    assert (decision.reason, decision.new_revision) == (reason, False)


def test_keys_that_were_sealed_again_are_ordered_in_the_next_generation() -> None:
    standing = stands(stored(sealed(), COPY), SECOND)
    again = sealed(key=SECOND, what=b"again")
    (before,) = standing.rollout.placements
    change = accept_resealed(standing, standing.rollout.revisions[0], [again], {}, now=NOON)
    (placement,) = change.placements
    assert (placement.wanted, placement.generation) == (1, before.generation + 1)
    assert change.certificate is not None
    assert change.certificate.state is CertificateState.LIVE
    deployment, expected = change.announced
    assert isinstance(deployment, Deployment)
    assert isinstance(expected, EndpointsExpected)
    (order,) = deployment.order.placements
    old = accept_resealed(
        stands(stored(COPY), SECOND), standing.rollout.revisions[0], [sealed(key=SECOND)], {}, now=NOON
    ).announced[0]
    assert isinstance(old, Deployment)
    # By what it is told, the deliverer sees that the bundle is another one.
    assert order.bundle_sha256 != old.order.placements[0].bundle_sha256
    assert (order.revision, order.generation) == (1, placement.generation)


def test_the_same_keys_again_change_nothing() -> None:
    again = sealed(key=SECOND, what=b"again")
    standing = stands(stored(again, COPY), SECOND)
    change = accept_resealed(standing, standing.rollout.revisions[0], [again], {}, now=NOON)
    assert (change.placements, change.announced, change.certificate) == ((), (), None)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (sealed("site2-syncer", SECOND), "not to be sealed to site2-syncer"),
        (sealed(ESCROW, SECOND), "not to be sealed to escrow"),
        (sealed(what=b"by the key of before"), "another key than site1-syncer has"),
        (SealedKey.of(SYNCER, b"of nobody", None), "another key than site1-syncer has"),
    ],
)
def test_what_is_not_wanted_is_refused(key: SealedKey, why: str) -> None:
    standing = stands(stored(sealed(), COPY), SECOND)
    with pytest.raises(ConflictError, match=why):
        accept_resealed(standing, standing.rollout.revisions[0], [key], {}, now=NOON)


def test_where_nothing_is_missing_nothing_is_taken() -> None:
    standing = stands(stored(sealed(), COPY))
    with pytest.raises(ConflictError, match="not to be sealed"):
        accept_resealed(standing, standing.rollout.revisions[0], [sealed(what=b"again")], {}, now=NOON)


@pytest.mark.parametrize(
    ("key", "variant"),
    [(sealed(), PLATFORM), (SealedKey.of(ESCROW, b"sealed", None), PLATFORM), (COPY, "cdn")],
)
def test_a_copy_for_the_escrow_that_is_none_is_refused(key: SealedKey, variant: str) -> None:
    with pytest.raises(ConflictError):
        of_escrow(key, variant)


def test_an_issuer_without_an_escrow_hands_over_no_copy() -> None:
    assert of_escrow(None, PLATFORM) == ()
    assert of_escrow(COPY, PLATFORM) == (COPY,)
