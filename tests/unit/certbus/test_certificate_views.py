from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.certificate_views import (
    certificate_facts,
    certificate_table,
    condition_table,
    endpoint_grid,
    expiry,
    health_cell,
    served_at,
    soonest_first,
    state_cell,
    target_grid,
    variant_table,
    worse_reason,
)
from certcore.api import CertificateState, EndpointState, TargetState
from certcore.conditions import ConditionStatus, ConditionType, Health
from tests.unit.certbus.samples import NOON, condition, endpoint, revision, summary, target, view


def test_what_is_served_and_ends_next_stands_on_top() -> None:
    far = NOON + timedelta(days=80)
    ordered = soonest_first(
        [
            summary("unissued"),
            summary("later", not_after=NOON + timedelta(days=40)),
            summary("old-one-served", not_after=far, served_until=NOON + timedelta(days=3)),
            summary("soon", not_after=NOON + timedelta(days=2)),
        ]
    )
    assert [one.name for one in ordered] == ["soon", "old-one-served", "later", "unissued"]
    table = certificate_table(ordered, NOON)
    assert [row[4].text for row in table.rows] == ["in 2 d", "in 3 d", "in 40 d", "-"]


@given(st.lists(st.none() | st.datetimes().map(lambda at: at.replace(tzinfo=NOON.tzinfo)), max_size=5))
def test_every_certificate_has_a_row_of_every_column(expiries: list[None]) -> None:
    table = certificate_table([summary(f"c{n}", not_after=at) for n, at in enumerate(expiries)], NOON)
    assert len(table.rows) == len(expiries)
    assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("state", "health", "shown"),
    [
        ("live", "ok", ""),
        ("retired", "none", ""),
        ("live", "degraded", "of the health"),
        ("live", "unknown", "of the health"),
        ("renewing", "degraded", "of the health"),
        ("waiting_for_approval", "progressing", "of the state"),
        ("failing", "progressing", "of the state"),
        ("failing", "degraded", "of the state"),
        ("issuing", "ok", "of the state"),
        ("paused", "ok", "of the state"),
        ("live", "limping", "of the health"),
        ("paused", "degraded", "of the health"),
    ],
)
def test_the_reason_is_that_of_what_is_worse(state: str, health: str, shown: str) -> None:
    seen = summary(state=CertificateState(state) if state in set(CertificateState) else state, health=health)
    told = seen.model_copy(update={"reason": "of the state", "health_reason": "of the health"})
    assert worse_reason(type(seen).model_validate_json(told.model_dump_json())) == shown


def test_health_stands_beside_the_state() -> None:
    table = certificate_table([summary(not_after=NOON, health=Health.DEGRADED, health_reason="expired at web")], NOON)
    assert table.columns[1:3] == ("STATE", "HEALTH")
    assert [cell.text for cell in table.rows[0]][1:3] == ["live", "degraded"]
    assert table.rows[0][-1].text == "expired at web"


@pytest.mark.parametrize(
    ("days", "style"), [(-1, "red"), (6, "red"), (7, "yellow"), (29, "yellow"), (30, ""), (90, "")]
)
def test_the_colour_of_an_expiry_warns_as_dashboards_do(days: int, style: str) -> None:
    assert expiry(NOON + timedelta(days=days, hours=1), NOON).style == style


def test_every_state_can_be_shown() -> None:
    for state in (*CertificateState, *TargetState, *EndpointState):
        assert state_cell(state).text == state.value


def test_a_word_that_is_not_known_is_shown_without_a_colour() -> None:
    assert (state_cell("paused").text, state_cell("paused").style) == ("paused", "")
    assert (health_cell("limping").text, health_cell("limping").style) == ("limping", "")


def test_the_facts_begin_with_the_health_and_its_reason() -> None:
    facts = certificate_facts(view(health=Health.DEGRADED, health_reason="web serves another"), NOON)
    assert facts[:2] == [("name", "shop"), ("health", "degraded: web serves another")]


def test_the_facts_hold_what_the_team_said_of_it() -> None:
    said = {"labels": {"tier": "1", "app": "shop"}, "contact": "shop@example.org", "description": "the till"}
    facts = dict(certificate_facts(view().model_copy(update=said), NOON))
    assert (facts["labels"], facts["contact"], facts["description"]) == (
        "app=shop, tier=1",
        "shop@example.org",
        "the till",
    )


def test_each_condition_has_a_row_and_the_colour_of_a_fault_only_where_it_is_one() -> None:
    table = condition_table(
        view(
            conditions=(
                condition(ConditionType.ISSUED),
                condition(ConditionType.SERVED, ConditionStatus.FALSE, message="web serves another"),
                condition(ConditionType.DELIVERED, ConditionStatus.UNKNOWN),
                condition(ConditionType.RENEWING, ConditionStatus.FALSE),
                condition(ConditionType.RENEWING, ConditionStatus.TRUE),
            )
        ),
        NOON,
    )
    assert [cell.text for cell in table.rows[1]] == ["Served", "false", "5 h ago", "Seen", "web serves another"]
    assert [row[1].style for row in table.rows] == ["green", "red", "yellow", "", "yellow"]


def test_variants_are_told_apart() -> None:
    table = variant_table([revision(2), revision(2, variant="cps")], NOON)
    assert [[cell.text for cell in row][:2] for row in table.rows] == [["platform", "2"], ["cps", "2"]]
    columns = target_grid(view(targets=(target(), target(name="edge", variant="cps"))), NOON).columns
    assert columns[:4] == ("TARGET", "PLACE", "KIND", "VARIANT")
    assert "VARIANT" not in target_grid(view(), NOON).columns


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
        "40 s ago",
        "4 min ago",
        "",
    ]
