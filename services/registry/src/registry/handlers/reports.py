"""Status reports of the other services: what each changes in the truth, and what the registry orders next.

Reports come at least once and late: each is compared with the present state, and one that tells nothing new is
ignored. A report counts only from the service and site that it speaks for, which the broker binds to the subject.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import structlog

from certcore.api import CertificateState
from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError, TransientError
from certcore.events import (
    CertificateDelivered,
    CertificateFailing,
    CertificateIssued,
    CertificateLive,
    DeliveryFailed,
    DeliverySucceeded,
    EndpointObserved,
    Event,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
    SiteHeartbeat,
    SiteReviewed,
)
from certcore.identities import HUB, Service
from certcore.subjects import Reporter, reporter
from certkit.bus import Handler
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store, Transaction
from registry.domain.certificate import Certificate, Delivery
from registry.domain.lifecycle import Trigger, follow
from registry.domain.rollout import progress
from registry.handlers.orders import deployment_orders, expectation

__all__ = ["Reports"]

log = structlog.get_logger()

_ISSUER = Reporter(HUB, Service.ISSUER)

EventT = TypeVar("EventT", bound=Event)


class Reports:
    def __init__(self, *, store: Store, outbox: Outbox, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._bell = bell
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            RevisionStarted: self._once(self.on_revision_started),
            RevisionIssued: self._once(self.on_revision_issued),
            RevisionFailed: self._once(self.on_revision_failed),
            DeliverySucceeded: self._once(self.on_delivery_succeeded),
            DeliveryFailed: self._once(self.on_delivery_failed),
            EndpointObserved: self._once(self.on_endpoint_observed),
            SiteHeartbeat: self._once(self.on_heartbeat),
            SiteReviewed: self._once(self.on_review),
        }

    def _once(self, effect: Callable[[Transaction, EventT, Reporter], Awaitable[None]]) -> Handler:
        """The report's effect and its entry in the inbox are one transaction."""

        async def handle(event: EventT, envelope: Envelope) -> None:
            if not envelope.id:
                raise PermanentError("a report needs a ce-id: without one it can't be told from another")
            # By the subject, which the broker binds to the publisher: a header could name somebody else.
            who = reporter(envelope.subject)
            async with self._store.transaction() as transaction:
                if await transaction.first_time(f"{who.place}/{who.service}", envelope.id, self._clock()):
                    await effect(transaction, event, who)
            self._bell.ring()

        return handle

    async def on_revision_started(self, transaction: Transaction, event: RevisionStarted, who: Reporter) -> None:
        _expect(who, _ISSUER)
        certificate = await _certificate(transaction, event.certificate_id)
        if event.revision != certificate.ordered or event.revision <= certificate.wanted:
            return
        state = follow(certificate.state, Trigger.ISSUING_STARTED)
        reason = f"revision {event.revision} is being ordered from {event.ca}"
        await transaction.save_certificate(certificate.moved(state, reason, self._clock(), certificate.next_try))

    async def on_revision_issued(self, transaction: Transaction, event: RevisionIssued, who: Reporter) -> None:
        _expect(who, _ISSUER)
        certificate = await _certificate(transaction, event.certificate_id)
        if event.revision <= certificate.wanted:
            return
        revision = await transaction.revision(certificate.id, event.revision)
        if revision is None:
            raise TransientError(f"revision {event.revision} of {certificate.name} is announced but not stored yet")
        if revision.fingerprint_sha256 != event.fingerprint_sha256:
            raise PermanentError(f"revision {event.revision} of {certificate.name} is announced with another leaf")
        revision = replace(
            revision, announced=True, ca=event.ca, validation_method=event.validation_method, ari_id=event.ari_id
        )
        await transaction.save_revision(revision)
        now = self._clock()
        certificate = replace(certificate, wanted=revision.number)
        certificate = certificate.moved(
            follow(certificate.state, Trigger.ISSUED), f"revision {revision.number} issued by {event.ca}", now
        )
        issued = CertificateIssued(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            revision=revision.number,
            serial=revision.serial,
            fingerprint_sha256=revision.fingerprint_sha256,
            not_after=revision.not_after,
        )
        await self._outbox.announce(transaction, certificate, issued)
        for site, service, order in await deployment_orders(transaction, certificate, revision):
            await self._outbox.order(transaction, certificate, site, service, order)
        revisions = await transaction.revisions(certificate.id)
        await self._outbox.announce(transaction, certificate, expectation(certificate, revisions))
        deliveries = [
            replace(delivery, failure="", next_try=None) for delivery in await transaction.deliveries(certificate.id)
        ]
        for delivery in deliveries:
            await transaction.save_delivery(delivery)
        found = progress(deliveries, await transaction.endpoints(certificate.id), certificate.wanted)
        certificate = certificate.moved(follow(certificate.state, Trigger.DELIVERY_ORDERED), found.reason, now)
        await transaction.save_certificate(certificate)
        log.info("revision_issued", certificate=certificate.name, revision=revision.number, serial=revision.serial)

    async def on_revision_failed(self, transaction: Transaction, event: RevisionFailed, who: Reporter) -> None:
        _expect(who, _ISSUER)
        certificate = await _certificate(transaction, event.certificate_id)
        if event.revision != certificate.ordered or event.revision <= certificate.wanted:
            return
        state = follow(certificate.state, Trigger.ISSUING_FAILED)
        why = event.reason[:500]
        reason = f"revision {event.revision} was not issued: {why}"
        certificate = certificate.moved(state, reason, self._clock(), event.next_try)
        await transaction.save_certificate(certificate)
        failing = CertificateFailing(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            revision=event.revision,
            reason=why,
            next_try=event.next_try,
        )
        await self._outbox.announce(transaction, certificate, failing)

    async def on_delivery_succeeded(self, transaction: Transaction, event: DeliverySucceeded, who: Reporter) -> None:
        certificate = await _certificate(transaction, event.certificate_id)
        delivery = await _delivery(transaction, certificate, event.target, who)
        if event.revision != certificate.wanted or event.revision < (delivery.revision or 0):
            return
        news = delivery.revision != event.revision
        await transaction.save_delivery(
            replace(delivery, revision=event.revision, failed_revision=None, failure="", next_try=None)
        )
        if news:
            delivered = CertificateDelivered(
                certificate_id=certificate.id,
                name=certificate.name,
                owner=certificate.owner,
                revision=event.revision,
                target=event.target,
                site=delivery.site,
            )
            await self._outbox.announce(transaction, certificate, delivered)
        await self._advance(transaction, certificate)

    async def on_delivery_failed(self, transaction: Transaction, event: DeliveryFailed, who: Reporter) -> None:
        certificate = await _certificate(transaction, event.certificate_id)
        delivery = await _delivery(transaction, certificate, event.target, who)
        if event.revision != certificate.wanted:
            return
        failure = f"{event.reason}: {event.detail}" if event.detail else event.reason.value
        await transaction.save_delivery(
            replace(delivery, failed_revision=event.revision, failure=failure[:500], next_try=event.next_try)
        )
        await self._advance(transaction, certificate)

    async def on_endpoint_observed(self, transaction: Transaction, event: EndpointObserved, who: Reporter) -> None:
        if who.service != Service.MONITOR:
            raise PermanentError(f"{who.service} at {who.place} can't report what an endpoint serves")
        certificate = await _certificate(transaction, event.certificate_id)
        for endpoint in await transaction.endpoints(certificate.id):
            if endpoint.url != event.url:
                continue
            if endpoint.observed_at is not None and event.observed_at < endpoint.observed_at:
                return
            detail = next((address.detail for address in event.addresses if address.detail), "")
            await transaction.save_endpoint(
                replace(
                    endpoint,
                    verdict=event.verdict,
                    served_revision=event.served_revision,
                    served_fingerprint_sha256=event.served_fingerprint_sha256,
                    detail=detail[:500],
                    addresses=tuple(address.address for address in event.addresses),
                    observed_at=event.observed_at,
                )
            )
            await self._advance(transaction, certificate)
            return

    async def on_heartbeat(self, transaction: Transaction, event: SiteHeartbeat, who: Reporter) -> None:
        _expect(who, Reporter(event.site, event.service))
        await transaction.note_heartbeat(event.site, self._clock())

    async def on_review(self, transaction: Transaction, event: SiteReviewed, who: Reporter) -> None:
        _expect(who, Reporter(event.site, Service.SYNCER))
        await transaction.save_review(event.site, event.secrets, event.unreachable, self._clock())

    async def _advance(self, transaction: Transaction, certificate: Certificate) -> None:
        """Live by proof, and by nothing else; until then the reason says what is missing."""
        if certificate.state is not CertificateState.DELIVERING:
            return
        found = progress(
            await transaction.deliveries(certificate.id),
            await transaction.endpoints(certificate.id),
            certificate.wanted,
        )
        now = self._clock()
        if not found.proven:
            await transaction.save_certificate(certificate.moved(certificate.state, found.reason, now))
            return
        certificate = replace(certificate, proven=certificate.wanted)
        certificate = certificate.moved(follow(certificate.state, Trigger.PROVEN), found.reason, now)
        await transaction.save_certificate(certificate)
        revisions = await transaction.revisions(certificate.id)
        newest = next(revision for revision in revisions if revision.number == certificate.wanted)
        live = CertificateLive(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            revision=newest.number,
            fingerprint_sha256=newest.fingerprint_sha256,
        )
        await self._outbox.announce(transaction, certificate, live)
        # The old revision is no longer accepted.
        await self._outbox.announce(transaction, certificate, expectation(certificate, revisions))
        log.info("certificate_live", certificate=certificate.name, revision=newest.number)


def _expect(who: Reporter, expected: Reporter) -> None:
    if who != expected:
        raise PermanentError(f"{who.service} at {who.place} can't report for {expected.service} at {expected.place}")


async def _certificate(transaction: Transaction, certificate_id: str) -> Certificate:
    certificate = await transaction.certificate(certificate_id)
    if certificate is None:
        raise PermanentError(f"there is no certificate {certificate_id}")
    return certificate


async def _delivery(transaction: Transaction, certificate: Certificate, target: str, who: Reporter) -> Delivery:
    for delivery in await transaction.deliveries(certificate.id):
        if delivery.target == target:
            _expect(who, Reporter(delivery.site, delivery.service))
            return delivery
    raise PermanentError(f"certificate {certificate.name} has no target {target}")
