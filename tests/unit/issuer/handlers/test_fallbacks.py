from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from issuer.domain.breaker import BreakerRule
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.caa import CaaAsker, CaaRecord, CaaVerdict, judge_caa
from issuer.domain.errors import CaUnreachableError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError
from issuer.domain.fallback import Fallback, FallbackReason
from issuer.domain.job import Job, JobState
from issuer.handlers.bulkheads import Bulkheads
from issuer.handlers.caa_check import CaaCheck
from issuer.handlers.fallbacks import Fallbacks
from issuer.handlers.metrics import Metrics
from tests.unit.issuer.samples import NOON, job, order

CAS = ("first", "second", "third")
REFUSED = FailureReason.CA_REFUSED


class NamedCa:
    """Is known to CAA records as `<name>.test`."""

    preference = (ChallengeKind.HTTP_01,)

    def __init__(self, name: str) -> None:
        self.name = name
        self.silent = False
        self.accounts = 0

    async def caa_identities(self) -> tuple[str, ...]:
        if self.silent:
            raise CaUnreachableError(f"{self.name}.test doesn't answer")
        return (f"{self.name}.test",)

    async def account_url(self) -> str:
        self.accounts += 1
        return f"https://{self.name}.test/acct/1"


class Records:
    def __init__(self, *values: str) -> None:
        self._sets = {"shop.example.org": [CaaRecord(0, "issue", value) for value in values]}

    async def allows(self, names: Sequence[str], asker: CaaAsker) -> CaaVerdict:
        return [judge_caa(name, self._sets, asker) for name in names][-1]


class Scene:
    def __init__(self, *records: str) -> None:
        self.cas = {name: NamedCa(name) for name in CAS}
        self.bulkheads = Bulkheads(
            in_flight=dict.fromkeys(CAS, 8),
            rule=BreakerRule(failures=1),
            patience=timedelta(),
            metrics=Metrics(registry=CollectorRegistry()),
            clock=lambda: NOON,
        )
        self.fallbacks = Fallbacks(bulkheads=self.bulkheads, caa=CaaCheck(Records(*records)), cas=self.cas)

    async def decide(self, some: Job) -> Fallback:
        return await self.fallbacks.decide(some, known=CAS)


def refused(**fields: FailureReason) -> Job:
    return job(
        JobState.KEYED, issue_order=order(cas=CAS), ca="first", **{"reason": FailureReason.CA_REFUSED, **fields}
    )


async def test_a_job_passes_over_the_ca_that_caa_records_forbid() -> None:
    scene = Scene("first.test", "third.test")
    assert await scene.decide(refused()) == Fallback("third", FallbackReason.CA_REFUSED)
    assert await Scene("second.test").decide(refused()) == Fallback("second", FallbackReason.CA_REFUSED)
    # To ask whether a CA may issue needs no account there, where no record names one.
    assert [ca.accounts for ca in scene.cas.values()] == [0, 0, 0]


async def test_where_records_forbid_all_others_it_stays_and_what_it_waits_for_tells_them() -> None:
    scene = Scene("first.test")
    scene.bulkheads.failed("first", FailureReason.CA_UNREACHABLE, retry_after=None)
    stays = await scene.decide(refused(reason=FailureReason.CA_UNREACHABLE))
    assert (stays.ca, stays.reason) == (None, FallbackReason.OTHERS_HINDERED)
    with pytest.raises(JobWaitsError) as waits:
        scene.bulkheads.admit(refused(), beside=stays.detail)
    assert "first doesn't answer since 2026-03-01T12:00:00Z; not second: CAA of shop.example.org lets" in str(
        waits.value
    )
    assert "not third: CAA of shop.example.org lets first.test issue" in str(waits.value)
    failure = JobFailedError(FailureReason.CA_REFUSED, "not now", retry_after=timedelta(1), order_over=True)
    failed = failure.beside(stays.detail)
    assert failed.detail == f"not now; {stays.detail}"
    assert (failed.reason, failed.retry_after, failed.order_over) == (failure.reason, failure.retry_after, True)
    assert failure.beside("") is failure


async def test_a_ca_of_which_nobody_knows_is_passed_over() -> None:
    scene = Scene()
    scene.cas["second"].silent = True
    assert await scene.decide(refused()) == Fallback("third", FallbackReason.CA_REFUSED)
    scene.cas["third"].silent = True
    stays = await scene.decide(refused())
    assert stays.ca is None
    assert "not second: it can't be asked: second.test doesn't answer" in stays.detail


async def test_an_account_that_a_record_names_is_compared() -> None:
    ours = Scene("second.test; accounturi=https://second.test/acct/1")
    assert (await ours.decide(refused())).ca == "second"
    other = Scene("second.test; accounturi=https://second.test/acct/2")
    assert "and ours is https://second.test/acct/1" in (await other.decide(refused())).detail
