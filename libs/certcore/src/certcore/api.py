"""The registry's answers, shared by the API that gives them and the command that reads them.

Field names are stable: new ones may come, none is renamed.
"""

from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.conditions import Condition, Health
from certcore.events import IssueOrder, RequestKind
from certcore.intent import Intent
from certcore.placements import PLATFORM
from certcore.policy.verdict import NeededView
from certcore.reading import Items, Open, ReadModel
from certcore.rejection import Rejection

__all__ = [
    "BundleWanted",
    "CertificateState",
    "CertificateSummary",
    "CertificateView",
    "Decision",
    "EndpointView",
    "FacetCounts",
    "IssueOrders",
    "IssuedAnswer",
    "IssuedReport",
    "IssuedRevision",
    "Page",
    "Paged",
    "Problem",
    "RenewalAnswer",
    "RenewalWindowView",
    "RequestState",
    "RequestView",
    "RestoreView",
    "RevisionView",
    "Role",
    "ServiceView",
    "SiteView",
    "TargetView",
]


ItemT = TypeVar("ItemT", bound=BaseModel)


class _View(ReadModel):
    pass


class Paged(ReadModel):
    """`next` is an opaque cursor: give it as `after` for what follows; None at the end."""

    next: str | None = None


class FacetCounts(ReadModel):
    """How many items of the whole list have each value, the most frequent ones. Where that is not `exact`, each is at
    least so many, and rare values may be missing.
    """

    exact: bool
    values: dict[str, int]


class Page(Paged, Generic[ItemT]):
    """Every list has this form. `counts` is there where it was asked for."""

    items: Items[ItemT]
    counts: dict[str, FacetCounts] | None = Field(default=None, exclude_if=lambda value: value is None)


class CertificateState(StrEnum):
    REQUESTED = "requested"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    APPROVED = "approved"
    ISSUING = "issuing"
    ISSUED = "issued"
    DELIVERING = "delivering"
    LIVE = "live"
    RENEWING = "renewing"
    DENIED = "denied"
    FAILING = "failing"
    REVOKED = "revoked"
    RETIRED = "retired"


class TargetState(StrEnum):
    """`verified`: an endpoint that proves this target was seen serving the wanted revision. `in_progress`: a slow
    delivery is under way. `withdrawn`: it was ordered to hold nothing, and holds nothing.
    """

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    DELIVERED = "delivered"
    VERIFIED = "verified"
    FAILED = "failed"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"


class EndpointState(StrEnum):
    """`unseen` until the first look; `served`: the wanted revision; `previous`: still the one before."""

    UNSEEN = "unseen"
    SERVED = "served"
    PREVIOUS = "previous"
    MISMATCH = "mismatch"
    UNREACHABLE = "unreachable"


class RequestState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


class Role(StrEnum):
    """What a token may do. The services' own roles are bound to their site and can do nothing else; `admin` makes and
    ends tokens, and can do nothing else either.
    """

    VIEWER = "viewer"
    REQUESTER = "requester"
    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"
    ISSUER = "issuer"
    DELIVERER = "deliverer"
    MONITOR = "monitor"
    ESCROW = "escrow"


class Problem(_View):
    """RFC 9457. `errors` names each field at fault."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Rejection, ...] = ()


class RenewalWindowView(_View):
    """When its CA suggests to renew a revision (RFC 9773): `chosen` is the issuer's instant in that window."""

    start: AwareDatetime
    end: AwareDatetime
    chosen: AwareDatetime
    explanation_url: str | None = None


class RevisionView(_View):
    """`serial` and fingerprint in lower-case hex."""

    number: int
    serial: str
    fingerprint_sha256: str
    not_before: AwareDatetime
    not_after: AwareDatetime
    ca: str
    validation_method: str
    variant: str = PLATFORM
    renewal_window: RenewalWindowView | None = None


class TargetView(_View):
    """`revision` is the one that lies there, `wanted_revision` the one that should. `site` is the target's place."""

    name: str
    site: str
    kind: str
    state: Open[TargetState]
    revision: int | None
    wanted_revision: int | None
    variant: str = PLATFORM
    generation: int = 0
    reason: str = ""
    next_try: AwareDatetime | None = None


class EndpointView(_View):
    """`looked_at` is when a probe worker looked last, `observed_at` when it last found something new."""

    url: str
    target: str | None
    state: Open[EndpointState]
    looked_at: AwareDatetime | None = None
    served_fingerprint_sha256: str | None
    served_revision: int | None
    reason: str = ""
    addresses: tuple[str, ...] = ()
    observed_at: AwareDatetime | None = None


class CertificateSummary(_View):
    """`state` is how far its lifecycle has come; `health` is what holds now, and `health_reason` why.

    `not_after` is the end of what its targets should hold. `served_until` is the earliest end of what its endpoints
    were seen serving and its targets hold; None while that is nothing, and of an older registry. `renew_at` is when
    renewals do something about it next, and `renewal_reason` why then.
    """

    id: str
    name: str
    owner: str
    exposure: Open[Exposure]
    state: Open[CertificateState]
    reason: str
    health: Open[Health] = Health.UNKNOWN
    health_reason: str = ""
    dns_names: tuple[str, ...]
    revision: int | None
    not_after: AwareDatetime | None
    targets_done: int
    targets_total: int
    endpoints_done: int
    endpoints_total: int
    served_until: AwareDatetime | None = None
    ca: str | None = None
    key_algorithm: Open[KeyAlgorithm] | None = None
    renew_at: AwareDatetime | None = None
    renewal_reason: str = ""


class CertificateView(_View):
    """One certificate with its grid. `reason` says why it is in its state, and so why it is waiting.

    `revision` is the wanted one, `variants` are all of its X.509 certificates; `wanted_revision` is the highest that
    any target should hold. `renew_at` is when renewals do something about it next, and `renewal_reason` why then, or
    why they don't. `trace_id` leads to the trace of its latest rollout.
    """

    id: str
    name: str
    owner: str
    exposure: Open[Exposure]
    state: Open[CertificateState]
    reason: str
    health: Open[Health] = Health.UNKNOWN
    health_reason: str = ""
    conditions: Items[Condition] = ()
    version: int = 0
    state_since: AwareDatetime
    dns_names: tuple[str, ...]
    key_algorithm: Open[KeyAlgorithm]
    labels: dict[str, str] = Field(default_factory=dict)
    contact: str | None = None
    description: str | None = None
    issuer: str | None
    requester: str
    approved_by: tuple[str, ...]
    approval_policy: str | None
    approval_ends_at: AwareDatetime | None = None
    policy_digest: str = ""
    end_date: AwareDatetime | None
    renew_at: AwareDatetime | None
    renewal_reason: str = ""
    next_try: AwareDatetime | None
    trace_id: str | None
    revision: RevisionView | None
    variants: Items[RevisionView] = ()
    served_until: AwareDatetime | None = None
    wanted_revision: int | None
    targets: Items[TargetView]
    endpoints: Items[EndpointView]


class RequestView(_View):
    """`needed` is what a waiting request still needs, `approved_by` who approved so far, `rules` are those of the
    policy that asks for it.
    """

    id: str
    kind: Open[RequestKind]
    certificate_id: str
    name: str
    owner: str
    requester: str
    state: Open[RequestState]
    reason: str
    certificate_state: Open[CertificateState]
    spec: Intent
    created_at: AwareDatetime
    decided_by: str | None
    decided_at: AwareDatetime | None
    expires_at: AwareDatetime | None = None
    needed: Items[NeededView] = ()
    approved_by: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    policy_digest: str = ""


class Decision(BaseModel):
    """Body of approve and deny; a denial needs its reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = ""


class RenewalAnswer(_View):
    certificate_id: str
    name: str
    revision: int
    state: Open[CertificateState]
    reason: str


class SiteView(_View):
    """`last_heartbeat` is that of the service that was silent longest; `silent` names those that are too long so."""

    name: str
    services: tuple[str, ...]
    last_heartbeat: AwareDatetime | None
    targets: int
    targets_done: int
    silent: tuple[str, ...] = ()


class ServiceView(_View):
    """One service at one place. `silent`: it should have reported by now. `kinds` are those that it delivers to."""

    place: str
    service: str
    version: str | None
    last_heartbeat: AwareDatetime | None
    silent: bool
    kinds: tuple[str, ...] = ()
    contract: int | None = None


class IssueOrders(Page[IssueOrder]):
    """Every revision that is ordered and not issued. `epoch` grows where the registry was restored from a copy: then
    the issuer reports what it issued (`IssuedReport`). `contract` is the level of the events that the registry reads;
    2 where it is older than this field.
    """

    epoch: int = 0
    contract: int = 2


class IssuedRevision(ReadModel):
    """An X.509 certificate that the issuer has and that is still valid."""

    certificate_id: str
    revision: int
    variant: str = PLATFORM
    serial: str
    fingerprint_sha256: str
    not_before: AwareDatetime
    not_after: AwareDatetime


class IssuedReport(ReadModel):
    """A part of all that the issuer has; `complete` with the last part of an epoch's report."""

    epoch: int
    revisions: Items[IssuedRevision]
    complete: bool = False


class BundleWanted(ReadModel):
    """The registry doesn't have it: the issuer stores the bundle again, then reports the revision as issued."""

    certificate_id: str
    revision: int
    variant: str = PLATFORM


class IssuedAnswer(ReadModel):
    wanted: Items[BundleWanted]


class RestoreView(_View):
    """Whether the registry runs on a restored copy. `began_at` and `reason` are of the last restore, if any.

    `waiting`: the issuer has not reported since; until then nothing new is decided. `unknown` are X.509 certificates
    that the issuer has of certificates which the registry lost; it lists at most 100.
    """

    database_id: str
    epoch: int
    began_at: AwareDatetime | None
    waiting: bool
    reason: str
    unknown: Items[IssuedRevision] = ()
