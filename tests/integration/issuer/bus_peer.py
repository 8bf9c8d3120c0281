"""The registry's side of the bus: sends issue orders, and keeps every report that the STATUS stream holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from certcore import subjects
from certcore.certificate import Exposure, KeyAlgorithm
from certcore.clock import system_clock
from certcore.cloudevents import headers_of
from certcore.events import (
    CertificateApproved,
    CertificateRenewalDue,
    Event,
    IssueOrder,
    Recipient,
    RevisionFailed,
    RevisionIssued,
    RevisionRenewalWindow,
    RevisionStarted,
    RevisionWaits,
    SiteHeartbeat,
)
from certcore.identities import HUB, Service, durable
from certkit.background import end_tasks
from tests.integration.issuer.recipients import RECIPIENTS
from tests.patience import HANG_S
from tests.reports import read_reports

__all__ = ["BusPeer", "an_order", "bus_peer"]

EventT = TypeVar(
    "EventT",
    RevisionStarted,
    RevisionIssued,
    RevisionFailed,
    RevisionRenewalWindow,
    RevisionWaits,
    SiteHeartbeat,
)
ReportT = TypeVar("ReportT", RevisionStarted, RevisionIssued, RevisionFailed, RevisionRenewalWindow, RevisionWaits)


def an_order(
    certificate_id: str,
    *dns_names: str,
    revision: int = 1,
    exposure: str = Exposure.INTERNAL,
    issuer: str | None = None,
    key_algorithm: str = KeyAlgorithm.EC_P256,
    recipients: tuple[Recipient, ...] = RECIPIENTS,
    replaces: str | None = None,
    **fields: Any,
) -> IssueOrder:
    return IssueOrder(
        certificate_id=certificate_id,
        name=certificate_id,
        revision=revision,
        dns_names=dns_names,
        exposure=exposure,
        issuer=issuer,
        key_algorithm=key_algorithm,
        approval_id="an-approval",
        recipients=recipients,
        replaces=replaces,
        **fields,
    )


class BusPeer:
    def __init__(self, js: JetStreamContext) -> None:
        self.messages: list[Msg] = []
        self._js = js
        self._sent = 0

    async def order(self, order: IssueOrder, *, traceparent: str | None = None) -> None:
        event: Event = (
            CertificateApproved(
                certificate_id=order.certificate_id,
                name=order.name,
                owner="shop",
                approved_by=("a-person",),
                policy="test",
                order=order,
            )
            if order.revision == 1
            else CertificateRenewalDue(
                certificate_id=order.certificate_id, name=order.name, owner="shop", reason="test", order=order
            )
        )
        await self.send(event, about=order.certificate_id, traceparent=traceparent)

    async def send(self, event: Event, *, about: str, traceparent: str | None = None) -> None:
        self._sent += 1
        headers = headers_of(event, event_id=f"{about}-{self._sent}", source="test", time=system_clock(), about=about)
        if traceparent is not None:
            headers["traceparent"] = traceparent
        await self._js.publish(
            subjects.event(event.type, about),
            event.model_dump_json().encode(),
            stream=subjects.CERTS,
            headers=headers,
        )

    async def not_taken(self) -> int:
        """Issue orders that the issuer was never handed."""
        return (await self._js.consumer_info(subjects.CERTS, durable(HUB, Service.ISSUER))).num_pending or 0

    async def dead_letters(self) -> int:
        return (await self._js.stream_info(subjects.dead_letter_stream(HUB))).state.messages

    def reports(self, kind: type[EventT], certificate_id: str | None = None) -> list[EventT]:
        """What was reported so far, oldest first."""
        return [
            event
            for event in (kind.model_validate_json(message.data) for message in self.messages if _is(message, kind))
            if certificate_id is None or getattr(event, "certificate_id", None) == certificate_id
        ]

    async def wait_for(
        self, kind: type[ReportT], *, certificate_ids: Collection[str], timeout_s: float = HANG_S
    ) -> dict[str, ReportT]:
        """The newest such report of each certificate, when all are there."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = {event.certificate_id: event for event in self.reports(kind)}
            if found.keys() >= set(certificate_ids):
                return found
            missing = sorted(set(certificate_ids) - found.keys())
            assert time.monotonic() < deadline, f"no {kind.__name__} of {missing} after {timeout_s:g} s"
            await asyncio.sleep(0.05)


def _is(message: Msg, kind: type[Event]) -> bool:
    return (message.headers or {}).get("ce-type") == kind.type


@asynccontextmanager
async def bus_peer(url: str) -> AsyncIterator[BusPeer]:
    client = await nats.connect(url)
    js = client.jetstream()
    peer = BusPeer(js)

    async def keep(message: Msg) -> None:
        peer.messages.append(message)

    reading = asyncio.create_task(read_reports(js, HUB, keep))
    try:
        yield peer
    finally:
        await end_tasks([reading])
        # A broker that the test stopped may not be found again yet.
        with suppress(ConnectionError):
            await client.close()
