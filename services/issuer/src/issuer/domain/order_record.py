"""Every order that was ever opened at a CA: what is open there, and what is to be tidied up."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from issuer.domain.job import JobId
from issuer.domain.revoked import Revocation

__all__ = ["OrderRecord", "RecordedState"]


class RecordedState(StrEnum):
    """`abandoned` is an order that the job gave up while it may be open at the CA: its authorizations are to be
    deactivated, and then it is `closed`. `lost` is one that the CA denied to have.
    """

    OPEN = "open"
    ISSUED = "issued"
    INVALID = "invalid"
    LOST = "lost"
    ABANDONED = "abandoned"
    CLOSED = "closed"


@dataclass(frozen=True)
class OrderRecord:
    url: str
    job: JobId
    ca: str
    account_url: str
    state: RecordedState
    opened_at: datetime
    finalize_sent_at: datetime | None = None
    ended_at: datetime | None = None
    revocation: Revocation | None = None
