import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.event_lines import FollowedEvent, Wanted, event_line, read_event, shown_type
from certbus.event_stories import story
from certbus.event_stream import Message
from certcore.events import Event, catalogue

_ISSUED = {
    "certificate_id": "c-1",
    "name": "shop",
    "owner": "team-shop",
    "revision": 3,
    "serial": "3f9a",
    "fingerprint_sha256": "ab" * 32,
    "not_after": "2026-05-01T00:00:00Z",
}


def event(kind: str = "certbus.certificate.issued.v1", data: object = None) -> FollowedEvent:
    envelope = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/registry",
        "type": kind,
        "time": "2026-03-01T12:00:00+00:00",
        "subject": "c-1",
        "datacontenttype": "application/json",
        "data": _ISSUED if data is None else data,
    }
    read = read_event(Message("e-1", kind, json.dumps(envelope)))
    assert read is not None
    return read


def test_an_event_is_one_line_of_time_type_certificate_and_what_happened() -> None:
    assert event_line(event()) == (
        "2026-03-01T12:00:00Z  issued                shop  revision 3, serial 3f9a, expires 2026-05-01T00:00:00Z"
    )


def test_an_event_of_a_later_version_is_shown_by_its_type_and_fields() -> None:
    line = event_line(event("certbus.certificate.blessed.v2", {"name": "shop", "by": "ana", "deep": {"a": 1}}))
    assert line == "2026-03-01T12:00:00Z  certbus.certificate.blessed.v2  shop  name=shop by=ana"


_PLACED = {"certificate_id": "c-1", "target": "web", "generation": 5, "revision": 2}
_ABOUT = {"certificate_id": "c-1", "name": "shop", "owner": "team-shop"}
_CHALLENGE = {"challenge_token": "t", "host": "shop.example.org"}
_ALERT = {
    "alert_id": "a-1",
    "severity": "critical",
    "owner": "team-shop",
    "reason": "other",
    "subject": "https://shop.example.org",
    "summary": "shop.example.org serves another",
    "since": "2026-03-01T11:00:00Z",
    "certificate_name": "shop",
}
_ORDER = {
    "certificate_id": "c-1",
    "name": "shop",
    "revision": 3,
    "dns_names": ["shop.example.org"],
    "exposure": "public",
    "issuer": None,
    "key_algorithm": "ec-p256",
    "approval_id": "p-1",
    "recipients": [],
    "variant": "cps",
}


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        (
            "certbus.certificate.health_changed.v1",
            {
                **_ABOUT,
                "health": "degraded",
                "conditions": [
                    {"type": kind, "status": status, "reason": "Seen", "message": "", "since": "2026-03-01T11:00:00Z"}
                    for kind, status in (("Issued", "true"), ("Served", "false"), ("Renewing", "false"))
                ],
            },
            "health_changed        shop  degraded; Served is false: Seen",
        ),
        (
            "certbus.certificate.csr_accepted.v1",
            {**_ABOUT, "target": "edge", "order": _ORDER},
            "csr_accepted          shop  revision 3, variant cps, for edge",
        ),
        (
            "certbus.certificate.renewal_due_for_csr.v1",
            {**_ABOUT, "reason": "the window opened", "revision": 2, "targets": ["edge"]},
            "renewal_due_for_csr   shop  revision 2: the window opened; asked for a signing request: edge",
        ),
        (
            "certbus.certificate.failing.v1",
            {**_ABOUT, "revision": 2, "reason": "refused", "next_try": None, "must_act": "dns_owner"},
            "failing               shop  revision 2: refused, dns_owner must act, gave up",
        ),
        (
            "certbus.delivery.failed.v2",
            {**_PLACED, "reason": "refused", "detail": "no such store", "next_try": "2026-03-01T12:05:00Z"},
            "delivery.failed       c-1  revision 2 at web: refused (no such store), next try 2026-03-01T12:05:00Z",
        ),
        (
            "certbus.delivery.failed.v1",
            {**_PLACED, "reason": "refused", "detail": "", "next_try": None},
            "delivery.failed       c-1  revision 2 at web: refused, gave up",
        ),
        (
            "certbus.delivery.rolled_back.v1",
            {
                **_PLACED,
                "held_revision": 1,
                "held_fingerprint_sha256": "ab" * 32,
                "reason": "not_served",
                "detail": "",
            },
            "delivery.rolled_back  c-1  revision 2 at web could not be proven (not_served); holds revision 1 again",
        ),
        (
            "certbus.delivery.withdrawn.v1",
            {"certificate_id": "c-1", "target": "web", "generation": 6},
            "delivery.withdrawn    c-1  nothing is left at web",
        ),
        (
            "certbus.csr.offered.v1",
            {**_PLACED, "variant": "cps", "csr_pem": "-----BEGIN…"},
            "csr.offered           c-1  revision 2, variant cps, by web",
        ),
        (
            "certbus.deployment.ordered.v2",
            {
                "certificate_id": "c-1",
                "name": "shop",
                "placements": [
                    {"target": {"name": "web", "kind": "files"}, "generation": 5, "revision": 2},
                    {"target": {"name": "old", "kind": "files"}, "generation": 6, "action": "withdraw"},
                ],
            },
            "deployment.ordered    shop  revision 2 to web, withdraw old",
        ),
        ("certbus.alert.raised.v2", _ALERT, "alert.raised          shop  critical: shop.example.org serves another"),
        (
            "certbus.alert.raised.v1",
            {**_ALERT, "certificate_id": "c-1", "url": "https://shop.example.org"},
            "alert.raised          shop  critical: shop.example.org serves another",
        ),
        (
            "certbus.challenge.wanted.v1",
            {**_CHALLENGE, "key_authorization": "t.k", "expires_at": "2026-03-01T13:00:00Z"},
            "challenge.wanted      -  show the answer for shop.example.org until 2026-03-01T13:00:00Z",
        ),
        (
            "certbus.challenge.shown.v1",
            {**_CHALLENGE, "shown": False, "detail": "edge: answers with 404"},
            "challenge.shown       -  the answer for shop.example.org isn't shown (edge: answers with 404)",
        ),
        (
            "certbus.alert.acknowledged.v1",
            {**_ALERT, "acknowledged_by": "ben", "acknowledged_at": "2026-03-01T11:30:00Z", "comment": "on it"},
            "alert.acknowledged    shop  acknowledged by ben (on it): shop.example.org serves another",
        ),
    ],
)
def test_each_event_tells_what_happened(kind: str, data: dict[str, object], told: str) -> None:
    assert event_line(event(kind, data)) == f"2026-03-01T12:00:00Z  {told}"


def test_data_that_does_not_fit_its_type_is_shown_as_well() -> None:
    assert event_line(event(data={"name": "shop", "revision": "three"})).endswith("name=shop revision=three")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.integers())), st.text())
def test_no_event_breaks_the_line(data: dict[str, object], kind: str) -> None:
    assert event_line(event(kind, data))


@pytest.mark.parametrize("kind", catalogue())
def test_every_event_of_the_catalogue_has_a_line_and_a_story(kind: str) -> None:
    assert kind.rsplit(".", 2)[1] in event_line(event(kind, {}))
    assert story.dispatch(catalogue()[kind]) is not story.dispatch(Event)


_BEFORE = Path(__file__).parents[2] / "contracts" / "before" / "samples.json"


@pytest.mark.parametrize(("kind", "bodies"), json.loads(_BEFORE.read_text()).items())
def test_every_event_of_earlier_contracts_has_a_line(kind: str, bodies: list[dict[str, object]]) -> None:
    for body in bodies:
        assert shown_type(kind) in event_line(event(kind, body))
        assert not shown_type(kind).startswith("certbus.")


@pytest.mark.parametrize("name", ["csr.expired", "expired", "certbus.csr.expired.v1"])
def test_an_event_is_found_by_each_of_its_names(name: str) -> None:
    assert Wanted(types=frozenset({name})).takes(event("certbus.csr.expired.v1", {}))
    assert not Wanted(types=frozenset({name})).takes(event("certbus.csr.offered.v1", {}))


def test_json_keeps_every_attribute() -> None:
    assert json.loads(event().model_dump_json())["datacontenttype"] == "application/json"


@pytest.mark.parametrize("data", ["", "{}", "null", "no json", '{"specversion": "1.0"}'])
def test_what_is_no_event_is_left_out(data: str) -> None:
    assert read_event(Message("1", "message", data)) is None


@pytest.mark.parametrize(
    ("types", "certificate", "taken"),
    [
        ((), None, True),
        (("issued",), None, True),
        (("certbus.certificate.issued.v1", "live"), "shop", True),
        (("live",), None, False),
        (("certificate",), None, False),
        ((), "c-1", True),
        ((), "other", False),
    ],
)
def test_only_what_was_asked_for_is_shown(types: tuple[str, ...], certificate: str | None, *, taken: bool) -> None:
    assert Wanted(types=frozenset(types), certificate=certificate).takes(event()) is taken
