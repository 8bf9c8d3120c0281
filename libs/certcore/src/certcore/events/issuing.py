"""What is ordered from the issuer, and what it reports."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events.event import Event
from certcore.placements import PLATFORM
from certcore.reading import Items, Open, ReadModel

__all__ = [
    "FailureCode",
    "IssueCause",
    "IssueOrder",
    "MustAct",
    "Priority",
    "Recipient",
    "RevisionFailed",
    "RevisionIssued",
    "RevisionRenewalWindow",
    "RevisionStarted",
    "RevisionWaits",
    "WaitCode",
]


class Recipient(ReadModel):
    """A service that gets the private key, sealed to it; `public_key` is its raw X25519 key in base64."""

    name: str
    public_key: str


class IssueCause(StrEnum):
    FIRST = "first"
    RENEWAL = "renewal"
    ARI = "ari"
    REPLACEMENT = "replacement"


class Priority(StrEnum):
    ROUTINE = "routine"
    URGENT = "urgent"


class IssueOrder(ReadModel):
    """What the issuer needs for one X.509 certificate. (certificate_id, revision, variant) identifies the job.

    `csr_pem` is given where the variant's key is held elsewhere: then nothing is sealed, and `recipients` is empty.
    `cas` are the CAs that may issue it, in order of preference; empty, the issuer's own policy chooses. `owner` is
    whose turn it takes: the issuer serves owners in turn.
    """

    certificate_id: str
    name: str
    revision: int
    dns_names: tuple[str, ...]
    exposure: Open[Exposure]
    issuer: str | None
    key_algorithm: Open[KeyAlgorithm]
    approval_id: str
    recipients: Items[Recipient]
    replaces: str | None = None
    variant: str = PLATFORM
    csr_pem: str | None = None
    cause: Open[IssueCause] = IssueCause.FIRST
    priority: Open[Priority] = Priority.ROUTINE
    deadline: AwareDatetime | None = None
    profile: str | None = None
    cas: tuple[str, ...] = ()
    owner: str = ""


class RevisionStarted(Event):
    type: ClassVar = "certbus.revision.started.v1"

    certificate_id: str
    revision: int
    ca: str
    variant: str = PLATFORM


class RevisionIssued(Event):
    """The registry stored the bundle before; the event refers to it."""

    type: ClassVar = "certbus.revision.issued.v1"

    certificate_id: str
    revision: int
    fingerprint_sha256: str
    ca: str
    validation_method: str
    ari_id: str | None
    variant: str = PLATFORM


class FailureCode(StrEnum):
    """Why a revision was not issued."""

    CA_UNREACHABLE = "ca_unreachable"
    CA_REFUSED = "ca_refused"
    RATE_LIMITED = "rate_limited"
    CHALLENGE_FAILED = "challenge_failed"
    ORDER_LOST = "order_lost"
    CERTIFICATE_UNFIT = "certificate_unfit"
    REGISTRY_REFUSED = "registry_refused"
    CONFIGURATION = "configuration"
    UNSUPPORTED = "unsupported"
    UNFORESEEN = "unforeseen"


class MustAct(StrEnum):
    """Who must act before it can succeed; nobody, where waiting is enough."""

    NOBODY = "nobody"
    OPERATOR = "operator"
    REQUESTER = "requester"
    DNS_OWNER = "dns_owner"


class RevisionFailed(Event):
    """`next_try` is None where the issuer gave up; a renewal asked for by hand starts it again."""

    type: ClassVar = "certbus.revision.failed.v1"

    certificate_id: str
    revision: int
    reason: str
    next_try: AwareDatetime | None
    variant: str = PLATFORM
    code: Open[FailureCode] = FailureCode.UNFORESEEN
    must_act: Open[MustAct] = MustAct.NOBODY


class RevisionRenewalWindow(Event):
    """When the CA suggests to renew a revision (RFC 9773), and the instant in that window that the issuer chose.

    Of two reports about one X.509 certificate the one with the later `answered_at` counts. The issuer reports to
    registries whose contract level is 3 or more: see `certcore.api.IssueOrders`.
    """

    type: ClassVar = "certbus.revision.renewal_window.v1"

    certificate_id: str
    revision: int
    variant: str = PLATFORM
    start: AwareDatetime
    end: AwareDatetime
    chosen: AwareDatetime
    answered_at: AwareDatetime
    explanation_url: str | None = None


class WaitCode(StrEnum):
    """What a revision waits for, where nothing has failed."""

    CA_LIMITS = "ca_limits"
    CA_BUSY = "ca_busy"
    CA_AWAY = "ca_away"
    ORDER_SLOW = "order_slow"
    NOT_PROPAGATED = "not_propagated"


class RevisionWaits(Event):
    """`until` is when the issuer looks again; None where it goes on as soon as the CA does. It is told once a change,
    and not at each try. The issuer reports to registries whose contract level is 5 or more.
    """

    type: ClassVar = "certbus.revision.waits.v1"

    certificate_id: str
    revision: int
    ca: str
    reason: str
    since: AwareDatetime
    until: AwareDatetime | None = None
    variant: str = PLATFORM
    code: Open[WaitCode]
    must_act: Open[MustAct] = MustAct.NOBODY
