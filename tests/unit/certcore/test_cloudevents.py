from datetime import UTC, datetime

import pytest

from certcore.cloudevents import time_of


def test_the_time_of_an_event_is_an_instant() -> None:
    assert time_of({"ce-time": "2026-03-01T14:00:00+02:00"}) == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("headers", [{}, {"ce-time": ""}, {"ce-time": "soon"}, {"ce-time": "2026-03-01T12:00:00"}])
def test_a_time_without_its_zone_is_none(headers: dict[str, str]) -> None:
    assert time_of(headers) is None
