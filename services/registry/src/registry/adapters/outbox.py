"""Events are written beside the change that they announce; `registry.adapters.relay` publishes them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from certcore import subjects
from certcore.clock import Clock
from certcore.errors import PermanentError
from certcore.events import Alert, Event
from certcore.identities import HUB, Service, source
from certkit.bounds import LARGEST_EVENT
from certkit.telemetry import current_traceparent
from registry.adapters.store import Transaction
from registry.domain.certificate import Certificate
from registry.domain.challenge import Challenge, wanted
from registry.domain.deployment import Deployment
from registry.domain.signing import WantedCsr

__all__ = ["SOURCE", "Bell", "Outbox"]

SOURCE: Final = source(HUB, Service.REGISTRY)

_CHALLENGES: Final = "challenges"
"""Whose turn it is where a site is told of one: they are the issuer's, and no owner's."""


class Bell:
    """Wakes whoever waits for new events; waiters also wake by themselves, for events of another replica."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.silenced = False
        """The service is about to stop: whoever waits for events should leave."""

    def silence(self) -> None:
        """Send the waiting away; a signal handler may call it."""
        self.silenced = True

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()


class Outbox:
    """Writes events beside the change that they announce, in the change's own transaction."""

    def __init__(self, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id

    def announce(self, transaction: Transaction, certificate: Certificate, event: Event) -> None:
        """Tell everyone about a certificate."""
        self._add(
            transaction,
            event,
            stream=subjects.CERTS,
            subject=subjects.event(event.type, certificate.id),
            about=certificate.id,
            owner=certificate.owner,
            traceparent=trace_of(certificate),
        )

    def answer(self, transaction: Transaction, owner: str, request_event_id: str, event: Event) -> None:
        """Answer a request event to whoever published it."""
        self._add(
            transaction,
            event,
            stream=subjects.answers_stream(owner),
            subject=subjects.answer(owner, request_event_id),
            about=request_event_id[:128],
            owner=owner,
            traceparent=current_traceparent(),
        )

    def order(self, transaction: Transaction, certificate: Certificate, deployment: Deployment) -> None:
        """Order one service of a place to deliver."""
        place, service, event = deployment.place, deployment.service, deployment.order
        self._add(
            transaction,
            event,
            stream=subjects.deploy_stream(place),
            subject=subjects.deploy(place, service, certificate.id),
            about=certificate.id,
            owner=certificate.owner,
            traceparent=trace_of(certificate),
        )

    def ask_for_csr(self, transaction: Transaction, certificate: Certificate, wanted: WantedCsr) -> None:
        """Ask one target of a place for a signing request."""
        self._add(
            transaction,
            wanted.event,
            stream=subjects.deploy_stream(wanted.place),
            subject=subjects.csr(wanted.place, wanted.service, certificate.id, wanted.event.target.name),
            about=certificate.id,
            owner=certificate.owner,
            traceparent=trace_of(certificate),
        )

    def challenge(self, transaction: Transaction, challenge: Challenge) -> None:
        """Tell a site's syncer to show the answer to a challenge, or to remove it."""
        self._add(
            transaction,
            wanted(challenge),
            stream=subjects.deploy_stream(challenge.site),
            subject=subjects.challenge(challenge.site, Service.SYNCER, challenge.slot),
            about=subjects.challenge_key(challenge.host, challenge.token),
            owner=_CHALLENGES,
            traceparent=current_traceparent(),
        )

    def alert(self, transaction: Transaction, event: Alert) -> None:
        """Announce an alert of the registry's own to its owner, and to whoever follows all."""
        self._add(
            transaction,
            event,
            stream=subjects.ALERTS,
            subject=subjects.alert(event.owner, event.alert_id),
            about=event.certificate_id or event.alert_id,
            owner=event.owner,
            traceparent=None,
        )

    def _add(
        self,
        transaction: Transaction,
        event: Event,
        *,
        stream: str,
        subject: str,
        about: str,
        owner: str,
        traceparent: str | None,
    ) -> None:
        # One that the bus can't take would hold up every later event about the same: better its change is refused.
        data = event.model_dump_json()
        if len(data) > LARGEST_EVENT:
            raise PermanentError(f"an event {event.type} about {about} would be too large for the bus")
        transaction.events.add(
            event,
            data=data,
            event_id=self._new_id(),
            source=SOURCE,
            stream=stream,
            subject=subject,
            about=about,
            owner=owner,
            now=self._clock(),
            traceparent=traceparent,
        )


def trace_of(certificate: Certificate) -> str | None:
    """The present span where it belongs to the roll-out's trace, else the roll-out itself: one trace, whole."""
    present = current_traceparent()
    if present and certificate.traceparent and present.split("-")[1] == certificate.traceparent.split("-")[1]:
        return present
    return certificate.traceparent
