from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import Exposure, KeyAlgorithm
from issuer.domain.ca_traits import CaTraits, ObjectionReason
from issuer.domain.choice import CaChoice, CaPolicy, CaReason, choose_ca, fitting
from issuer.domain.errors import NoFittingCaError, UnknownCaError, UnsupportedIssueOrderError
from issuer.domain.public_names import private_names
from tests.unit.issuer.samples import order

POLICY = CaPolicy(internal="lets-encrypt", public="ssl-com")
WITH_PRIVATE = CaPolicy(internal="lets-encrypt", public="ssl-com", private="own")
KNOWN = {
    "lets-encrypt": CaTraits(),
    "ssl-com": CaTraits(key_algorithms=frozenset({KeyAlgorithm.EC_P256}), max_names=2),
    "pebble": CaTraits(public=False),
    "own": CaTraits(public=False),
}


def choose(*dns_names: str, policy: CaPolicy = POLICY, **fields: Any) -> CaChoice:
    return choose_ca(order(*dns_names, **fields), policy=policy, known=KNOWN)


@pytest.mark.parametrize(
    ("exposure", "ca", "reason"),
    [
        (Exposure.INTERNAL, "lets-encrypt", CaReason.POLICY_INTERNAL),
        (Exposure.PUBLIC, "ssl-com", CaReason.POLICY_PUBLIC),
    ],
)
def test_policy_chooses_the_ca_by_exposure(exposure: Exposure, ca: str, reason: CaReason) -> None:
    assert choose(exposure=exposure) == CaChoice(ca, reason)


def test_the_ca_that_a_request_names_goes_before_the_own_policy() -> None:
    assert choose(issuer="pebble", exposure=Exposure.PUBLIC) == CaChoice("pebble", CaReason.NAMED_BY_REQUEST)


def test_a_ca_that_nobody_configured_is_refused_by_name() -> None:
    with pytest.raises(UnknownCaError, match="no CA named nowhere is configured"):
        choose(issuer="nowhere")


@pytest.mark.parametrize(
    ("allowed", "ca", "reason"),
    [
        (("ssl-com", "pebble"), "ssl-com", CaReason.FIRST_ALLOWED),
        (("nowhere", "pebble", "ssl-com"), "pebble", CaReason.FIRST_ALLOWED_AND_KNOWN),
    ],
)
def test_of_the_cas_that_an_issue_order_allows_the_first_known_one_is_chosen(
    allowed: tuple[str, ...], ca: str, reason: CaReason
) -> None:
    assert choose(cas=allowed, issuer="lets-encrypt") == CaChoice(ca, reason)


def test_no_ca_is_chosen_beside_those_that_are_allowed() -> None:
    with pytest.raises(UnknownCaError, match="no CA named nowhere or elsewhere is configured"):
        choose(cas=("nowhere", "elsewhere"), issuer="pebble", policy=WITH_PRIVATE)


def test_an_exposure_that_the_policy_does_not_know_gets_no_ca() -> None:
    with pytest.raises(UnsupportedIssueOrderError, match="'partner'"):
        choose(exposure="partner")


def test_names_that_are_not_public_go_to_the_next_private_ca_that_is_allowed() -> None:
    choice = choose("shop.example.org", "db.site1.internal", cas=("lets-encrypt", "ssl-com", "pebble", "own"))
    assert choice == CaChoice("pebble", CaReason.FIRST_ALLOWED_AND_FITTING)
    assert choose("shop.example.org", cas=("lets-encrypt", "pebble")).ca == "lets-encrypt"


def test_names_that_are_not_public_go_to_the_private_ca_of_the_policy() -> None:
    assert choose("nas.local", policy=WITH_PRIVATE) == CaChoice("own", CaReason.POLICY_PRIVATE)
    assert choose("shop.example.org", policy=WITH_PRIVATE).ca == "lets-encrypt"


def test_a_client_certificate_goes_to_a_private_ca() -> None:
    assert choose("agent.example.org", profile="client", policy=WITH_PRIVATE).ca == "own"


@pytest.mark.parametrize("asked", [{}, {"issuer": "ssl-com"}, {"cas": ("lets-encrypt", "ssl-com")}])
def test_where_no_private_ca_is_allowed_the_way_out_is_told(asked: dict[str, Any]) -> None:
    with pytest.raises(NoFittingCaError) as refused:
        choose("nas.local", **asked)
    assert {one.reason for one in refused.value.objections} == {ObjectionReason.PRIVATE_NAME}
    assert "nas.local is under .local, which is for private use (RFC 6762)" in str(refused.value)
    assert "Allow a private CA, or ask for names under a registered domain" in str(refused.value)


def test_a_request_that_names_a_public_ca_gets_no_other_one() -> None:
    with pytest.raises(NoFittingCaError, match="ssl-com: is a public CA"):
        choose("nas.local", issuer="ssl-com", policy=WITH_PRIVATE)


@pytest.mark.parametrize(
    ("names", "algorithm", "why"),
    [
        (("a.example.org",), KeyAlgorithm.RSA_2048, "ssl-com: takes keys of ec-p256, and not rsa-2048"),
        (("a.example.org", "b.example.org", "c.example.org"), KeyAlgorithm.EC_P256, "certifies 2 names at once"),
    ],
)
def test_what_a_ca_can_not_issue_goes_to_the_next_one(
    names: tuple[str, ...], algorithm: KeyAlgorithm, why: str
) -> None:
    asked: dict[str, Any] = {"key_algorithm": algorithm, "cas": ("ssl-com", "lets-encrypt")}
    assert choose(*names, **asked) == CaChoice("lets-encrypt", CaReason.FIRST_ALLOWED_AND_FITTING)
    with pytest.raises(NoFittingCaError, match=why):
        choose(*names, key_algorithm=algorithm, issuer="ssl-com")


@given(
    st.lists(st.sampled_from(sorted(KNOWN)), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a.example.org", "nas.local", "db.internal"]), min_size=1, max_size=3, unique=True),
    st.sampled_from([None, "client", "shortlived"]),
)
def test_a_name_that_is_not_public_never_goes_to_a_public_ca(
    allowed: list[str], names: list[str], profile: str | None
) -> None:
    private = bool(private_names(names, profile=profile))
    try:
        ca = choose(*names, cas=tuple(allowed), profile=profile).ca
    except NoFittingCaError:
        assert all(KNOWN[one].public or one == "ssl-com" for one in allowed)
        return
    assert ca in allowed
    assert not (private and KNOWN[ca].public)
    # The first of those that would have been possible, in the order of preference.
    assert all(KNOWN[one].public for one in allowed[: allowed.index(ca)])


def test_a_job_that_leaves_its_ca_goes_only_where_it_can_be_issued() -> None:
    assert fitting(order("shop.example.org"), KNOWN) == set(KNOWN)
    assert fitting(order("nas.local"), KNOWN) == {"pebble", "own"}
