"""What a CA can issue, as far as it is known before it is asked; and why one can't issue what is wanted."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.certificate import KeyAlgorithm
from certcore.events import IssueOrder
from issuer.domain.public_names import private_names

__all__ = ["CaObjection", "CaTraits", "ObjectionReason", "objections"]

_SHOWN: Final = 3


class ObjectionReason(StrEnum):
    """Field of log lines."""

    PRIVATE_NAME = "private_name"
    KEY_ALGORITHM = "key_algorithm"
    TOO_MANY_NAMES = "too_many_names"


@dataclass(frozen=True)
class CaTraits:
    """`public` tells that the world trusts the CA, so it certifies public names only; `common_name` that it wants one
    in the CSR. `key_algorithms` None means all, `max_names` None no limit of its own.
    """

    public: bool = True
    common_name: bool = False
    key_algorithms: frozenset[KeyAlgorithm] | None = None
    max_names: int | None = None


@dataclass(frozen=True)
class CaObjection:
    ca: str
    reason: ObjectionReason
    detail: str

    def __str__(self) -> str:
        return f"{self.ca}: {self.detail}"


def objections(ca: str, traits: CaTraits, wanted: IssueOrder) -> Iterator[CaObjection]:
    """Why the CA is not to be asked."""
    private = private_names(wanted.dns_names, profile=wanted.profile) if traits.public else ()
    if private:
        told = "; ".join(map(str, private[:_SHOWN])) + ("; …" if len(private) > _SHOWN else "")
        yield CaObjection(ca, ObjectionReason.PRIVATE_NAME, f"is a public CA, and {told}")
    if traits.key_algorithms is not None and wanted.key_algorithm not in traits.key_algorithms:
        known = ", ".join(sorted(traits.key_algorithms))
        yield CaObjection(ca, ObjectionReason.KEY_ALGORITHM, f"takes keys of {known}, and not {wanted.key_algorithm}")
    if traits.max_names is not None and len(wanted.dns_names) > traits.max_names:
        detail = f"certifies {traits.max_names} names at once, and these are {len(wanted.dns_names)}"
        yield CaObjection(ca, ObjectionReason.TOO_MANY_NAMES, detail)
