"""A request for a name that is there already: the same once more, another one, or one that was denied before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash, stored
from registry.domain.certificate import Certificate
from registry.domain.lifecycle import Trigger, follow

__all__ = ["Standing", "There", "asked_again", "standing_of", "why_taken"]

_COVERED: Final = frozenset(
    {"owner", "name", "dns_names", "exposure", "key_algorithm", "targets", "issuer", "end_date"}
)
"""What `approval_hash` compares."""


@dataclass(frozen=True)
class There:
    """The certificate that has the name, and its intent as it is stored."""

    certificate: Certificate
    form: Mapping[str, JsonValue]


class Standing(StrEnum):
    """Of a request beside what has its name."""

    FREE = "free"
    SAME = "same"
    """The team has just this, waiting or active: asking again is answered with it."""
    DENIED = "denied"
    """The team's own, denied or expired before anything was ordered: it may be asked for anew."""
    OTHER = "other"
    """The team's own, with another intent."""
    ENDED = "ended"
    """The team's own, and targets may hold what was issued for it."""
    FOREIGN = "foreign"


def standing_of(spec: CertificateSpec, there: There | None, *, owner: str) -> Standing:
    if there is None:
        return Standing.FREE
    certificate = there.certificate
    if certificate.owner != owner:
        return Standing.FOREIGN
    if certificate.state is CertificateState.DENIED and certificate.ordered == 0:
        return Standing.DENIED
    if not certificate.active:
        return Standing.ENDED
    return Standing.SAME if _is_same(spec, there, owner=owner) else Standing.OTHER


def why_taken(standing: Standing, there: There | None) -> str | None:
    """What is told of the name; None where it may be asked for. Of another team's nothing but that it is there."""
    if there is None or standing in {Standing.FREE, Standing.SAME, Standing.DENIED}:
        return None
    certificate = there.certificate
    if standing is Standing.OTHER:
        return (
            f"is taken by this team's certificate {certificate.name}, which is {certificate.state} and of another "
            f"content: see `certbus cert show {certificate.name}`"
        )
    if standing is Standing.ENDED:
        return f"is taken by this team's certificate {certificate.name}, which is {certificate.state}: choose another"
    return "is taken by another certificate"


def asked_again(before: Certificate, asked: Certificate) -> Certificate:
    """The certificate that was denied, as it is asked for now: the same one, with its history.

    Its numbers go on: a target that heard of an earlier generation would ignore a lower one.

    Raises:
        IllegalStepError: it wasn't denied.
    """
    follow(before.state, Trigger.ASKED_AGAIN)
    return replace(
        asked,
        id=before.id,
        created_at=before.created_at,
        generation=before.generation,
        generation_floor=max(before.generation_floor, asked.generation_floor),
        version=before.version,
    )


def _is_same(spec: CertificateSpec, there: There, *, owner: str) -> bool:
    asked = stored(spec.model_copy(update={"owner": owner}))
    return approval_hash(spec, owner=owner) == there.certificate.spec_hash and _uncovered(asked) == _uncovered(
        there.form
    )


def _uncovered(form: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What an approval doesn't cover; endpoints in any order are the same."""
    found = {name: value for name, value in form.items() if name not in _COVERED}
    endpoints = found.get("endpoints")
    if isinstance(endpoints, list):
        found["endpoints"] = sorted(endpoints, key=str)
    return found
