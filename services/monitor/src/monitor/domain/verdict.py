"""What one look at an endpoint means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certcore.events import AddressObserved, ServingVerdict
from certcore.names import matches
from certprobe.handshake import Handshake, HandshakeError, HandshakeProblem
from monitor.domain.watched import Expected

__all__ = ["AddressLook", "Look", "judge", "summarize", "unresolved", "worst"]

_SEVERITY: Final = {verdict: number for number, verdict in enumerate(ServingVerdict)}

_CLIENTS_FAIL: Final = frozenset(
    {ServingVerdict.EXPIRED, ServingVerdict.WRONG_HOST, ServingVerdict.UNTRUSTED, ServingVerdict.TLS_FAILED}
)


@dataclass(frozen=True)
class AddressLook:
    """`clients_fail`: a careful client would refuse what this address serves."""

    observed: AddressObserved
    revision: int | None
    clients_fail: bool


@dataclass(frozen=True)
class Look:
    """One look at all addresses of an endpoint. Revision and fingerprint are those of a worst address."""

    verdict: ServingVerdict
    addresses: tuple[AddressObserved, ...]
    served_revision: int | None
    served_fingerprint_sha256: str | None
    clients_fail: bool
    detail: str


def judge(
    address: str,
    found: Handshake | HandshakeError,
    *,
    host: str,
    expected: Expected,
    now: datetime,
    trust: bool,
) -> AddressLook:
    """Judge one handshake. Without `trust`, only what the leaf itself says counts: nobody said whom to trust."""
    if isinstance(found, HandshakeError):
        unreachable = found.problem is HandshakeProblem.UNREACHABLE
        verdict = ServingVerdict.UNREACHABLE if unreachable else ServingVerdict.TLS_FAILED
        return _look(address, verdict, detail=found.detail)
    leaf = found.leaf
    fingerprint = leaf.fingerprint_sha256
    revision = expected.revision_of(fingerprint)
    problem = found.trust_problem if trust else None
    if leaf.not_after <= now:
        verdict, detail = ServingVerdict.EXPIRED, f"expired at {leaf.not_after.isoformat()}"
    elif not any(matches(host, name) for name in leaf.dns_names):
        verdict, detail = ServingVerdict.WRONG_HOST, f"is for {', '.join(leaf.dns_names[:3]) or 'no DNS name'}"
    elif revision is None:
        by = f"issued by {leaf.issuer}, serial {leaf.serial}"
        verdict, detail = ServingVerdict.OTHER, f"{by}: {problem}" if problem else by
    elif problem is not None:
        verdict, detail = ServingVerdict.UNTRUSTED, str(problem)
    elif revision == expected.event.wanted_revision:
        verdict, detail = ServingVerdict.WANTED, ""
    else:
        verdict, detail = ServingVerdict.PREVIOUS, ""
    return _look(
        address, verdict, fingerprint=fingerprint, revision=revision, refused=problem is not None, detail=detail
    )


def _look(
    address: str,
    verdict: ServingVerdict,
    *,
    detail: str,
    fingerprint: str | None = None,
    revision: int | None = None,
    refused: bool = False,
) -> AddressLook:
    observed = AddressObserved(address=address, verdict=verdict, fingerprint_sha256=fingerprint, detail=detail[:300])
    return AddressLook(observed, revision, clients_fail=refused or verdict in _CLIENTS_FAIL)


def worst(verdicts: Iterable[ServingVerdict]) -> ServingVerdict:
    """The verdict of an endpoint: of 20 addresses, the one that is wrong counts."""
    return max(verdicts, key=_SEVERITY.__getitem__)


def summarize(looks: Sequence[AddressLook]) -> Look:
    """Make one of the looks at all addresses (at least one)."""
    looks = sorted(looks, key=lambda look: look.observed.address)
    verdict = worst(look.observed.verdict for look in looks)
    shown = next(look for look in looks if look.observed.verdict is verdict)
    return Look(
        verdict=verdict,
        addresses=tuple(look.observed for look in looks),
        served_revision=shown.revision,
        served_fingerprint_sha256=shown.observed.fingerprint_sha256,
        clients_fail=any(look.clients_fail for look in looks),
        detail=f"{shown.observed.address} {shown.observed.detail}".strip(),
    )


def unresolved(detail: str) -> Look:
    """The look at a name that leads nowhere."""
    return Look(ServingVerdict.UNREACHABLE, (), None, None, clients_fail=False, detail=detail[:300])
