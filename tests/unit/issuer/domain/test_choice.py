import pytest

from certcore.certificate import Exposure
from issuer.domain.choice import CaPolicy, CaReason, choose_ca
from issuer.domain.errors import UnknownCaError, UnsupportedIssueOrderError

POLICY = CaPolicy(internal="lets-encrypt", public="ssl-com")
KNOWN = {"lets-encrypt", "ssl-com", "pebble"}


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
