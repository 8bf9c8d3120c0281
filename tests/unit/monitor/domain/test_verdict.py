from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import AddressObserved, EndpointExpected, ServingVerdict
from certcore.inspection import read_chain
from certprobe.handshake import Handshake, HandshakeError, HandshakeProblem, TrustProblem
from monitor.domain.verdict import AddressLook, judge, summarize, unresolved, worst
from tests.authority import Authority, Issued
from tests.unit.monitor.expectations import HOST, URL, leaf

AUTHORITY = Authority()
WANTED, PREVIOUS, OTHER = (AUTHORITY.issue(HOST) for _ in range(3))
EXPECTED = EndpointExpected(url=URL, wanted=(leaf(2, WANTED.fingerprint),), accepted=(leaf(1, PREVIOUS.fingerprint),))
NOW = WANTED.leaf.not_valid_before_utc + timedelta(days=1)


def seen(issued: Issued, problem: TrustProblem | None = None) -> Handshake:
    return Handshake("192.0.2.1", read_chain(issued.chain_pem.encode())[0], "TLSv1.3", problem, (issued.fingerprint,))


def verdict(found: Handshake | HandshakeError, *, trust: bool = True, host: str = HOST) -> AddressLook:
    return judge("192.0.2.1", found, host=host, expected=EXPECTED, now=NOW, trust=trust)


def test_the_wanted_revision_is_known_by_its_fingerprint() -> None:
    found = verdict(seen(WANTED))
    assert found.observed == AddressObserved(
        address="192.0.2.1", verdict=ServingVerdict.WANTED, fingerprint_sha256=WANTED.fingerprint
    )
    assert (found.served, found.clients_fail) == (EXPECTED.wanted[0], False)


def test_an_accepted_revision_is_the_previous_one() -> None:
    found = verdict(seen(PREVIOUS))
    assert (found.verdict, found.served) == (ServingVerdict.PREVIOUS, EXPECTED.accepted[0])


def test_each_variant_of_the_wanted_revision_proves_the_endpoint() -> None:
    wanted = (leaf(2, WANTED.fingerprint), leaf(2, OTHER.fingerprint, variant="cdn"))
    both = EXPECTED.model_copy(update={"wanted": wanted})
    for issued, variant in ((WANTED, "platform"), (OTHER, "cdn")):
        whole = summarize([judge("a", seen(issued), host=HOST, expected=both, now=NOW, trust=True)])
        assert (whole.verdict, whole.served_revision, whole.served_variant) == (ServingVerdict.WANTED, 2, variant)


def test_after_a_rollback_the_later_revision_is_the_previous_one() -> None:
    back = EXPECTED.model_copy(update={"wanted": EXPECTED.accepted, "accepted": EXPECTED.wanted})
    found = judge("a", seen(WANTED), host=HOST, expected=back, now=NOW, trust=True)
    assert (found.verdict, found.served) == (ServingVerdict.PREVIOUS, EXPECTED.wanted[0])
    found = judge("a", seen(PREVIOUS), host=HOST, expected=back, now=NOW, trust=True)
    assert found.verdict is ServingVerdict.WANTED


def test_a_leaf_that_is_wanted_and_accepted_is_wanted() -> None:
    both = EXPECTED.model_copy(update={"accepted": EXPECTED.wanted})
    assert judge("a", seen(WANTED), host=HOST, expected=both, now=NOW, trust=True).verdict is ServingVerdict.WANTED


def test_a_foreign_certificate_names_who_issued_it() -> None:
    found = verdict(seen(OTHER))
    assert found.observed.verdict is ServingVerdict.OTHER
    assert "certbus test issuing CA" in found.observed.detail
    assert not found.clients_fail
    assert verdict(seen(OTHER, TrustProblem.SELF_SIGNED)).clients_fail


def test_a_wanted_certificate_without_its_chain_is_no_proof() -> None:
    found = verdict(seen(WANTED, TrustProblem.CHAIN_INCOMPLETE))
    assert (found.observed.verdict, found.observed.detail) == (ServingVerdict.UNTRUSTED, "chain_incomplete")
    assert found.clients_fail


def test_trust_is_judged_only_where_roots_were_named() -> None:
    found = verdict(seen(WANTED, TrustProblem.UNTRUSTED), trust=False)
    assert (found.observed.verdict, found.clients_fail) == (ServingVerdict.WANTED, False)


@pytest.mark.parametrize("trust", [True, False])
def test_an_expired_or_misplaced_certificate_is_never_wanted(trust: bool) -> None:  # noqa: FBT001 # a parameter
    later = WANTED.leaf.not_valid_after_utc
    expired = judge("a", seen(WANTED), host=HOST, expected=EXPECTED, now=later, trust=trust)
    assert expired.observed.verdict is ServingVerdict.EXPIRED
    assert expired.clients_fail
    misplaced = verdict(seen(WANTED), trust=trust, host="www.example.org")
    assert misplaced.observed.verdict is ServingVerdict.WRONG_HOST
    assert HOST in misplaced.observed.detail


@pytest.mark.parametrize(
    ("problem", "expected_verdict", "clients_fail"),
    [
        (HandshakeProblem.UNREACHABLE, ServingVerdict.UNREACHABLE, False),
        (HandshakeProblem.TLS_FAILED, ServingVerdict.TLS_FAILED, True),
    ],
)
def test_no_handshake_is_told_with_its_reason(
    problem: HandshakeProblem,
    expected_verdict: ServingVerdict,
    clients_fail: bool,  # noqa: FBT001 # a parameter
) -> None:
    found = verdict(HandshakeError(problem, "connection refused"))
    assert (found.observed.verdict, found.observed.detail) == (expected_verdict, "connection refused")
    assert found.clients_fail is clients_fail


def addresses() -> st.SearchStrategy[list[AddressLook]]:
    return st.lists(
        st.builds(
            lambda number, verdict, revision, fails: AddressLook(
                AddressObserved(address=f"192.0.2.{number}", verdict=verdict, fingerprint_sha256=str(revision)),
                verdict,
                leaf(revision),
                fails,
            ),
            st.integers(1, 254),
            st.sampled_from(ServingVerdict),
            st.integers(1, 3),
            st.booleans(),
        ),
        min_size=1,
        max_size=20,
    )


@given(addresses())
def test_one_bad_address_of_many_decides(looks: list[AddressLook]) -> None:
    whole = summarize(looks)
    order = list(ServingVerdict)
    assert all(order.index(look.verdict) <= order.index(whole.verdict) for look in looks)
    assert whole.verdict in {look.verdict for look in looks}
    assert (whole.verdict is ServingVerdict.WANTED) == all(look.verdict is ServingVerdict.WANTED for look in looks)
    assert whole.clients_fail == any(look.clients_fail for look in looks)


@given(addresses(), st.randoms())
def test_the_order_of_addresses_changes_nothing_that_counts(looks: list[AddressLook], random: object) -> None:
    distinct = list({look.observed.address: look for look in looks}.values())
    shuffled = sorted(distinct, key=lambda _: random.random())  # type: ignore[attr-defined] # Hypothesis' Random
    assert summarize(shuffled) == summarize(distinct)


@given(st.lists(st.sampled_from(ServingVerdict), min_size=1), st.lists(st.sampled_from(ServingVerdict), min_size=1))
def test_worst_is_associative(left: list[ServingVerdict], right: list[ServingVerdict]) -> None:
    assert worst([worst(left), worst(right)]) is worst(left + right)


def test_a_name_without_address_is_unreachable() -> None:
    found = unresolved("shop.example.org doesn't exist")
    assert (found.verdict, found.addresses) == (ServingVerdict.UNREACHABLE, ())
