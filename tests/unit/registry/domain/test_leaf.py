"""A leaf is checked before it is stored."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.inspection import X509Certificate, read_chain
from certcore.placements import PLATFORM
from registry.domain.certificate import Certificate
from registry.domain.errors import ConflictError
from registry.domain.issuance import accept_leaf
from registry.domain.revision import Revision, SigningRequest, SigningState
from tests.authority import Authority
from tests.unit.registry.samples import NOON, certificate, intent, placement, rollout, signing

NAME = "checkout.example.org"
AUTHORITY = Authority()


def leaf_of(
    *names: str, valid_from: timedelta = timedelta(hours=-1), valid_to: timedelta = timedelta(days=30)
) -> tuple[X509Certificate, ...]:
    issued = AUTHORITY.issue(*(names or (NAME,)), not_before=NOON + valid_from, not_after=NOON + valid_to)
    return read_chain(issued.chain_pem.encode())


LEAF = leaf_of()


def accepted(
    chain: tuple[X509Certificate, ...] = LEAF,
    *,
    of: Certificate | None = None,
    number: int = 2,
    to: tuple[str, ...] = ("site1-syncer",),
) -> Revision:
    return accept_leaf(rollout(of or certificate(ordered=2)), chain, number, PLATFORM, set(to), now=NOON)


def test_what_was_ordered_is_accepted_as_it_was_read() -> None:
    found = accepted()
    assert (found.number, found.variant, found.announced) == (2, PLATFORM, False)
    assert (found.serial, found.fingerprint_sha256) == (LEAF[0].serial, LEAF[0].fingerprint_sha256)
    assert read_chain(found.chain_pem.encode()) == LEAF


@pytest.mark.parametrize(
    ("chain", "word"),
    [
        (leaf_of("other.example.org"), "other names"),
        (leaf_of(NAME, "other.example.org"), "other names"),
        (leaf_of(valid_from=timedelta(days=-2), valid_to=timedelta(0)), "and not now"),
        (leaf_of(valid_from=timedelta(hours=2)), "and not now"),
    ],
)
def test_a_leaf_that_can_not_be_served_is_refused(chain: tuple[X509Certificate, ...], word: str) -> None:
    with pytest.raises(ConflictError, match=word):
        accepted(chain)


def test_a_leaf_of_a_clock_that_is_an_hour_ahead_is_accepted() -> None:
    assert accepted(leaf_of(valid_from=timedelta(hours=1))).not_before == NOON + timedelta(hours=1)


def test_another_kind_of_key_than_was_approved_is_refused() -> None:
    with pytest.raises(ConflictError, match="has a key of ec-p256, not rsa-2048"):
        accepted(of=certificate(ordered=2, intent=intent(key_algorithm="rsa-2048")))


@pytest.mark.parametrize("to", [(), ("site2-syncer",), ("site1-syncer", "site2-syncer")])
def test_other_recipients_than_should_have_it_are_refused(to: tuple[str, ...]) -> None:
    with pytest.raises(ConflictError, match="is not sealed to site1-syncer"):
        accepted(to=to)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_revision_that_was_not_ordered_is_refused(number: int) -> None:
    with pytest.raises(ConflictError, match="was not ordered"):
        accepted(number=number)


def test_a_revision_that_was_reported_after_a_restore_is_accepted_without_its_order() -> None:
    of = rollout(certificate(ordered=3))
    assert accept_leaf(of, LEAF, 2, PLATFORM, {"site1-syncer"}, reported=True, now=NOON).number == 2


def test_a_platform_s_leaf_that_no_target_takes_is_refused() -> None:
    of = rollout(certificate(ordered=2), placements=(placement("cdn", wanted=None, own_key=True),))
    with pytest.raises(ConflictError, match="was not ordered"):
        accept_leaf(of, LEAF, 2, PLATFORM, set(), now=NOON)


def accepted_variant(request: SigningRequest, *, to: tuple[str, ...] = ()) -> Revision:
    cdn = placement("cdn", wanted=None, own_key=True)
    return accept_leaf(rollout(placements=(cdn,), signing=(request,)), LEAF, 1, "cdn", set(to), now=NOON)


def test_a_variant_s_leaf_has_the_key_of_its_signing_request() -> None:
    sent = signing(SigningState.ORDERED, spki_sha256=LEAF[0].spki_sha256)
    assert accepted_variant(sent).variant == "cdn"
    other = replace(sent, spki_sha256="f" * 64)
    with pytest.raises(ConflictError, match="another key than the signing request of target cdn"):
        accepted_variant(other)


def test_a_variant_s_leaf_is_accepted_without_its_signing_request_only_where_a_restore_lost_that() -> None:
    lost = signing(SigningState.ORDERED)
    with pytest.raises(ConflictError, match="another key"):
        accepted_variant(lost)
    of = rollout(placements=(placement("cdn", wanted=None, own_key=True),), signing=(lost,))
    assert accept_leaf(of, LEAF, 1, "cdn", set(), reported=True, now=NOON).number == 1
    known = replace(of, signing=(replace(lost, spki_sha256="f" * 64),))
    with pytest.raises(ConflictError, match="another key"):
        accept_leaf(known, LEAF, 1, "cdn", set(), reported=True, now=NOON)


def test_nobody_has_a_sealed_key_of_a_variant() -> None:
    sent = signing(SigningState.ORDERED, spki_sha256=LEAF[0].spki_sha256)
    with pytest.raises(ConflictError, match="is not sealed to nobody"):
        accepted_variant(sent, to=("hub-pusher",))


@pytest.mark.parametrize("state", [SigningState.WANTED, SigningState.DROPPED, SigningState.ISSUED])
def test_a_variant_s_leaf_that_was_not_ordered_is_refused(state: SigningState) -> None:
    with pytest.raises(ConflictError, match="was not ordered in the variant cdn"):
        accepted_variant(signing(state, spki_sha256=LEAF[0].spki_sha256))
