from datetime import timedelta

from registry.domain.site import ServiceSeen, expected_services, is_silent, recipient_names, recipients
from tests.unit.registry.samples import NOON, placement, site


def seen(**changes: object) -> ServiceSeen:
    parts: dict[str, object] = {"place": "site1", "service": "syncer", "version": "1", "last_heartbeat": NOON}
    return ServiceSeen(**(parts | changes))  # type: ignore[arg-type] # parts by name


def test_a_service_is_silent_after_three_heartbeats() -> None:
    assert not is_silent(seen(), now=NOON + timedelta(seconds=45))
    assert is_silent(seen(), now=NOON + timedelta(seconds=46))
    assert is_silent(seen(last_heartbeat=None), now=NOON)


def test_the_central_services_are_expected_and_what_each_place_enrolled() -> None:
    assert expected_services([]) == {("hub", "issuer"), ("hub", "monitor")}
    found = expected_services([site("site1", "syncer", "pusher"), site("hub", "pusher")])
    assert found - expected_services([]) == {("site1", "syncer"), ("site1", "pusher"), ("hub", "pusher")}


def test_an_escrow_is_expected_from_when_it_was_first_heard() -> None:
    heard = seen(place="hub", service="escrow")
    assert expected_services([], [heard, seen(place="site9")]) - expected_services([]) == {("hub", "escrow")}


def test_a_key_is_sealed_to_those_who_deliver_the_platform_s_variant() -> None:
    placed = [placement("web"), placement("b"), placement("cdn", own_key=True)]
    assert recipient_names(placed) == {"site1-syncer"}
    everybody = [site("site1", "syncer", "pusher"), site("site2"), site("hub", "pusher")]
    assert [item.name for item in recipients(placed, everybody)] == ["site1-syncer"]
