"""Expectations and looks for tests."""

from datetime import UTC, datetime

from certcore.certificate import EndpointSpec
from certcore.events import AcceptedFingerprint, AddressObserved, EndpointsExpected, ServingVerdict
from monitor.domain.verdict import Look
from monitor.domain.watched import Expected

__all__ = ["HOST", "NOON", "URL", "expectation", "expected", "look"]

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
HOST = "shop.example.org"
URL = f"https://{HOST}"


def expectation(
    wanted: int = 2,
    *,
    accepted: dict[int, str] | None = None,
    urls: tuple[str, ...] = (URL,),
    certificate_id: str = "c1",
    traceparent: str | None = None,
) -> EndpointsExpected:
    fingerprints = {1: "1" * 64, 2: "2" * 64} if accepted is None else accepted
    return EndpointsExpected(
        certificate_id=certificate_id,
        name="shop",
        owner="team-shop",
        endpoints=tuple(EndpointSpec(url=url) for url in urls),
        wanted_revision=wanted,
        accepted=tuple(
            AcceptedFingerprint(revision=revision, fingerprint_sha256=fingerprint)
            for revision, fingerprint in fingerprints.items()
        ),
        traceparent=traceparent,
    )


def expected(wanted: int = 2, *, accepted: dict[int, str] | None = None) -> Expected:
    return Expected(event=expectation(wanted, accepted=accepted), since=NOON)


def look(verdict: ServingVerdict, *, clients_fail: bool = False) -> Look:
    address = AddressObserved(address="192.0.2.1", verdict=verdict, fingerprint_sha256=None)
    return Look(verdict, (address,), None, None, clients_fail=clients_fail, detail="192.0.2.1")
