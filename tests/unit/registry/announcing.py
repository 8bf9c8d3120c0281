"""An event in the outbox, whatever it is about."""

from certcore import subjects
from certcore.events import CertificateLive
from registry.adapters.outbox import SOURCE
from registry.adapters.store import Transaction
from tests.unit.registry.samples import NOON

__all__ = ["announce"]


def announce(transaction: Transaction, event_id: str, *, sent: bool = False) -> None:
    event = CertificateLive(certificate_id="a", name="x", owner="shop", revision=1, fingerprint_sha256="0" * 64)
    transaction.events.add(
        event,
        event_id=event_id,
        source=SOURCE,
        stream=subjects.CERTS,
        subject=subjects.event(event.type, "a"),
        about="a",
        owner="shop",
        now=NOON,
        traceparent=None,
        sent=sent,
    )
