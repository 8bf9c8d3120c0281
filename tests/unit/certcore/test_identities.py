import pytest

from certcore import identities
from certcore.identities import HUB, Service


@pytest.mark.parametrize(
    ("place", "service", "identity"),
    [
        (HUB, Service.REGISTRY, "registry"),
        (HUB, Service.ISSUER, "issuer"),
        (HUB, Service.MONITOR, "monitor"),
        (HUB, Service.PUSHER, "hub-pusher"),
        ("site1", Service.SYNCER, "site1-syncer"),
        ("site1", Service.MONITOR, "site1-monitor"),
    ],
)
def test_a_service_has_one_name_on_the_bus(place: str, service: Service, identity: str) -> None:
    assert identities.identity(place, service) == identity
    assert identities.durable(place, service) == identity
    assert identities.source(place, service) == f"certbus/{place}/{service}"


def test_a_recipient_is_named_by_its_place_also_at_the_hub() -> None:
    assert identities.recipient_name(HUB, "pusher") == "hub-pusher"
    assert identities.recipient_name("site1", "syncer") == "site1-syncer"


def test_the_hub_is_a_place_and_no_site() -> None:
    assert identities.places(["site2", "site1", "site2"]) == ("hub", "site1", "site2")
    assert identities.places([]) == ("hub",)
    with pytest.raises(ValueError, match="no site may be called hub"):
        identities.places(["hub"])


def test_no_service_of_a_place_shares_a_name_with_another() -> None:
    names = [
        identities.identity(place, service)
        for place in identities.places(["a", "a-syncer", "owner"])
        for service in identities.services_at(place)
    ]
    assert len(set(names)) == len(names)
