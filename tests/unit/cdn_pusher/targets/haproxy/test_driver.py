import pytest
from pydantic import ValidationError

from cdn_pusher.targets.haproxy.driver import DRIVER, InstanceSettings
from certcore.events import DeliveryReason
from certdelivery.target import Destinations
from tests.issuing import target

SETTINGS = {"socket": "/h.sock", "directory": "/crt", "crt_list": "/crt.list", "probe": ["127.0.0.1:443"]}


def test_a_target_lies_at_the_instance_that_it_names() -> None:
    assert DRIVER.destinations(target("haproxy", "lb"), {"default"}) == Destinations(("default",))
    assert DRIVER.destinations(target("haproxy", "lb", instance="b", weight=7), {"b"}) == Destinations(("b",))


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        ("nowhere", DeliveryReason.UNKNOWN_PLACE),
        ("a b", DeliveryReason.UNREADABLE_ORDER),
        ("../x", DeliveryReason.UNREADABLE_ORDER),
        (7, DeliveryReason.UNREADABLE_ORDER),
    ],
)
def test_an_instance_that_can_t_be_served_is_named(instance: object, reason: DeliveryReason) -> None:
    found = DRIVER.destinations(target("haproxy", "lb", instance=instance), {"default"})
    assert found.found == ()
    assert [failure.reason for failure in found.failures] == [reason]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"directory": "/with space"}, "commands can't carry"),
        ({"crt_list": "/a;b"}, "commands can't carry"),
        ({"probe": []}, "at least 1"),
        ({"probe": ["localhost"]}, "is not host:port"),
        ({"sockets": "/x"}, "Extra inputs"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], problem: str) -> None:
    InstanceSettings.model_validate(SETTINGS)
    with pytest.raises(ValidationError, match=problem):
        InstanceSettings.model_validate({**SETTINGS, **change})
