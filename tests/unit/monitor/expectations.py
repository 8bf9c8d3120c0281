"""Expectations and looks for tests."""

from datetime import UTC, datetime

from certcore.events import (
    AcceptedFingerprint,
    AddressObserved,
    AlertRaised,
    EndpointExpected,
    EndpointsExpected,
    ServingVerdict,
    Severity,
    alert_id,
)
from certcore.placements import PLATFORM
from monitor.domain.alerting import ALERT_REASON
from monitor.domain.verdict import Look
from monitor.domain.watched import Expected

__all__ = ["HOST", "NOON", "URL", "endpoint", "expectation", "expected", "leaf", "look", "raised"]

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
HOST = "shop.example.org"
URL = f"https://{HOST}"


def leaf(revision: int, fingerprint: str | None = None, *, variant: str = PLATFORM) -> AcceptedFingerprint:
    return AcceptedFingerprint(
        revision=revision, fingerprint_sha256=fingerprint or f"{revision:064d}", variant=variant
    )


def endpoint(wanted: int = 2, *, accepted: tuple[int, ...] = (), url: str = URL) -> EndpointExpected:
    return EndpointExpected(url=url, wanted=(leaf(wanted),), accepted=tuple(map(leaf, accepted)))


def expectation(
    wanted: int = 2,
    *,
    generation: int | None = None,
    accepted: tuple[int, ...] = (1,),
    urls: tuple[str, ...] = (URL,),
    certificate_id: str = "c1",
    traceparent: str | None = None,
) -> EndpointsExpected:
    """Unless it is given, the generation is the wanted revision's number, as in a certificate that only went on."""
    return EndpointsExpected(
        certificate_id=certificate_id,
        name="shop",
        owner="team-shop",
        generation=wanted if generation is None else generation,
        endpoints=tuple(endpoint(wanted, accepted=accepted, url=url) for url in urls),
        traceparent=traceparent,
    )


def expected(wanted: int = 2) -> Expected:
    return Expected.follow(expectation(wanted), known=None, now=NOON)


def look(verdict: ServingVerdict, *, clients_fail: bool = False) -> Look:
    address = AddressObserved(address="192.0.2.1", verdict=verdict, fingerprint_sha256=None)
    return Look(verdict, (address,), None, PLATFORM, None, clients_fail=clients_fail, detail="192.0.2.1")


def raised(*, now: datetime) -> AlertRaised:
    return AlertRaised(
        alert_id=alert_id(owner="team-shop", about=f"c1 {URL}", reason=ALERT_REASON),
        severity=Severity.WARNING,
        owner="team-shop",
        reason=ALERT_REASON,
        subject=URL,
        summary=f"{URL} can't be reached",
        since=now,
        certificate_id="c1",
        certificate_name="shop",
        url=URL,
    )
