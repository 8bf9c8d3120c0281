from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.certificate_views import (
    certificate_facts,
    certificate_table,
    endpoint_grid,
    expiry,
    served_at,
    state_cell,
    target_grid,
)
from certcore.api import CertificateState, EndpointState, TargetState
from tests.unit.certbus.samples import NOON, endpoint, summary, target, view


def test_the_next_to_expire_stands_on_top() -> None:
    table = certificate_table(
        [
            summary("unissued"),
            summary("later", not_after=NOON + timedelta(days=40)),
            summary("soon", not_after=NOON + timedelta(days=2)),
        ],
        NOON,
    )
    assert [row[0].text for row in table.rows] == ["soon", "later", "unissued"]


@given(st.lists(st.none() | st.datetimes().map(lambda at: at.replace(tzinfo=NOON.tzinfo)), max_size=5))
def test_every_certificate_has_a_row_of_every_column(expiries: list[None]) -> None:
    table = certificate_table([summary(f"c{n}", not_after=at) for n, at in enumerate(expiries)], NOON)
    assert len(table.rows) == len(expiries)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_only_what_is_not_live_needs_a_reason() -> None:
    live, waiting = certificate_table(
        [summary("a", not_after=NOON, reason="served"), summary("b", reason="ordered")], NOON
    ).rows
    assert (live[-1].text, waiting[-1].text) == ("", "ordered")


@pytest.mark.parametrize(
    ("days", "style"), [(-1, "red"), (6, "red"), (7, "yellow"), (29, "yellow"), (30, ""), (90, "")]
)
def test_the_colour_of_an_expiry_warns_as_dashboards_do(days: int, style: str) -> None:
    assert expiry(NOON + timedelta(days=days, hours=1), NOON).style == style


def test_every_state_can_be_shown() -> None:
    for state in (*CertificateState, *TargetState, *EndpointState):
        assert state_cell(state).text == state.value


def test_the_facts_say_why_it_waits_and_what_is_served() -> None:
    facts = dict(certificate_facts(view(), NOON))
    assert facts["why"] == "every endpoint serves it"
    assert facts["sha256"] == "ab" * 32
    assert facts["expires"] == "2026-04-30T12:00:00Z (in 60 d)"
    assert facts["issuer"] == "pebble"


def test_what_was_not_issued_yet_has_no_facts_of_a_revision() -> None:
    facts = dict(certificate_facts(view(CertificateState.WAITING_FOR_APPROVAL, issued=None), NOON))
    assert not any(facts[name] for name in ("serial", "sha256", "expires", "revision"))


def test_the_grid_sets_wanted_beside_delivered_and_served() -> None:
    grid = target_grid(
        view(
            targets=(
                target(name="web"),
                target(TargetState.FAILED, name="pods", revision=None, reason="refused"),
                target(TargetState.DELIVERED, name="edge"),
            ),
            endpoints=(endpoint(proves="web"), endpoint(EndpointState.UNSEEN, proves="edge", revision=None)),
        ),
        NOON,
    )
    shown = [tuple(cell.text for cell in row) for row in grid.rows]
    assert grid.columns[3:] == ("STATE", "WANTED", "DELIVERED", "SERVED", "REASON")
    assert [row[3:] for row in shown] == [
        ("verified", "1", "1", "1", ""),
        ("failed", "1", "-", "-", "refused"),
        ("delivered", "1", "1", "-", ""),
    ]


def test_an_endpoint_without_a_target_proves_each() -> None:
    everywhere = endpoint(proves=None, revision=2)
    assert served_at(target(name="a"), [everywhere]) == "2"
    assert served_at(target(name="web"), [everywhere, endpoint(revision=1)]) == "1,2"


def test_what_is_served_and_not_ours_is_marked() -> None:
    stranger = endpoint(EndpointState.MISMATCH, revision=None)
    assert served_at(target(name="web"), [endpoint(revision=1), stranger]) == "1,?"


def test_endpoints_show_when_they_were_seen() -> None:
    (row,) = endpoint_grid(view(), NOON).rows
    assert [cell.text for cell in row] == [
        "https://shop.example.org",
        "web",
        "served",
        "1",
        "ab" * 8,
        "4 min ago",
        "",
    ]
