"""What one look at an endpoint means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certcore.events import AcceptedFingerprint, AddressObserved, EndpointExpected, ServingVerdict
from certcore.names import matches
from certcore.placements import PLATFORM
from certprobe.handshake import Handshake, HandshakeError, HandshakeProblem

__all__ = ["OURS", "AddressLook", "Look", "judge", "summarize", "unresolved", "worst"]

_ORDER: Final = {verdict: number for number, verdict in enumerate(ServingVerdict)}

OURS: Final = frozenset({ServingVerdict.WANTED, ServingVerdict.PREVIOUS})
"""The endpoint serves an accepted leaf in a way that clients accept."""

_CLIENTS_FAIL: Final = frozenset(
    {ServingVerdict.EXPIRED, ServingVerdict.WRONG_HOST, ServingVerdict.UNTRUSTED, ServingVerdict.TLS_FAILED}
)


@dataclass(frozen=True)
class AddressLook:
    """`served` is the expected leaf that the address showed; `clients_fail`: a careful client would refuse it."""

    observed: AddressObserved
    verdict: ServingVerdict
    served: AcceptedFingerprint | None
    clients_fail: bool


@dataclass(frozen=True)
class Look:
    """One look at all addresses of an endpoint. Revision, variant and fingerprint are those of a worst address."""

    verdict: ServingVerdict
    addresses: tuple[AddressObserved, ...]
    served_revision: int | None
    served_variant: str
    served_fingerprint_sha256: str | None
    clients_fail: bool
    detail: str


def judge(
    address: str,
    found: Handshake | HandshakeError,
    *,
    host: str,
    expected: EndpointExpected,
    now: datetime,
    trust: bool,
) -> AddressLook:
    """Judge one handshake. Without `trust` (no trust roots are configured) only the leaf itself is judged."""
    if isinstance(found, HandshakeError):
        unreachable = found.problem is HandshakeProblem.UNREACHABLE
        verdict = ServingVerdict.UNREACHABLE if unreachable else ServingVerdict.TLS_FAILED
        return _look(address, verdict, detail=found.detail)
    leaf = found.leaf
    fingerprint = leaf.fingerprint_sha256
    wanted = _with(fingerprint, expected.wanted)
    served = wanted or _with(fingerprint, expected.accepted)
    problem = found.trust_problem if trust else None
    if leaf.not_after <= now:
        verdict, detail = ServingVerdict.EXPIRED, f"expired at {leaf.not_after.isoformat()}"
    elif not any(matches(host, name) for name in leaf.dns_names):
        verdict, detail = ServingVerdict.WRONG_HOST, f"is for {', '.join(leaf.dns_names[:3]) or 'no DNS name'}"
    elif served is None:
        by = f"issued by {leaf.issuer}, serial {leaf.serial}"
        verdict, detail = ServingVerdict.OTHER, f"{by}: {problem}" if problem else by
    elif problem is not None:
        verdict, detail = ServingVerdict.UNTRUSTED, str(problem)
    else:
        verdict, detail = ServingVerdict.WANTED if wanted else ServingVerdict.PREVIOUS, ""
    return _look(address, verdict, fingerprint=fingerprint, served=served, refused=problem is not None, detail=detail)


def _with(fingerprint: str, items: Iterable[AcceptedFingerprint]) -> AcceptedFingerprint | None:
    return next((item for item in items if item.fingerprint_sha256 == fingerprint), None)


def _look(
    address: str,
    verdict: ServingVerdict,
    *,
    detail: str,
    fingerprint: str | None = None,
    served: AcceptedFingerprint | None = None,
    refused: bool = False,
) -> AddressLook:
    observed = AddressObserved(address=address, verdict=verdict, fingerprint_sha256=fingerprint, detail=detail[:300])
    return AddressLook(observed, verdict, served, clients_fail=refused or verdict in _CLIENTS_FAIL)


def worst(verdicts: Iterable[ServingVerdict]) -> ServingVerdict:
    """The verdict of an endpoint: one wrong address of 20 decides."""
    return max(verdicts, key=_ORDER.__getitem__)


def summarize(looks: Sequence[AddressLook]) -> Look:
    """Make one of the looks at all addresses (at least one)."""
    looks = sorted(looks, key=lambda look: look.observed.address)
    verdict = worst(look.verdict for look in looks)
    shown = next(look for look in looks if look.verdict is verdict)
    return Look(
        verdict=verdict,
        addresses=tuple(look.observed for look in looks),
        served_revision=shown.served.revision if shown.served else None,
        served_variant=shown.served.variant if shown.served else PLATFORM,
        served_fingerprint_sha256=shown.observed.fingerprint_sha256,
        clients_fail=any(look.clients_fail for look in looks),
        detail=f"{shown.observed.address} {shown.observed.detail}".strip(),
    )


def unresolved(detail: str) -> Look:
    """The look at a host that has no address."""
    return Look(ServingVerdict.UNREACHABLE, (), None, PLATFORM, None, clients_fail=False, detail=detail[:300])
