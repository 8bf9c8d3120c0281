"""Places and names that another certificate has already."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from certcore.certificate import CertificateSpec
from certcore.rejection import Rejection
from certcore.targets import Claim

__all__ = ["Held", "HeldName", "claims_of", "clashes", "contested", "shared_in_vain"]


@dataclass(frozen=True)
class Held:
    """A place, and the certificate that has it."""

    claim: Claim
    name: str
    owner: str


@dataclass(frozen=True)
class HeldName:
    """A DNS name, and the certificate of another team that has it."""

    dns_name: str
    name: str
    owner: str


def shared_in_vain(spec: CertificateSpec, held: Iterable[HeldName], *, allowed: Collection[str]) -> list[Rejection]:
    """A rejection for each name that another team has a certificate for, but for those that teams may share."""
    by_name = {item.dns_name: item for item in held if item.dns_name not in allowed}
    return [
        Rejection(
            field=f"dns_names.{number}",
            message=f"is a name of certificate {other.name} of team {other.owner}: policy lets no two teams share it",
        )
        for number, name in enumerate(spec.dns_names)
        if (other := by_name.get(name)) is not None
    ]


def claims_of(spec: CertificateSpec) -> list[Claim]:
    return [claim for target in spec.targets for claim in target.claims()]


def contested(spec: CertificateSpec) -> frozenset[str]:
    """Words for the names and places that it would have: of two requests for one of them, one sees the other."""
    names = (f"name {name}" for name in spec.dns_names)
    return frozenset(names) | {f"place {claim.key}" for claim in claims_of(spec)}


def clashes(spec: CertificateSpec, held: Sequence[Held]) -> list[Rejection]:
    """A rejection for each target whose place another certificate has, or another target of the same request."""
    found: list[Rejection] = []
    own: list[Claim] = []
    for number, target in enumerate(spec.targets):
        claims = target.claims()
        if message := _taken(claims, held) or _twice(claims, own):
            found.append(Rejection(field=f"targets.{number}", message=message))
        own += claims
    return found


def _taken(claims: Collection[Claim], held: Sequence[Held]) -> str | None:
    by_key: dict[str, list[Held]] = {}
    for item in held:
        by_key.setdefault(item.claim.key, []).append(item)
    for claim in claims:
        for other in by_key.get(claim.key, ()):
            if claim.clashes(other.claim):
                return f"{claim.key} is the place of certificate {other.name} of team {other.owner}"
    return None


def _twice(claims: Collection[Claim], own: Sequence[Claim]) -> str | None:
    keys = {item.key for item in own}
    for claim in claims:
        if claim.key in keys and any(claim.clashes(other) for other in own):
            return f"{claim.key} is the place of another target of this request"
    return None
