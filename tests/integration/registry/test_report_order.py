"""Reports that come twice, late and in any order a bus may bring them: the same truth and the same announcements."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from certcore.events import (
    DeliveryFailed,
    DeliveryReason,
    DeliverySucceeded,
    EndpointObserved,
    Event,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
    ServingVerdict,
)
from tests.authority import Issued
from tests.integration.registry.world import ISSUED, NOON, PLACES, SPEC, Report, World, schema, world

pytestmark = pytest.mark.integration

SEEDS: Final = 6
GENERATION: Final = {1: 1, 2: 2}
"""Of each revision's rollout: the first proof ends nothing that was accepted, and needs none."""


@pytest_asyncio.fixture
async def empty(tmp_path: Path) -> Path:
    return await schema(tmp_path)


def phases(certificate_id: str) -> list[list[Report]]:
    """A whole life, cut where one report is the cause of the next: within a phase any order may happen."""
    numbers = count(1)

    def report(event: Event, place: str, service: str, *, again: bool = True) -> Report:
        return Report(event, place, service, f"report-{next(numbers)}", again)

    def of_issuer(event: Event, *, again: bool = True) -> list[Report]:
        return [report(event, "hub", "issuer", again=again)]

    def started(revision: int) -> list[Report]:
        return of_issuer(RevisionStarted(certificate_id=certificate_id, revision=revision, ca="ca"))

    def issued(revision: int) -> list[Report]:
        event = RevisionIssued(
            certificate_id=certificate_id,
            revision=revision,
            fingerprint_sha256=ISSUED[revision].fingerprint,
            ca="ca",
            validation_method="dns-01",
            ari_id=None,
        )
        return of_issuer(event)

    def failed(revision: int) -> list[Report]:
        event = RevisionFailed(certificate_id=certificate_id, revision=revision, reason="no", next_try=None)
        return of_issuer(event, again=False)

    def not_delivered(revision: int) -> list[Report]:
        event = DeliveryFailed(
            certificate_id=certificate_id,
            generation=GENERATION[revision],
            revision=revision,
            target="edge",
            reason=DeliveryReason.UNREACHABLE,
            detail="",
            next_try=None,
        )
        return [report(event, *PLACES["edge"], again=False)]

    def rolled_out(revision: int) -> list[Report]:
        found = [
            report(
                DeliverySucceeded(
                    certificate_id=certificate_id,
                    generation=GENERATION[revision],
                    revision=revision,
                    target=target,
                    fingerprint_sha256=ISSUED[revision].fingerprint,
                ),
                *place,
            )
            for target, place in PLACES.items()
        ]
        looks = [(ServingVerdict.UNREACHABLE, 1), (ServingVerdict.PREVIOUS, 2), (ServingVerdict.WANTED, 3)]
        for endpoint in SPEC.endpoints:
            found += [
                report(observed(endpoint.url, verdict, revision, ISSUED[revision], second), "hub", "monitor")
                for verdict, second in looks
            ]
        return found

    def observed(url: str, verdict: ServingVerdict, revision: int, leaf: Issued, second: int) -> EndpointObserved:
        wanted = verdict is ServingVerdict.WANTED
        return EndpointObserved(
            certificate_id=certificate_id,
            url=url,
            verdict=verdict,
            served_revision=revision if wanted else None,
            served_fingerprint_sha256=leaf.fingerprint if wanted else None,
            addresses=(),
            observed_at=NOON + timedelta(minutes=revision, seconds=second),
        )

    return [
        *(started(1), issued(1), not_delivered(1), rolled_out(1)),
        *(started(2), failed(2), started(2), issued(2), rolled_out(2)),
    ]


async def live(world: World, brought: Callable[[list[Report], list[Report]], list[Report]]) -> dict[str, Any]:
    """The whole life; `brought` tells in what order, and with what from before, a phase's reports come."""
    before: list[Report] = []
    for number, phase in enumerate(phases(world.certificate_id)):
        if number in {4, 6}:
            await world.renew("app", person="ana")
        if number in {1, 7}:
            await world.hand_over(1 if number == 1 else 2)
        for report in brought(phase, before):
            await world.hear(report)
        before += phase
    return await world.truth()


def shuffled(order: random.Random) -> Callable[[list[Report], list[Report]], list[Report]]:
    numbers = count(1)

    def brought(phase: list[Report], before: list[Report]) -> list[Report]:
        found = list(phase)
        order.shuffle(found)
        # Once more what came before, as a redelivery has it or as a service that forgot that it had told it.
        for report in order.choices([*before, *phase], k=order.randrange(8)):
            earliest = found.index(report) + 1 if report in found else 0
            twin = report
            if report.again and order.random() < 0.5:
                twin = Report(report.event, report.place, report.service, f"twin-{next(numbers)}")
            found.insert(order.randrange(earliest, len(found) + 1), twin)
        return found

    return brought


async def test_any_order_and_any_number_of_reports_leads_to_one_truth(empty: Path) -> None:
    first = random.SystemRandom().randrange(2**32)
    print(f"seeds from {first}")
    async with world(empty, "in-order") as straight:
        expected = await live(straight, lambda phase, _: phase)
    assert "live" in expected["certificate"][0]
    kinds = Counter({kind.split(".")[2]: 0 for kind, _, _ in expected["events"]})
    for (kind, _, _), times in expected["events"].items():
        kinds[kind.split(".")[2]] += times
    assert kinds == {
        "requested": 1,
        "approved": 1,
        "issued": 2,
        "ordered": 6,
        "delivered": 6,
        "live": 2,
        "expected": 3,
        "renewal_due": 2,
        "failing": 1,
    }
    for seed in range(first, first + SEEDS):
        async with world(empty, str(seed)) as other:
            assert await live(other, shuffled(random.Random(seed))) == expected, f"seed {seed}"
