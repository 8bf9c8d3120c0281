from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import EndpointObserved, ServingVerdict
from monitor.domain.alerting import decide
from monitor.domain.reporting import DELIVERED_WITHIN, REPORT_EVERY, Reporting, decide_report, observation
from monitor.domain.watched import EndpointRecord, Expected
from tests.unit.monitor.expectations import NOON, URL, expectation, expected, look

GRACE = timedelta(minutes=5)
FRESH = EndpointRecord(certificate_id="c1", url=URL)
SERVED = FRESH.model_copy(update={"ever_served": True})
WANTED, PREVIOUS = ServingVerdict.WANTED, ServingVerdict.PREVIOUS
BAD = sorted(set(ServingVerdict) - {WANTED, PREVIOUS})
FAULTS = st.sampled_from(BAD)


@dataclass
class Endpoint:
    """An endpoint whose rollout began at noon, and what was published of it. Looks come an hour later."""

    record: EndpointRecord = SERVED
    expected: Expected = field(default_factory=expected)
    now: datetime = NOON + timedelta(hours=1)
    last: EndpointObserved | None = None
    asked: bool = True
    published: list[EndpointObserved] = field(default_factory=list)

    def shows(self, verdict: ServingVerdict, *, after: timedelta = timedelta(seconds=1)) -> Reporting:
        self.now += after
        shown = look(verdict)
        self.record = decide(self.record, shown, expected=self.expected, now=self.now, grace=GRACE).record
        observed = observation(self.record, shown, generation=self.expected.event.generation, now=self.now)
        found = decide_report(
            observed,
            record=self.record,
            last=self.last or self.record.observed,
            asked=self.asked,
            rollout=self.expected.rollouts[URL],
        )
        if found.published:
            self.published.append(observed)
            self.last, self.asked = observed, False
            self.record = self.record.with_observed(observed)
            if verdict is WANTED:
                proven = self.expected.rollouts[URL].generation
                self.record = self.record.model_copy(update={"proven_generation": proven})
        return found

    def restarts(self) -> None:
        self.record = EndpointRecord.model_validate_json(self.record.model_dump_json())
        self.last, self.asked = None, True

    def expects(self, wanted: int, *, generation: int) -> None:
        """What the registry asks for by it is up to the test."""
        event = expectation(wanted, generation=generation)
        self.expected = Expected.follow(event, known=self.expected, now=self.now)

    @property
    def told(self) -> list[tuple[str, int | None]]:
        return [(str(item.verdict), item.in_a_row) for item in self.published]


@pytest.mark.parametrize("verdict", BAD)
def test_a_fault_is_published_at_its_second_look_and_its_end_at_once(verdict: ServingVerdict) -> None:
    endpoint = Endpoint()
    assert endpoint.shows(WANTED) is Reporting.ASKED
    assert endpoint.shows(verdict) is Reporting.HELD_BACK
    assert endpoint.shows(verdict) is Reporting.CHANGED
    assert endpoint.shows(verdict) is Reporting.UNCHANGED
    assert endpoint.shows(WANTED) is Reporting.CHANGED
    assert endpoint.told == [("wanted", 0), (verdict, 2), ("wanted", 0)]


def test_single_bad_looks_are_never_published() -> None:
    endpoint = Endpoint()
    for verdict in BAD:
        endpoint.shows(WANTED)
        endpoint.shows(verdict)
    assert endpoint.told == [("wanted", 0)]


def test_two_different_faults_in_a_row_are_a_fault() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.shows(ServingVerdict.UNREACHABLE)
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(ServingVerdict.EXPIRED)
    assert endpoint.told == [("wanted", 0), ("other", 2), ("expired", 3)]


def test_a_rollout_that_waits_shows_why_and_is_no_fault_within_the_grace() -> None:
    endpoint = Endpoint(FRESH, now=NOON)
    for _ in range(5):
        endpoint.shows(ServingVerdict.UNREACHABLE)
    assert endpoint.now - NOON > DELIVERED_WITHIN
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(PREVIOUS)
    assert endpoint.told == [("unreachable", 1), ("other", 1), ("previous", 0)]


def test_what_never_served_is_a_fault_after_the_grace() -> None:
    endpoint = Endpoint(FRESH, now=NOON)
    endpoint.shows(ServingVerdict.UNREACHABLE, after=DELIVERED_WITHIN)
    endpoint.shows(ServingVerdict.UNREACHABLE, after=GRACE)
    endpoint.shows(ServingVerdict.UNREACHABLE)
    assert endpoint.told == [("unreachable", 1), ("unreachable", 2)]


def test_the_previous_revision_is_a_fault_after_the_grace() -> None:
    endpoint = Endpoint(now=NOON)
    endpoint.shows(PREVIOUS, after=DELIVERED_WITHIN)
    assert endpoint.shows(PREVIOUS, after=GRACE) is Reporting.HELD_BACK
    assert endpoint.shows(PREVIOUS) is Reporting.CHANGED
    assert endpoint.told == [("previous", 0), ("previous", 2)]


@pytest.mark.parametrize("verdict", [PREVIOUS, *BAD])
@pytest.mark.parametrize("record", [FRESH, SERVED])
def test_a_rollout_that_is_soon_proven_is_published_once(record: EndpointRecord, verdict: ServingVerdict) -> None:
    endpoint = Endpoint(record, now=NOON)
    assert endpoint.shows(verdict) is Reporting.HELD_BACK
    assert endpoint.shows(verdict) is Reporting.HELD_BACK
    assert endpoint.shows(WANTED) is Reporting.ASKED
    assert endpoint.shows(WANTED) is Reporting.UNCHANGED


def test_a_fault_is_published_at_its_second_look_however_soon_after_the_proof() -> None:
    endpoint = Endpoint(now=NOON)
    endpoint.shows(WANTED)
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.shows(ServingVerdict.OTHER)
    assert endpoint.now - NOON <= DELIVERED_WITHIN
    assert endpoint.told == [("wanted", 0), ("other", 2)]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_a_rollout_waits_for_is_published_when_its_delivery_took_too_long(*, restarts: bool) -> None:
    endpoint = Endpoint(FRESH, now=NOON)
    assert endpoint.shows(ServingVerdict.OTHER) is Reporting.HELD_BACK
    if restarts:
        endpoint.restarts()
    assert endpoint.shows(ServingVerdict.OTHER, after=DELIVERED_WITHIN) is Reporting.ASKED
    assert endpoint.told == [("other", 1)]


def test_a_fault_that_goes_on_through_a_new_rollout_is_no_news() -> None:
    endpoint = Endpoint()
    for verdict in (WANTED, ServingVerdict.OTHER, ServingVerdict.OTHER):
        endpoint.shows(verdict)
    endpoint.expects(3, generation=3)
    assert endpoint.shows(ServingVerdict.OTHER) is Reporting.HELD_BACK
    assert endpoint.shows(ServingVerdict.OTHER, after=DELIVERED_WITHIN) is Reporting.UNCHANGED


def test_a_first_bad_look_of_a_rollout_waits_for_the_second_however_late_it_comes() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.expects(1, generation=3)
    assert endpoint.shows(ServingVerdict.UNREACHABLE, after=DELIVERED_WITHIN) is Reporting.HELD_BACK
    assert endpoint.shows(ServingVerdict.UNREACHABLE) is Reporting.CHANGED
    assert endpoint.told == [("wanted", 0), ("unreachable", 2)]
    assert [item.generation for item in endpoint.published] == [2, 3]


def test_who_asks_in_the_middle_of_a_rollout_gets_no_first_bad_look() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.asked = True
    assert endpoint.shows(ServingVerdict.OTHER) is Reporting.HELD_BACK
    assert endpoint.shows(WANTED) is Reporting.ASKED


def test_a_bad_look_before_a_restart_counts_after_it() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.restarts()
    endpoint.shows(ServingVerdict.OTHER)
    endpoint.restarts()
    endpoint.shows(ServingVerdict.OTHER)
    assert endpoint.told == [("wanted", 0), ("other", 2), ("other", 3)]


def test_a_first_bad_look_after_a_restart_waits_for_the_second() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.restarts()
    assert endpoint.shows(ServingVerdict.OTHER) is Reporting.HELD_BACK
    assert endpoint.shows(ServingVerdict.OTHER) is Reporting.ASKED


def test_a_look_that_finds_the_same_under_a_newer_generation_is_no_news() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.expects(2, generation=3)
    assert endpoint.shows(WANTED) is Reporting.UNCHANGED


def test_the_proof_of_a_rollout_is_published_even_where_the_last_report_says_the_same() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    endpoint.expects(1, generation=3)
    assert endpoint.shows(WANTED) is Reporting.PROVEN
    assert endpoint.shows(WANTED) is Reporting.UNCHANGED


def test_an_observation_is_repeated_now_and_then() -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    assert endpoint.shows(WANTED) is Reporting.UNCHANGED
    assert endpoint.shows(WANTED, after=REPORT_EVERY) is Reporting.REPEATED


@given(st.lists(st.sampled_from([WANTED, PREVIOUS, ServingVerdict.OTHER, ServingVerdict.UNREACHABLE]), max_size=60))
def test_a_reader_knows_of_every_second_bad_look_and_of_every_good_one(verdicts: list[ServingVerdict]) -> None:
    endpoint = Endpoint()
    endpoint.shows(WANTED)
    bad = 0
    for verdict in verdicts:
        endpoint.shows(verdict)
        bad = 0 if verdict is WANTED else bad + 1
        known = endpoint.published[-1]
        faulty = (known.in_a_row or 0) >= 2
        assert faulty == (bad >= 2)
        if bad != 1:
            assert known.verdict is verdict
        assert all(item.in_a_row != 1 for item in endpoint.published)


@given(FAULTS, st.integers(0, 20))
def test_a_fault_that_lasts_is_written_to_disk_a_few_times_only(verdict: ServingVerdict, more: int) -> None:
    endpoint = Endpoint()
    writes = 0
    for _ in range(4 + more):
        before = endpoint.record
        endpoint.shows(verdict)
        writes += endpoint.record.differs_from(before)
    assert writes <= 3
    assert endpoint.record.bad_looks == 4 + more
