"""What targets report of a generation: progress, a rollback of their own, a withdrawal; and what is too old."""

from datetime import UTC, datetime, timedelta

import pytest

from certcore.api import CertificateState, CertificateView, TargetState, TargetView
from certcore.conditions import Health
from certcore.events import (
    CertificateDelivered,
    DeliveryProgressed,
    DeliveryReason,
    DeliveryRolledBack,
    DeliverySucceededV1,
    DeliveryWithdrawn,
    DeploymentOrdered,
    Event,
    ServingVerdict,
)
from certcore.placements import Action
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus
from tests.integration.registry.reported import DURABLE, everywhere, items, relayed, told
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def target_of(services: StandIns, certificate: CertificateView, name: str = "host") -> TargetView:
    await services.settled()
    present = await services.shown(certificate.name)
    return next(target for target in present.targets if target.name == name)


def progressed(certificate: CertificateView, *, generation: int, step: str = "in review") -> DeliveryProgressed:
    return DeliveryProgressed(
        certificate_id=certificate.id,
        target="host",
        generation=generation,
        revision=1,
        step=step,
        detail="since Monday",
        next_look=datetime.now(UTC) + timedelta(hours=1),
    )


def rolled_back(certificate: CertificateView, *, generation: int, revision: int, held: int | None) -> Event:
    return DeliveryRolledBack(
        certificate_id=certificate.id,
        target="host",
        generation=generation,
        revision=revision,
        held_revision=held,
        held_fingerprint_sha256=None,
        reason=DeliveryReason.NOT_SERVED,
        detail="the old worker still answers",
    )


async def test_a_slow_delivery_shows_its_step_and_is_not_late(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    generation = await services.generation(certificate, "host")
    await services.tell(certificate, "host", progressed(certificate, generation=generation))
    target = await target_of(services, certificate)
    assert (target.state, target.reason) == (TargetState.IN_PROGRESS, "in review: since Monday")
    assert target.next_try is not None
    registry.process.change(
        "UPDATE placement SET ordered_at = '2020-01-01 00:00:00.000000' WHERE certificate_id = ?", certificate.id
    )
    # Days pass; it comes a step further.
    await services.tell(certificate, "host", progressed(certificate, generation=generation, step="rolling out"))
    await services.settled()
    present = await services.shown(certificate.name)
    assert present.health is Health.PROGRESSING
    assert "rolling out: since Monday" in present.health_reason
    assert "rolling out: since Monday" in present.reason
    await services.tell(certificate, "host", progressed(certificate, generation=generation - 1, step="stale"))
    assert (await target_of(services, certificate)).reason == "rolling out: since Monday"
    await services.delivered(certificate, "host", 1, issued)
    target = await target_of(services, certificate)
    assert (target.state, target.next_try) == (TargetState.DELIVERED, None)


async def test_a_target_that_rolled_back_holds_the_revision_before_and_says_why(services: StandIns) -> None:
    certificate = await services.requested()
    first = await services.make_live(certificate)
    await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    second = await services.issue(certificate, 2)
    generation = await services.generation(certificate, "host")
    await services.tell(certificate, "host", rolled_back(certificate, generation=generation, revision=2, held=1))
    target = await target_of(services, certificate)
    assert (target.state, target.revision, target.wanted_revision) == (TargetState.FAILED, 1, 2)
    assert target.reason == "rolled back to revision 1: not_served: the old worker still answers"
    present = await services.shown(certificate.name)
    assert present.state is CertificateState.DELIVERING
    assert "rolled back to revision 1" in present.reason
    # Its endpoint serves the one before, which is no fault.
    await services.observed(certificate, certificate.endpoints[0].url, ServingVerdict.PREVIOUS, 1, first)
    await services.delivered(certificate, "host", 2, second)
    await services.served(certificate, certificate.endpoints[0].url, 2, second)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.health, present.targets[0].revision) == (CertificateState.LIVE, Health.OK, 2)


async def test_a_withdrawn_target_is_ordered_to_hold_nothing_and_holds_nothing(
    services: StandIns, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    certificate = await services.requested(everywhere())
    issued = await services.make_live(certificate)
    withdrawn = DeliveryWithdrawn(certificate_id=certificate.id, target="host", generation=9)
    # Nobody ordered it: what holds a certificate is no less wanted for it.
    await services.tell(certificate, "host", withdrawn.model_copy(update={"generation": 1}))
    assert (await target_of(services, certificate)).state is TargetState.VERIFIED

    registry.process.change(
        "UPDATE placement SET action = 'withdraw', generation = 9 WHERE certificate_id = ? AND target = 'host'",
        certificate.id,
    )
    target = await target_of(services, certificate)
    assert (target.state, target.wanted_revision) == (TargetState.WITHDRAWING, None)
    [order] = [
        item
        for item in await items(deliverers["site1-syncer"], "/v1/deployments", DeploymentOrdered)
        if item.certificate_id == certificate.id
    ]
    [placement] = order.placements
    assert (placement.action, placement.generation, placement.revision) == (Action.WITHDRAW, 9, None)
    assert placement.bundle_sha256 is None
    # A delivery of before says nothing about it.
    await services.delivered(certificate, "host", 1, issued, generation=1)
    assert (await target_of(services, certificate)).state is TargetState.WITHDRAWING
    await services.tell(certificate, "host", withdrawn)
    target = await target_of(services, certificate)
    assert (target.state, target.revision) == (TargetState.WITHDRAWN, None)
    assert (await target_of(services, certificate, "edge")).state is TargetState.VERIFIED


async def test_of_reports_only_those_of_the_wanted_generation_count(
    services: StandIns, registry: RunningRegistry
) -> None:
    """A rollback is a newer generation with an older revision; what is reported of others is stale."""
    certificate = await services.requested()
    first = await services.make_live(certificate)
    await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    second = await services.make_live(certificate, 2)
    # As a rollback will order it.
    registry.process.change(
        "UPDATE placement SET wanted = 1, generation = 20 WHERE certificate_id = ?", certificate.id
    )
    registry.process.change(
        "UPDATE certificate SET state = 'delivering', generation = 20 WHERE id = ?", certificate.id
    )
    for generation in (1, 3, 19, 21, 2**40):
        await services.delivered(certificate, "host", 2, second, generation=generation)
        await services.not_delivered(certificate, "host", 2, generation=generation)
        target = await target_of(services, certificate)
        assert (target.state, target.wanted_revision, target.generation) == (TargetState.PENDING, 1, 20)
    await services.delivered(certificate, "host", 1, first, generation=20)
    await services.served(certificate, certificate.endpoints[0].url, 1, first)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.targets[0].revision) == (CertificateState.LIVE, 1)
    assert present.targets[0].state is TargetState.VERIFIED


async def test_a_report_of_the_contract_before_counts_for_the_revision_s_generation(
    services: StandIns, bus: Bus
) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    await services.settled()
    event = DeliverySucceededV1(
        certificate_id=certificate.id, revision=1, target="host", fingerprint_sha256=issued.fingerprint
    )
    await services.tell(certificate, "host", event)
    assert (await target_of(services, certificate)).state is TargetState.DELIVERED
    await relayed(services.registry)
    [delivered] = await told(services, certificate, CertificateDelivered)
    assert (delivered.revision, delivered.target, delivered.site) == (1, "host", "site1")
    assert bus is services.bus


async def test_reports_of_other_places_are_set_aside(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    await services.issue(certificate)
    generation = await services.generation(certificate, "host")
    await relayed(registry)
    before, letters = registry.process.dump(), len(await services.bus.dead_letters(DURABLE))
    wrong: list[Event] = [
        progressed(certificate, generation=generation),
        rolled_back(certificate, generation=generation, revision=1, held=None),
        DeliveryWithdrawn(certificate_id=certificate.id, target="host", generation=generation),
    ]
    for event in wrong:
        for place, service in (("site2", "syncer"), ("site1", "pusher"), ("hub", "monitor")):
            await services.report(event, place=place, service=service, about=certificate.id)
    await services.settled()
    assert len(await services.bus.dead_letters(DURABLE)) == letters + 9
    assert registry.process.dump() == before


async def test_where_nobody_can_look_the_delivery_itself_ends_it(services: StandIns) -> None:
    certificate = await services.requested(a_body(endpoints=None, proof="none"))
    assert certificate.endpoints == ()
    issued = await services.issue(certificate)
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.DELIVERING
    await services.delivered(certificate, "host", 1, issued)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.LIVE, Health.OK)
    assert present.targets[0].state is TargetState.DELIVERED
    assert "no endpoint is watched" in present.reason
