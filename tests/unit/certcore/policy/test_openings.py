"""Windows and freezes: when they are open, over changes of the clock and past midnight too."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.policy.document import Policy
from certcore.policy.openings import OPEN, Calendar, calendar_of
from certcore.policy.windows import DAY_NAMES, Freeze, Renewed, Window, doubts

SHOP = Renewed(
    team="shop",
    exposure="internal",
    dns_names=("a.shop.corp.example.org",),
    sites=frozenset({"site1"}),
    target_kinds=frozenset({"files"}),
    labels={"tier": "gold"},
)


def window(begins: str, ends: str, **changes: Any) -> Window:
    return Window.model_validate({"name": "night", "from": begins, "to": ends, **changes})


def freeze(begins: str, ends: str, **changes: Any) -> Freeze:
    return Freeze.model_validate({"from": begins, "to": ends, "reason": "sale", **changes})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(calendar: Calendar, when: str) -> str:
    return f"{calendar.opening(at(when)).at:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("when", "then"),
    [
        ("2026-03-02T21:59", "2026-03-02T22:00"),
        ("2026-03-02T22:00", "2026-03-02T22:00"),
        ("2026-03-03T03:59", "2026-03-03T03:59"),
        ("2026-03-03T04:00", "2026-03-03T22:00"),
    ],
)
def test_a_window_past_midnight_is_open_until_the_next_morning(when: str, then: str) -> None:
    assert opens(Calendar((window("22:00", "04:00"),)), when) == then


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    sunday = Calendar((window("22:00", "04:00", days=["sun"]),))
    # The 1st of March 2026 is a Sunday.
    assert opens(sunday, "2026-03-02T03:59") == "2026-03-02T03:59"
    assert opens(sunday, "2026-03-01T03:59") == "2026-03-01T22:00"
    assert opens(sunday, "2026-03-02T04:00") == "2026-03-08T22:00"


@pytest.mark.parametrize(
    ("begins", "ends", "when", "then"),
    [
        # In summer Berlin is two hours ahead, in winter one.
        ("22:00", "23:00", "2026-03-28T12:00", "2026-03-28T21:00"),
        ("22:00", "23:00", "2026-03-29T12:00", "2026-03-29T20:00"),
        ("22:00", "04:00", "2026-03-29T01:59", "2026-03-29T01:59"),
        ("22:00", "04:00", "2026-03-29T02:00", "2026-03-29T20:00"),
        # 02:30 doesn't come on the 29th of March: half past three is meant.
        ("02:30", "03:15", "2026-03-29T00:00", "2026-03-29T01:30"),
        ("02:30", "03:15", "2026-03-29T02:14", "2026-03-29T02:14"),
        ("02:30", "03:15", "2026-03-29T02:15", "2026-03-30T00:30"),
        # It comes twice on the 25th of October: the first is meant.
        ("02:30", "03:30", "2026-10-24T12:00", "2026-10-25T00:30"),
        ("02:30", "03:30", "2026-10-25T02:29", "2026-10-25T02:29"),
        ("00:00", "24:00", "2026-10-25T22:59", "2026-10-25T22:59"),
    ],
)
def test_a_window_follows_the_clock_of_its_timezone(begins: str, ends: str, when: str, then: str) -> None:
    assert opens(Calendar((window(begins, ends, timezone="Europe/Berlin"),)), when) == then


def test_of_several_windows_any_is_enough() -> None:
    both = Calendar((window("22:00", "23:00"), window("12:00", "13:00", name="noon")))
    assert opens(both, "2026-03-02T11:00") == "2026-03-02T12:00"
    assert (
        both.opening(at("2026-03-02T11:00")).held_by == "window noon (12:00 to 13:00 UTC) opens at 2026-03-02T12:00Z"
    )


def test_a_freeze_ends_where_a_window_may_be_closed() -> None:
    calendar = Calendar(
        (window("22:00", "23:00"),),
        (freeze("2026-03-02T00:00Z", "2026-03-04T12:00Z"), freeze("2026-03-04T22:00Z", "2026-03-04T22:30Z")),
    )
    found = calendar.opening(at("2026-03-02T22:00"))
    assert (found.at, found.frozen) == (at("2026-03-04T22:30"), True)
    assert found.held_by == "freeze (sale) lasts until 2026-03-04T22:30Z"
    assert calendar.hard == OPEN


def test_without_windows_and_freezes_everything_is_open() -> None:
    found = OPEN.opening(at("2026-03-02T22:00"))
    assert (found.at, found.held_by, found.frozen) == (at("2026-03-02T22:00"), "", False)


minutes = st.integers(0, 1439)
windows = st.builds(
    lambda begins, length, days, zone: window(
        f"{begins // 60:02}:{begins % 60:02}",
        f"{(begins + length) % 1440 // 60:02}:{(begins + length) % 60:02}",
        days=days,
        timezone=zone,
    ),
    minutes,
    st.integers(1, 1439),
    st.lists(st.sampled_from(DAY_NAMES), min_size=1, unique=True),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
instants = st.timedeltas(timedelta(0), timedelta(days=730)).map(lambda after: at("2026-01-01T00:00") + after)
freezes = st.builds(
    lambda begins, length: Freeze.model_validate({"from": begins, "to": begins + length, "reason": "x"}),
    instants,
    st.timedeltas(timedelta(minutes=1), timedelta(days=60)),
)
calendars = st.builds(
    lambda some, others: Calendar(tuple(some), tuple(others)),
    st.lists(windows, max_size=3),
    st.lists(freezes, max_size=4),
)


@given(calendars, instants, st.timedeltas(timedelta(0), timedelta(days=20)))
def test_an_opening_is_open_not_before_it_was_asked_for_and_the_first_one(
    calendar: Calendar, now: datetime, later: timedelta
) -> None:
    found = calendar.opening(now)
    assert found.at >= now
    assert calendar.freeze_at(found.at) is None
    assert calendar.opening(found.at).at == found.at
    assert (found.held_by == "") == (found.at == now)
    between = now + later
    if between < found.at:
        assert calendar.opening(between).at == found.at
    frozen = sum((item.ends - item.begins for item in calendar.freezes), timedelta())
    assert found.at - now <= frozen + timedelta(days=8) * (len(calendar.freezes) + 1)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"teams": ["shop"], "exposure": "internal", "sites": ["site1", "site2"]}, True),
        ({"teams": ["bank"]}, False),
        ({"exposure": "public"}, False),
        ({"domains": ["corp.example.org"]}, True),
        ({"domains": ["bank.example.org"]}, False),
        ({"sites": ["hub"]}, False),
        ({"target_kinds": ["files", "haproxy"]}, True),
        ({"target_kinds": ["haproxy"]}, False),
        ({"labels": {"tier": "gold"}}, True),
        ({"labels": {"tier": "gold", "region": "eu"}}, False),
    ],
)
def test_a_window_is_for_what_it_matches(match: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 # a column
    policy = Policy.model_validate(
        {
            "version": 1,
            "teams": {"shop": {}, "bank": {}},
            "windows": [{"name": "night", "from": "22:00", "to": "23:00", "match": match}],
            "freeze": [{"from": "2026-03-02T00:00Z", "to": "2026-03-04T12:00Z", "reason": "x", "match": match}],
        }
    )
    found = calendar_of(policy, SHOP)
    assert (len(found.windows), len(found.freezes)) == ((1, 1) if fits else (0, 0))


def test_what_may_be_meant_otherwise_is_told() -> None:
    weekly, daily = window("02:00", "04:00", days=["sun"]), window("02:00", "04:00")
    short = freeze("2026-03-02T00:00Z", "2026-03-04T00:00Z")
    long, hard = (freeze("2026-03-02T00:00Z", "2026-04-02T00:00Z", hard=hard) for hard in (False, True))
    seldom, soft, never = doubts((daily, weekly), (short, long, hard))
    assert (seldom.field, soft.field, never.field) == ("windows.1", "freeze.1", "freeze.2")
    assert seldom.message == (
        "is closed for up to 6 days 22 h: what lives less than 83 days may never find it open, and is renewed when"
        " its last sixth begins"
    )
    assert "may be renewed in it, when its last sixth begins" in soft.message
    assert never.message == "is longer than 15 days: a certificate of 90 days can expire in it"
