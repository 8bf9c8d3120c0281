"""Revisions one after another: renewed, failed, replayed, outdated."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from nats.aio.msg import Msg

from certcore.api import CertificateState, EndpointState, Role
from certcore.conditions import Health
from certcore.events import (
    CertificateIssuingWaits,
    EndpointsExpected,
    IssueOrder,
    MustAct,
    RevisionWaits,
    ServingVerdict,
    SiteHeartbeat,
    WaitCode,
)
from tests.integration.registry.bus import Bus
from tests.integration.registry.reported import DURABLE, announced, everywhere, items, relayed, told
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_reports_about_an_old_revision_are_ignored(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    first = await services.make_live(certificate)
    await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    second = await services.make_live(certificate, 2)
    await relayed(registry)
    # Of the first rollout; the second has a later one, and so had what its endpoints should serve in between.
    generation = 1
    before = registry.process.dump()
    await services.started(certificate, 1)
    await services.announced(certificate, 1, first)
    await services.failed(certificate, 1)
    await services.failed(certificate, 2)
    await services.delivered(certificate, "host", 1, first, generation=generation)
    await services.not_delivered(certificate, "host", 1, generation=generation)
    await services.announced(certificate, 2, second)
    await services.delivered(certificate, "host", 2, second)
    await services.settled()
    after = registry.process.dump()
    assert len(after.pop("inbox")) == len(before.pop("inbox")) + 8
    assert after == before


async def test_every_report_told_once_more_changes_nothing(mortal: RunningRegistry) -> None:
    async with Bus.connect(mortal.nats_url) as bus, _listening(bus) as reported:
        services = await StandIns.start(mortal, bus)
        for _ in range(2):
            certificate = await services.requested(everywhere())
            issued = await services.make_live(certificate)
            await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
            await services.make_live(certificate, 2)
            await services.observed(certificate, certificate.endpoints[0].url, ServingVerdict.PREVIOUS, 1, issued)
        heartbeat = SiteHeartbeat(site="site1", service="syncer", version="1")
        await services.report(heartbeat, place="site2", service="syncer", about="site1")
        await services.settled()
        await relayed(mortal)
        before, letters = mortal.process.dump(), len(await bus.dead_letters(DURABLE))
        assert letters > 0

        assert len(reported) > 30
        for message in list(reported):
            await bus.publish(message.subject, message.data, message.headers or {})
            await services.settled()
        assert mortal.process.dump() == before
        # What was set aside is set aside again.
        assert len(await bus.dead_letters(DURABLE)) == 2 * letters


@asynccontextmanager
async def _listening(bus: Bus) -> AsyncIterator[list[Msg]]:
    """What is reported meanwhile, oldest first."""
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    subscriptions = [await bus.client.subscribe(f"certs.{kind}.>", cb=hear) for kind in ("status", "last")]
    await bus.client.flush()
    yield heard
    for subscription in subscriptions:
        await subscription.unsubscribe()


async def test_a_renewal_accepts_both_revisions_until_the_new_one_is_seen(
    services: StandIns, bus: Bus, registry: RunningRegistry
) -> None:
    monitor = await registry.service("monitor", Role.MONITOR)
    certificate = await services.requested(everywhere())
    first = await services.make_live(certificate)
    answer = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (answer.status_code, answer.json()["revision"], answer.json()["reason"]) == (202, 2, "asked")
    again = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (again.status_code, again.json()["revision"], again.json()["reason"]) == (202, 2, "in_progress")
    renewing = await services.shown(certificate.name)
    assert renewing.state is CertificateState.RENEWING
    assert renewing.trace_id != certificate.trace_id
    await relayed(registry)
    [due] = await bus.messages("CERTS", f"certs.ev.renewal_due.{certificate.id}")
    order = IssueOrder.model_validate(json.loads(due.data or b"")["order"])
    assert (order.revision, order.replaces) == (2, "ari-1")
    assert {recipient.name for recipient in order.recipients} == {"site1-syncer", "site1-pusher", "site2-syncer"}

    second = await services.issue(certificate, 2)
    for target in certificate.targets:
        await services.delivered(certificate, target.name, 2, second)
    for endpoint in certificate.endpoints[1:]:
        await services.served(certificate, endpoint.url, 2, second)
    await services.settled()
    waiting = await services.shown(certificate.name)
    assert (waiting.state, waiting.endpoints[0].state) == (CertificateState.DELIVERING, EndpointState.PREVIOUS)
    both = (await told(services, certificate, EndpointsExpected))[-1]
    for endpoint in both.endpoints:
        assert [(item.revision, item.fingerprint_sha256) for item in endpoint.wanted] == [(2, second.fingerprint)]
        assert [(item.revision, item.fingerprint_sha256) for item in endpoint.accepted] == [(1, first.fingerprint)]
    [level] = [
        item
        for item in await items(monitor, "/v1/expectations", EndpointsExpected)
        if item.certificate_id == certificate.id
    ]
    accepted = {endpoint.url: endpoint.accepted for endpoint in level.endpoints}
    # Where the new one was seen, the one before is a fault.
    assert [bool(accepted[endpoint.url]) for endpoint in certificate.endpoints] == [True, False, False, False]

    await services.served(certificate, certificate.endpoints[0].url, 2, second)
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE
    one = (await told(services, certificate, EndpointsExpected))[-1]
    assert one.generation > both.generation
    assert {item.fingerprint_sha256 for endpoint in one.endpoints for item in endpoint.wanted} == {second.fingerprint}
    assert not [endpoint for endpoint in one.endpoints if endpoint.accepted]
    assert one in await items(monitor, "/v1/expectations", EndpointsExpected)


async def test_a_revision_that_failed_is_tried_again_under_its_number(services: StandIns, bus: Bus) -> None:
    certificate = await services.requested()
    again = datetime.now(UTC) + timedelta(hours=1)
    await services.failed(certificate, 1, "the CA refused app.example.test", again=again)
    await services.settled()
    failing = await services.shown(certificate.name)
    assert (failing.state, failing.next_try) == (CertificateState.FAILING, again)
    assert failing.reason == "revision 1 was not issued: the CA refused app.example.test"

    answer = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (answer.status_code, answer.json()["revision"]) == (202, 1)
    await services.make_live(certificate)
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE

    # A renewal that fails leaves the old revision where it is.
    await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    await services.failed(certificate, 2)
    await services.settled()
    failing = await services.shown(certificate.name)
    assert (failing.state, failing.wanted_revision) == (CertificateState.FAILING, 1)
    assert {endpoint.state for endpoint in failing.endpoints} == {EndpointState.SERVED}
    assert (await services.asker.post(f"/v1/certificates/{certificate.name}/renew")).json()["revision"] == 2
    await services.make_live(certificate, 2)
    present = await services.shown(certificate.name)
    assert (present.state, present.wanted_revision) == (CertificateState.LIVE, 2)
    await relayed(services.registry)
    assert await announced(bus, certificate) == [
        *("requested", "approved", "failing", "renewal_due", "issued", "expected", "delivered", "live"),
        *("renewal_due", "failing", "renewal_due", "issued", "expected", "delivered", "live", "expected"),
    ]


async def test_what_a_revision_waits_for_is_shown_with_its_next_look_and_is_no_failure(services: StandIns) -> None:
    certificate = await services.requested()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    waits = RevisionWaits(
        certificate_id=certificate.id,
        revision=1,
        ca="ca-one",
        code=WaitCode.CA_LIMITS,
        reason="ca_limits: 50 certificates in 7 d for example.test",
        since=datetime.now(UTC),
        until=tomorrow,
    )
    await services.report(waits, place="hub", service="issuer", about=certificate.id)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.next_try) == (CertificateState.ISSUING, tomorrow)
    assert present.reason == "revision 1 waits: ca_limits: 50 certificates in 7 d for example.test"
    assert present.health is Health.PROGRESSING
    [event] = await told(services, certificate, CertificateIssuingWaits)
    assert (event.code, event.until, event.must_act) == (WaitCode.CA_LIMITS, tomorrow, MustAct.NOBODY)
    # What comes late changes nothing.
    await services.make_live(certificate)
    await services.report(waits, place="hub", service="issuer", about=certificate.id)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.next_try) == (CertificateState.LIVE, None)


async def test_a_long_reason_of_a_failure_is_cut_and_stops_no_other_event(services: StandIns, bus: Bus) -> None:
    certificate = await services.requested()
    await services.failed(certificate, 1, "no " * 250_000)
    await services.make_live(await services.requested())
    await services.settled()
    failing = await services.shown(certificate.name)
    assert failing.state is CertificateState.FAILING
    assert len(failing.reason) < 1000
    await relayed(services.registry)
    assert await announced(bus, certificate) == ["requested", "approved", "failing"]
