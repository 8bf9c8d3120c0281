from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import AlertRaised, AlertResolved, ServingVerdict
from monitor.domain.alerting import ALERT_REASON, Decision, Reason, alert_of, decide, resolution
from monitor.domain.watched import EndpointRecord
from tests.unit.monitor.expectations import NOON, URL, expected, look

GRACE = timedelta(minutes=5)
YOUNG, OLD = timedelta(seconds=1), timedelta(hours=1)
FRESH = EndpointRecord(certificate_id="c1", url=URL)
SERVED = FRESH.model_copy(update={"ever_served": True})
BAD = sorted(set(ServingVerdict) - {ServingVerdict.WANTED, ServingVerdict.PREVIOUS})
CRITICAL = {ServingVerdict.EXPIRED, ServingVerdict.WRONG_HOST, ServingVerdict.UNTRUSTED, ServingVerdict.TLS_FAILED}


@dataclass
class Endpoint:
    """An endpoint and everything that was announced of it."""

    record: EndpointRecord
    told: list[AlertRaised | AlertResolved] = field(default_factory=list)

    def shows(self, verdict: ServingVerdict, *, age: timedelta = OLD, fails: bool | None = None) -> Decision:
        shown = look(verdict, clients_fail=verdict in CRITICAL if fails is None else fails)
        decision = decide(self.record, shown, rollout_age=age, grace=GRACE)
        record = decision.record
        if decision.ends:
            assert record.alert is not None
            self.told.append(resolution(record.alert, now=NOON))
            record = record.model_copy(update={"alert": None})
        if decision.begins is not None:
            record = record.model_copy(update={"episode": record.episode + 1})
            alert = alert_of(record, shown, expected(), severity=decision.begins, now=NOON)
            self.told.append(alert)
            record = record.model_copy(update={"alert": alert})
        self.record = record
        return decision


@pytest.mark.parametrize("verdict", BAD)
def test_two_bad_looks_in_a_row_raise_one_alert(verdict: ServingVerdict) -> None:
    endpoint = Endpoint(SERVED)
    assert endpoint.shows(verdict, age=YOUNG).reason is Reason.FIRST_BAD_LOOK
    assert endpoint.shows(verdict, age=YOUNG).reason is Reason.RAISED
    assert endpoint.shows(verdict, age=YOUNG).reason is Reason.STILL_OPEN
    [alert] = endpoint.told
    assert isinstance(alert, AlertRaised)
    assert alert.severity == ("critical" if verdict in CRITICAL else "warning")
    assert (alert.reason, alert.owner, alert.url) == (ALERT_REASON, "team-shop", URL)
    assert URL in alert.summary


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
def test_an_endpoint_that_never_served_has_the_grace_for_its_first_roll_out(verdict: ServingVerdict) -> None:
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


def test_a_finding_that_gets_worse_becomes_critical_once() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.PREVIOUS)
    endpoint.shows(ServingVerdict.PREVIOUS)
    assert endpoint.shows(ServingVerdict.EXPIRED).reason is Reason.STILL_OPEN
    assert endpoint.shows(ServingVerdict.EXPIRED).reason is Reason.WORSE
    endpoint.shows(ServingVerdict.PREVIOUS)
    endpoint.shows(ServingVerdict.EXPIRED)
    endpoint.shows(ServingVerdict.EXPIRED)
    assert [(type(item).__name__, item.severity) for item in endpoint.told] == [
        ("AlertRaised", "warning"),
        ("AlertResolved", "warning"),
        ("AlertRaised", "critical"),
    ]


def test_a_foreign_certificate_that_clients_refuse_is_critical() -> None:
    endpoint = Endpoint(SERVED)
    endpoint.shows(ServingVerdict.OTHER, fails=True)
    endpoint.shows(ServingVerdict.OTHER, fails=True)
    assert [item.severity for item in endpoint.told] == ["critical"]


def test_each_episode_has_an_id_of_its_own() -> None:
    endpoint = Endpoint(SERVED)
    for _ in range(3):
        endpoint.shows(ServingVerdict.OTHER)
        endpoint.shows(ServingVerdict.OTHER)
        endpoint.shows(ServingVerdict.WANTED)
    assert len({item.alert_id for item in endpoint.told}) == 3


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
    kinds = [type(item) for item in endpoint.told]
    assert kinds[::2] == [AlertRaised] * len(kinds[::2])
    assert kinds[1::2] == [AlertResolved] * len(kinds[1::2])
    for raised, resolved in zip(endpoint.told[::2], endpoint.told[1::2], strict=False):
        assert (raised.alert_id, raised.severity) == (resolved.alert_id, resolved.severity)
    assert len({item.alert_id for item in endpoint.told[::2]}) == len(endpoint.told[::2])


@given(STEPS)
def test_a_restart_between_any_two_looks_changes_nothing(steps: list[tuple[ServingVerdict, bool, bool]]) -> None:
    steady, restarted = Endpoint(SERVED), Endpoint(SERVED)
    for verdict, old, fails in steps:
        for endpoint in (steady, restarted):
            endpoint.shows(verdict, age=OLD if old else YOUNG, fails=fails)
        restarted.record = EndpointRecord.model_validate_json(restarted.record.model_dump_json())
    assert steady.told == restarted.told
    assert steady.record == restarted.record
