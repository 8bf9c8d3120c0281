from certcore.events import DeliveryReason
from certdelivery.target import Destinations
from syncer.targets.files.driver import DRIVER
from tests.issuing import files_target, target


def _reasons(found: Destinations) -> list[DeliveryReason]:
    return [failure.reason for failure in found.failures]


def test_files_lie_in_the_store_that_is_named() -> None:
    assert DRIVER.destinations(files_target(), {"default"}) == Destinations(("default",))
    assert DRIVER.destinations(target("files", "host"), {"default"}).found == ("default",)


def test_a_store_that_the_place_does_not_have_is_named() -> None:
    found = DRIVER.destinations(files_target(store="x"), ())
    assert found.found == ()
    assert _reasons(found) == [DeliveryReason.UNKNOWN_PLACE]
    assert "this place has no store x" in found.failures[0].detail


def test_what_a_newer_order_says_beside_it_is_ignored() -> None:
    assert DRIVER.destinations(target("files", "host", store="default", mode="0600"), {"default"}).found


def test_a_store_that_could_be_a_path_is_refused() -> None:
    for store in ("../up", "", 7, None):
        found = DRIVER.destinations(target("files", "host", store=store), {"../up", ""})
        assert found.found == ()
        assert _reasons(found) == [DeliveryReason.UNREADABLE_ORDER]
