from datetime import timedelta
from importlib.metadata import version

import pytest

from certcore.api import RequestState
from registry.domain.site import ServiceSeen
from registry.handlers.views import request_view, service_views, site_view
from tests.unit.registry.samples import NOON, certificate, request, site


@pytest.mark.parametrize("state", [*RequestState, "superseded"])
def test_a_request_is_shown_in_whatever_state_it_was_stored(state: str) -> None:
    assert request_view(request(state), certificate(), ()).state == state


def seen(service: str, *, seconds_ago: int, place: str = "site1") -> ServiceSeen:
    return ServiceSeen(place, service, version="1", last_heartbeat=NOON - timedelta(seconds=seconds_ago))


def test_one_service_s_heartbeat_does_not_cover_for_another_s_silence() -> None:
    found = site_view(
        site("site1", "syncer", "pusher"),
        [seen("pusher", seconds_ago=1), seen("syncer", seconds_ago=90)],
        {"site1": (2, 3)},
        NOON,
    )
    assert (found.silent, found.last_heartbeat) == (("syncer",), NOON - timedelta(seconds=90))
    assert (found.targets_done, found.targets) == (2, 3)


def test_a_site_of_which_one_service_never_reported_has_no_last_heartbeat() -> None:
    found = site_view(site("site1", "syncer", "pusher"), [seen("pusher", seconds_ago=1)], {}, NOON)
    assert (found.silent, found.last_heartbeat) == (("syncer",), None)


def test_every_service_that_should_report_is_listed_by_place_and_silent_until_it_does() -> None:
    views = service_views([site()], [seen("monitor", seconds_ago=1, place="hub")], NOON)
    assert [(view.place, view.service, view.silent) for view in views] == [
        ("hub", "issuer", True),
        ("hub", "monitor", False),
        ("hub", "registry", False),
        ("site1", "syncer", True),
    ]
    assert views[2].version == version("certbus-registry")
