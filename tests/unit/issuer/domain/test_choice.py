import pytest

from certcore.certificate import Exposure
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.choice import CaPolicy, CaReason, ChallengeReason, choose_ca, choose_challenge
from issuer.domain.errors import NoChallengeError, UnknownCaError, UnsupportedIssueOrderError
from tests.unit.issuer.samples import authorization, offer

POLICY = CaPolicy(internal="lets-encrypt", public="ssl-com")
KNOWN = {"lets-encrypt", "ssl-com", "pebble"}
DNS, HTTP = ChallengeKind.DNS_01, ChallengeKind.HTTP_01


@pytest.mark.parametrize(
    ("exposure", "ca", "reason"),
    [
        (Exposure.INTERNAL, "lets-encrypt", CaReason.POLICY_INTERNAL),
        (Exposure.PUBLIC, "ssl-com", CaReason.POLICY_PUBLIC),
    ],
)
def test_policy_chooses_the_ca_by_exposure(exposure: Exposure, ca: str, reason: CaReason) -> None:
    choice = choose_ca(allowed=(), named=None, exposure=exposure, policy=POLICY, known=KNOWN)
    assert (choice.ca, choice.reason) == (ca, reason)


def test_the_ca_that_a_request_names_goes_before_the_own_policy() -> None:
    choice = choose_ca(allowed=(), named="pebble", exposure=Exposure.PUBLIC, policy=POLICY, known=KNOWN)
    assert (choice.ca, choice.reason) == ("pebble", CaReason.NAMED_BY_REQUEST)


def test_a_ca_that_nobody_configured_is_refused_by_name() -> None:
    with pytest.raises(UnknownCaError, match="no CA named nowhere is configured"):
        choose_ca(allowed=(), named="nowhere", exposure=Exposure.PUBLIC, policy=POLICY, known=KNOWN)


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
    choice = choose_ca(allowed=allowed, named="lets-encrypt", exposure=Exposure.INTERNAL, policy=POLICY, known=KNOWN)
    assert (choice.ca, choice.reason) == (ca, reason)


def test_no_ca_is_chosen_beside_those_that_are_allowed() -> None:
    with pytest.raises(UnknownCaError, match="no CA named nowhere or elsewhere is configured"):
        choose_ca(
            allowed=("nowhere", "elsewhere"), named="pebble", exposure=Exposure.PUBLIC, policy=POLICY, known=KNOWN
        )


def test_an_exposure_that_the_policy_does_not_know_gets_no_ca() -> None:
    with pytest.raises(UnsupportedIssueOrderError, match="'partner'"):
        choose_ca(allowed=(), named=None, exposure="partner", policy=POLICY, known=KNOWN)


def test_the_preferred_challenge_is_taken_where_it_is_offered() -> None:
    choice = choose_challenge(authorization(offer(DNS), offer(HTTP)), preference=[HTTP, DNS])
    assert (choice.offer.kind, choice.reason) == (HTTP, ChallengeReason.PREFERRED)


def test_the_next_challenge_is_taken_where_the_preferred_is_not_offered() -> None:
    choice = choose_challenge(authorization(offer(DNS)), preference=[HTTP, DNS])
    assert (choice.offer.kind, choice.reason) == (DNS, ChallengeReason.PREFERRED_NOT_OFFERED)


def test_a_wildcard_is_proven_by_dns_whatever_is_preferred() -> None:
    wildcard = authorization(offer(HTTP), offer(DNS), wildcard=True)
    choice = choose_challenge(wildcard, preference=[HTTP, DNS])
    assert (choice.offer.kind, choice.reason) == (DNS, ChallengeReason.WILDCARD_NEEDS_DNS)


def test_a_wildcard_without_dns_is_refused_by_name() -> None:
    with pytest.raises(NoChallengeError, match=r"\*\.shop\.example\.org"):
        choose_challenge(authorization(offer(HTTP), offer(DNS), wildcard=True), preference=[HTTP])


def test_a_name_for_which_the_ca_offers_nothing_usable_is_refused() -> None:
    with pytest.raises(NoChallengeError, match="for shop"):
        choose_challenge(authorization(), preference=[HTTP, DNS])
