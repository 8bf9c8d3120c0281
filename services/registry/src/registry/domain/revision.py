"""What was issued for a certificate, when its CA wants it renewed, and the signing requests of targets that make
their own key.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from certcore.placements import PLATFORM

__all__ = ["Revision", "SigningRequest", "SigningState", "SuggestedWindow"]


@dataclass(frozen=True)
class SuggestedWindow:
    """When the CA suggests to renew (RFC 9773). `chosen` is the issuer's instant in it; `held_until` is set where the
    registry waits longer than that. Of two reports the one with the later `answered_at` counts.
    """

    start: datetime
    end: datetime
    chosen: datetime
    answered_at: datetime
    explanation_url: str | None = None
    held_until: datetime | None = None

    @property
    def renew_at(self) -> datetime:
        return self.chosen if self.held_until is None else max(self.chosen, self.held_until)


@dataclass(frozen=True)
class Revision:
    """One X.509 certificate: a variant of a revision. `announced` turns true when the issuer reports it."""

    certificate_id: str
    number: int
    serial: str
    fingerprint_sha256: str
    spki_sha256: str
    not_before: datetime
    not_after: datetime
    chain_pem: str
    stored_at: datetime
    ca: str = ""
    validation_method: str = ""
    ari_id: str | None = None
    announced: bool = False
    variant: str = PLATFORM
    window: SuggestedWindow | None = None


class SigningState(StrEnum):
    """`ordered`: the CSR went to the issuer. `dropped`: a later revision was ordered before a CSR came."""

    WANTED = "wanted"
    ORDERED = "ordered"
    ISSUED = "issued"
    DROPPED = "dropped"


@dataclass(frozen=True)
class SigningRequest:
    """A variant of one revision whose key the target makes. `failure` is why the issuer could not issue it."""

    certificate_id: str
    revision: int
    variant: str
    target: str
    state: SigningState
    since: datetime
    csr_pem: str | None = None
    spki_sha256: str | None = None
    failure: str = ""
