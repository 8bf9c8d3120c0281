from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import CaUnreachableError, SolverError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError
from issuer.domain.job import Job, JobId, JobState
from issuer.handlers.challenge_times import ChallengeTimes
from issuer.handlers.metrics import Metrics
from tests.unit.issuer.samples import NOON, job

SECOND = timedelta(seconds=1)
JOB = job(JobState.VALIDATING)


def record(solver: str, of: Job = JOB) -> ChallengeRecord:
    return ChallengeRecord(of.id, ChallengeKind.DNS_01, f"https://ca.test/{solver}", "a.test", "n", "v", solver)


class Scene:
    def __init__(self) -> None:
        self.now = NOON
        self.registry = CollectorRegistry()
        kinds = {"inside": "rfc2136", "outside": "rfc2136", "web": "http01"}
        self.times = ChallengeTimes(kinds=kinds, metrics=Metrics(registry=self.registry), clock=lambda: self.now)

    def look(self, *, takes: int, ends: Exception | None = None, records: Sequence[str] = ("inside",)) -> None:
        with self.times.proving(JOB, [record(name) for name in records]):
            self.now += takes * SECOND
            if ends is not None:
                raise ends

    def seen(self) -> dict[tuple[str, str, str], float]:
        return {
            (sample.labels["ca"], sample.labels["solver"], sample.labels["outcome"]): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "certbus_issuer_challenge_seconds_sum"
        }


def test_what_is_proven_counts_from_the_first_look_once_for_each_kind_of_solver() -> None:
    scene = Scene()
    with pytest.raises(JobWaitsError):
        scene.look(takes=3, ends=JobWaitsError(FailureReason.NOT_PROPAGATED, "ns2", wait=SECOND))
    scene.now += 60 * SECOND
    with pytest.raises(CaUnreachableError):
        scene.look(takes=1, ends=CaUnreachableError("no answer"))
    scene.look(takes=6, records=("inside", "outside", "web"))
    assert scene.seen() == {("a-ca", "http01", "proven"): 70.0, ("a-ca", "rfc2136", "proven"): 70.0}
    scene.look(takes=1)
    assert scene.seen()["a-ca", "rfc2136", "proven"] == 71.0


def test_what_the_ca_refused_and_what_could_not_be_shown_are_told_apart() -> None:
    scene = Scene()
    for takes, ends in (
        (2, SolverError("no route")),
        (5, JobFailedError(FailureReason.NAME_NOT_PROVEN, "no TXT", order_over=True)),
        # Of these nobody knows yet.
        (7, JobFailedError(FailureReason.ORDER_UNANSWERED, "silent")),
    ):
        with pytest.raises(type(ends)):
            scene.look(takes=takes, ends=ends)
    assert scene.seen() == {("a-ca", "rfc2136", "unreachable"): 2.0, ("a-ca", "rfc2136", "refused"): 5.0}


def test_a_solver_that_is_configured_no_more_has_a_kind_all_the_same() -> None:
    scene = Scene()
    scene.look(takes=1, records=("gone", "also-gone"))
    assert scene.seen() == {("a-ca", "unknown", "proven"): 1.0}


def test_jobs_of_which_nothing_more_is_heard_are_bounded() -> None:
    scene = Scene()
    for number in range(10_001):
        with pytest.raises(CaUnreachableError), scene.times.proving(job(id=JobId("a", number)), []):
            raise CaUnreachableError("no answer")
    scene.now += 60 * SECOND
    for number in (0, 10_000):
        with scene.times.proving(job(id=JobId("a", number), ca=f"ca-{number}"), [record("web")]):
            scene.now += SECOND
    # The first one was forgotten, and begins anew.
    assert scene.seen() == {("ca-0", "http01", "proven"): 1.0, ("ca-10000", "http01", "proven"): 62.0}
