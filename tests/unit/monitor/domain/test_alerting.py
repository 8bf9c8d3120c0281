from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import AlertRaised, AlertResolved, AlertUpdated, ServingVerdict, alert_id
from monitor.domain.alerting import ALERT_REASON, AlertEvent, Decision, Reason, decide
from monitor.domain.watched import EndpointRecord, Expected
from tests.unit.monitor.expectations import NOON, URL, expected, look

GRACE = timedelta(minutes=5)
YOUNG, OLD = timedelta(seconds=1), timedelta(hours=1)
FRESH = EndpointRecord(certificate_id="c1", url=URL)
SERVED = FRESH.model_copy(update={"ever_served": True})
BAD = sorted(set(ServingVerdict) - {ServingVerdict.WANTED, ServingVerdict.PREVIOUS})
CRITICAL = {ServingVerdict.EXPIRED, ServingVerdict.WRONG_HOST, ServingVerdict.UNTRUSTED, ServingVerdict.TLS_FAILED}


@dataclass
class Endpoint:
    """An endpoint and everything that was announced of it. Each look comes a second after the one before."""

    record: EndpointRecord
    told: list[AlertEvent] = field(default_factory=list)
    now: datetime = NOON

    def shows(self, verdict: ServingVerdict, *, age: timedelta = OLD, fails: bool | None = None) -> Decision:
        self.now += timedelta(seconds=1)
        shown = look(verdict, clients_fail=verdict in CRITICAL if fails is None else fails)
        wants = Expected.follow(expected().event, known=None, now=self.now - age)
        decision = decide(self.record, shown, expected=wants, now=self.now, grace=GRACE)
        self.record = decision.record
        if decision.announcement is not None:
            self.told.append(decision.announcement)
        return decision

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(type(item).__name__, str(item.severity)) for item in self.told]


@pytest.mark.parametrize("verdict", BAD)
def test_two_bad_looks_in_a_row_raise_one_alert(verdict: ServingVerdict) -> None:
    endpoint = Endpoint(SERVED)
    assert endpoint.shows(verdict, age=YOUNG).reason is Reason.FIRST_BAD_LOOK
    assert endpoint.shows(verdict, age=YOUNG).reason is Reason.RAISED
    assert endpoint.shows(verdict, age=YOUNG).reason is Reason.STILL_OPEN
    [alert] = endpoint.told
    assert isinstance(alert, AlertRaised)
    assert alert.severity == ("critical" if verdict in CRITICAL else "warning")
    assert (alert.reason, alert.owner, alert.subject) == (ALERT_REASON, "team-shop", URL)
    assert (alert.certificate_id, alert.certificate_name, alert.url) == ("c1", "shop", URL)
    assert alert.alert_id == alert_id(owner="team-shop", about=f"c1 {URL}", reason=ALERT_REASON)
    assert URL in alert.summary
    assert alert.summary.endswith("wanted is revision 2 of shop")


def test_one_bad_look_raises_nothing() -> None:
    endpoint = Endpoint(SERVED)
    for _ in range(5):
        endpoint.shows(ServingVerdict.TLS_FAILED)
        endpoint.shows(ServingVerdict.WANTED)
    assert endpoint.told == []


def test_the_previous_revision_is_no_finding_within_the_grace() -> None:
    endpoint = Endpoint(SERVED)
    for _ in range(10):
        assert endpoint.shows(ServingVerdict.PREVIOUS, age=YOUNG).reason is Reason.ROLLING_OUT
    endpoint.shows(ServingVerdict.PREVIOUS)
    assert endpoint.shows(ServingVerdict.PREVIOUS).reason is Reason.RAISED


@pytest.mark.parametrize("verdict", BAD)
def test_an_endpoint_that_never_served_has_the_grace_for_its_first_rollout(verdict: ServingVerdict) -> None:
    endpoint = Endpoint(FRESH)
    for _ in range(10):
        assert endpoint.shows(verdict, age=YOUNG).reason is Reason.ROLLING_OUT
    assert endpoint.told == []
    endpoint.shows(verdict)
    endpoint.shows(verdict)
    assert len(endpoint.told) == 1


def test_only_the_wanted_revision_resolves() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(ServingVerdict.OTHER)
    assert endpoint.shows(ServingVerdict.PREVIOUS, age=YOUNG).reason is Reason.STILL_OPEN
    assert endpoint.shows(ServingVerdict.WANTED).reason is Reason.RESOLVED
    raised, resolved = endpoint.told
    assert isinstance(resolved, AlertResolved)
    assert resolved.alert_id == raised.alert_id


def test_a_finding_that_gets_worse_is_updated_once() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.PREVIOUS)
    endpoint.shows(ServingVerdict.PREVIOUS)
    assert endpoint.shows(ServingVerdict.EXPIRED).reason is Reason.STILL_OPEN
    assert endpoint.shows(ServingVerdict.EXPIRED).reason is Reason.UPDATED
    assert endpoint.shows(ServingVerdict.EXPIRED).reason is Reason.STILL_OPEN
    endpoint.shows(ServingVerdict.PREVIOUS)
    endpoint.shows(ServingVerdict.EXPIRED)
    endpoint.shows(ServingVerdict.EXPIRED)
    assert endpoint.story == [("AlertRaised", "warning"), ("AlertUpdated", "critical")]
    raised, updated = endpoint.told
    assert (updated.alert_id, updated.since) == (raised.alert_id, raised.since)
    assert isinstance(updated, AlertUpdated)
    assert updated.updated_at > updated.since
    assert "expired" in updated.summary


def test_clients_that_fail_for_changing_reasons_make_it_critical() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.PREVIOUS)
    endpoint.shows(ServingVerdict.PREVIOUS)
    endpoint.shows(ServingVerdict.EXPIRED)
    assert endpoint.shows(ServingVerdict.UNTRUSTED).reason is Reason.UPDATED


def test_another_finding_updates_the_alert_when_two_looks_agree() -> None:
    endpoint = Endpoint(SERVED)
    for verdict in (ServingVerdict.EXPIRED, ServingVerdict.OTHER, ServingVerdict.UNREACHABLE):
        endpoint.shows(verdict)
        endpoint.shows(verdict)
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(ServingVerdict.WANTED)
    assert endpoint.story == [
        ("AlertRaised", "critical"),
        ("AlertUpdated", "warning"),
        ("AlertUpdated", "warning"),
        ("AlertResolved", "warning"),
    ]
    assert "can't be reached" in endpoint.told[-1].summary


def test_a_foreign_certificate_that_clients_refuse_is_critical() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.OTHER, fails=True)
    endpoint.shows(ServingVerdict.OTHER, fails=True)
    assert [item.severity for item in endpoint.told] == ["critical"]


def test_what_is_found_again_is_the_same_alert_since_another_time() -> None:
    endpoint = Endpoint(SERVED)
    for _ in range(3):
        endpoint.shows(ServingVerdict.OTHER)
        endpoint.shows(ServingVerdict.OTHER)
        endpoint.shows(ServingVerdict.WANTED)
    assert len({item.alert_id for item in endpoint.told}) == 1
    assert len({item.since for item in endpoint.told}) == 3


def test_an_alert_of_another_id_goes_on_under_it() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(ServingVerdict.OTHER)
    assert endpoint.record.alert is not None
    old = endpoint.record.alert.model_copy(update={"alert_id": "a0c20996-8f76-5e31-bbb4-76995a693c2b"})
    endpoint.record = endpoint.record.model_copy(update={"alert": old, "alerted": None})
    for verdict in (ServingVerdict.EXPIRED, ServingVerdict.EXPIRED, ServingVerdict.WANTED):
        endpoint.shows(verdict)
    assert [item.alert_id for item in endpoint.told[1:]] == [old.alert_id] * 2
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(ServingVerdict.OTHER)
    assert endpoint.told[-1].alert_id == endpoint.told[0].alert_id


STEPS = st.lists(st.tuples(st.sampled_from(ServingVerdict), st.booleans(), st.booleans()), max_size=60)


@given(STEPS, st.booleans())
def test_alerts_never_flap(steps: list[tuple[ServingVerdict, bool, bool]], ever_served: bool) -> None:  # noqa: FBT001
    endpoint = Endpoint(SERVED if ever_served else FRESH)
    previous: ServingVerdict | None = None
    for verdict, old, fails in steps:
        before = len(endpoint.told)
        endpoint.shows(verdict, age=OLD if old else YOUNG, fails=fails and verdict is not ServingVerdict.WANTED)
        told = endpoint.told[before:]
        if any(isinstance(item, AlertRaised) for item in told):
            assert verdict is not ServingVerdict.WANTED
            assert previous is not ServingVerdict.WANTED
            assert previous is not None
        if verdict is ServingVerdict.WANTED:
            assert endpoint.record.alert is None
        previous = verdict
    assert {item.alert_id for item in endpoint.told} <= {endpoint.told[0].alert_id} if endpoint.told else True
    is_open = False
    for item in endpoint.told:
        assert is_open is not isinstance(item, AlertRaised)
        is_open = not isinstance(item, AlertResolved)
    by_severity = [(item.since, item.severity, item.summary) for item in endpoint.told]
    for one, item in zip(by_severity, endpoint.told[1:], strict=False):
        if isinstance(item, AlertUpdated):
            assert one != (item.since, item.severity, item.summary)


@given(STEPS)
def test_a_restart_between_any_two_looks_changes_nothing(steps: list[tuple[ServingVerdict, bool, bool]]) -> None:
    steady, restarted = Endpoint(SERVED), Endpoint(SERVED)
    for verdict, old, fails in steps:
        for endpoint in (steady, restarted):
            endpoint.shows(verdict, age=OLD if old else YOUNG, fails=fails)
        restarted.record = EndpointRecord.model_validate_json(restarted.record.model_dump_json())
    assert steady.told == restarted.told
    assert steady.record == restarted.record
