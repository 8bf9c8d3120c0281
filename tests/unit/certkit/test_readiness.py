from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from certkit.readiness import Finding, Readiness, Report, asked

SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)

MISSING = Finding(check="consumer CERTS/issuer", problem="the broker has no stream CERTS", since=SINCE)
DISK = Finding(check="disk /state", detail="900 MiB free")
DOWN = Finding(check="task relay", problem="is down", detail="3 restarts")


def bus(problem: str | None = None) -> Callable[[], Awaitable[Finding]]:
    async def reached() -> Finding:
        return Finding(check="bus", problem=problem)

    return reached


def check(*findings: Finding) -> Callable[[], Sequence[Finding]]:
    return lambda: findings


async def test_a_service_without_problems_is_ready_and_tells_what_it_knows() -> None:
    readiness = Readiness(check(DISK), asked("orders", lambda: None), bus=bus())
    report = await readiness.report()
    assert await readiness.reason() is None
    assert report.text().splitlines() == [
        "ready",
        "ok   bus: ok",
        "ok   disk /state: (900 MiB free)",
        "ok   orders: ok",
    ]


async def test_each_problem_is_named_in_the_first_line_and_comes_before_what_is_well() -> None:
    readiness = Readiness(check(DISK, MISSING), check(DOWN), bus=bus("it can't be reached"))
    lines = (await readiness.report()).text().splitlines()
    assert lines[0] == (
        "bus: it can't be reached; consumer CERTS/issuer: the broker has no stream CERTS since 2026-01-01T12:00:00Z; "
        "task relay: is down (3 restarts)"
    )
    assert lines[1:] == [
        "FAIL bus: it can't be reached",
        "FAIL consumer CERTS/issuer: the broker has no stream CERTS since 2026-01-01T12:00:00Z",
        "FAIL task relay: is down (3 restarts)",
        "ok   disk /state: (900 MiB free)",
    ]


async def test_the_report_can_be_read_as_json() -> None:
    report = await Readiness(check(MISSING), bus=bus()).report()
    assert Report.model_validate_json(report.model_dump_json()) == report


async def test_a_reason_stays_short_however_many_consumers_are_missing() -> None:
    reason = await Readiness(check(*[MISSING] * 1000), bus=bus()).reason()
    assert reason is not None
    assert len(reason) == 500
