import pytest

from certcore.certificate import Exposure
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.choice import CaPolicy, CaReason, ChallengeReason, choose_ca, choose_challenge
from issuer.domain.errors import NoChallengeError, UnknownCaError
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
    choice = choose_ca(named=None, exposure=exposure, policy=POLICY, known=KNOWN)
    assert (choice.ca, choice.reason) == (ca, reason)


def test_the_ca_that_an_order_names_wins() -> None:
    choice = choose_ca(named="pebble", exposure=Exposure.PUBLIC, policy=POLICY, known=KNOWN)
    assert (choice.ca, choice.reason) == ("pebble", CaReason.NAMED_BY_ORDER)


def test_a_ca_that_nobody_configured_is_refused_by_name() -> None:
    with pytest.raises(UnknownCaError, match="no CA named nowhere is configured"):
        choose_ca(named="nowhere", exposure=Exposure.PUBLIC, policy=POLICY, known=KNOWN)


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
