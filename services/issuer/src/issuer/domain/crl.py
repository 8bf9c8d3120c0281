"""The list of revoked certificates (CRL, RFC 5280 §5) of a CA that signs here: what is in it, when it is written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from certcore.inspection import X509Certificate
from issuer.domain.revoked import Revocation
from issuer.domain.signing import SigningCa

__all__ = ["CrlCa", "CrlReason", "ListedLeaf", "PublishedCrl", "decide_crl", "publishing", "to_be_listed"]


@dataclass(frozen=True)
class ListedLeaf:
    serial: int
    revocation: Revocation
    not_after: datetime


@dataclass(frozen=True)
class PublishedCrl:
    number: int
    serials: frozenset[int]
    this_update: datetime
    next_update: datetime


class CrlReason(StrEnum):
    """Why a CRL is written, or that it needn't be."""

    MISSING = "missing"
    CHANGED = "changed"
    ENDS_SOON = "ends_soon"
    CURRENT = "current"


@runtime_checkable
class CrlCa(Protocol):
    """A CA that signs here, and can revoke by a CRL. Each publisher has a file of its own, and one journal."""

    @property
    def name(self) -> str: ...

    @property
    def authority(self) -> str:
        """SHA-256 of its public key: what it signed stays its own under another name."""

    @property
    def crl_valid_for(self) -> timedelta: ...

    @property
    def crl_hindrance(self) -> str | None:
        """Why it can't revoke, with the setting that is missing; None where it can."""

    def signed(self, leaf: X509Certificate) -> bool:
        """Whether it signed this one."""

    async def published_crl(self) -> PublishedCrl | None:
        """What is published; None where there is none, or none that this CA signed.

        Raises:
            CrlUnwritableError: it can't be read.
        """

    async def publish_crl(self, listed: Sequence[ListedLeaf], *, number: int, now: datetime) -> None:
        """Replace what is published, whole or not at all.

        Raises:
            CrlUnwritableError: it can't be written.
        """


def publishing(cas: Mapping[str, SigningCa]) -> dict[str, CrlCa]:
    """Those of the CAs whose CRLs are to be written."""
    return {name: ca for name, ca in cas.items() if isinstance(ca, CrlCa) and ca.crl_hindrance is None}


def decide_crl(published: PublishedCrl | None, wanted: Collection[ListedLeaf], *, now: datetime) -> CrlReason:
    """It is renewed in the middle of its time: an issuer that is away for the other half does no harm."""
    if published is None:
        return CrlReason.MISSING
    if published.serials != {leaf.serial for leaf in wanted}:
        return CrlReason.CHANGED
    return CrlReason.ENDS_SOON if now >= _written_anew_at(published) else CrlReason.CURRENT


def to_be_listed(
    revoked: Collection[ListedLeaf], published: PublishedCrl | None, *, valid_for: timedelta, now: datetime
) -> list[ListedLeaf]:
    """Each until a CRL that was written after its leaf ended is itself written anew (RFC 5280 §3.3)."""
    return sorted(
        (leaf for leaf in revoked if leaf.not_after + valid_for > now or _is_still_told(leaf, published, now)),
        key=lambda leaf: leaf.serial,
    )


def _is_still_told(leaf: ListedLeaf, published: PublishedCrl | None, now: datetime) -> bool:
    if published is None or leaf.serial not in published.serials:
        return False
    return published.this_update <= leaf.not_after or now < _written_anew_at(published)


def _written_anew_at(published: PublishedCrl) -> datetime:
    return published.next_update - (published.next_update - published.this_update) / 2
