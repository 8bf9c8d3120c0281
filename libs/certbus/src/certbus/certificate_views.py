"""Certificates as people read them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from certbus.output import Cell, Table
from certbus.time_spans import from_now, instant
from certcore.api import (
    CertificateState,
    CertificateSummary,
    CertificateView,
    EndpointState,
    EndpointView,
    RevisionView,
    TargetState,
    TargetView,
)
from certcore.conditions import ConditionStatus, ConditionType, Health
from certcore.placements import PLATFORM

__all__ = [
    "certificate_facts",
    "certificate_table",
    "condition_table",
    "endpoint_grid",
    "expiry",
    "health_cell",
    "served_at",
    "soonest_first",
    "state_cell",
    "target_grid",
    "variant_table",
    "worse_reason",
]

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_GOOD: Final = "green"
_UNDER_WAY: Final = "yellow"
_BAD: Final = "red"

_STATE_STYLE: Final[Mapping[str, str]] = {
    CertificateState.LIVE: _GOOD,
    CertificateState.FAILING: _BAD,
    CertificateState.DENIED: _BAD,
    CertificateState.REVOKED: _BAD,
    CertificateState.RETIRED: "",
    TargetState.VERIFIED: _GOOD,
    TargetState.FAILED: _BAD,
    TargetState.WITHDRAWN: "",
    EndpointState.SERVED: _GOOD,
    EndpointState.MISMATCH: _BAD,
    EndpointState.UNREACHABLE: _BAD,
}
_HEALTH_STYLE: Final[Mapping[str, str]] = {Health.OK: _GOOD, Health.DEGRADED: _BAD, Health.NONE: ""}

_TARGET_COLUMNS: Final = ("STATE", "WANTED", "DELIVERED", "SERVED", "REASON")

_WELL: Final = 0
_ON_ITS_WAY: Final = 1
_UNCLEAR: Final = 2
_WRONG: Final = 3
_RANK_OF_STYLE: Final = {_GOOD: _WELL, "": _WELL, _UNDER_WAY: _ON_ITS_WAY, _BAD: _WRONG}


def state_cell(state: str) -> Cell:
    """A word that this version doesn't know is shown as it is, without a colour."""
    return Cell(str(state), _STATE_STYLE.get(state, _UNDER_WAY) if isinstance(state, StrEnum) else "")


def health_cell(health: str) -> Cell:
    return Cell(str(health), _HEALTH_STYLE.get(health, _UNDER_WAY) if isinstance(health, StrEnum) else "")


def worse_reason(certificate: CertificateSummary) -> str:
    """The reason of its state or of its health, whichever is worse; of its state where both are as bad."""
    state = _rank(certificate.state, state_cell(certificate.state))
    health = _rank(certificate.health, health_cell(certificate.health))
    ordered = [(health, certificate.health_reason), (state, certificate.reason)]
    if state >= health:
        ordered.reverse()
    return next((reason for rank, reason in ordered if rank > _WELL and reason), "")


def _rank(word: str, shown: Cell) -> int:
    if word == Health.UNKNOWN or not isinstance(word, StrEnum):
        return _UNCLEAR
    return _RANK_OF_STYLE[shown.style]


def expiry(not_after: datetime | None, now: datetime) -> Cell:
    """Coloured as dashboards do: red from a week, yellow from 30 days before the end."""
    if not_after is None:
        return Cell("-")
    days = (not_after - now).days
    return Cell(from_now(not_after, now), _BAD if days < 7 else _UNDER_WAY if days < 30 else "")


def soonest_first(certificates: Iterable[CertificateSummary]) -> list[CertificateSummary]:
    """Soonest expiry first; those that have none yet come last."""
    return sorted(certificates, key=lambda one: (_end(one) is None, _end(one) or _NEVER, one.name))


def _end(one: CertificateSummary) -> datetime | None:
    """Of what is served; until that is seen, of what will be."""
    return one.served_until or one.not_after


def certificate_table(certificates: Iterable[CertificateSummary], now: datetime) -> Table:
    return Table(
        (
            "NAME",
            "STATE",
            "HEALTH",
            "EXPOSURE",
            "EXPIRES",
            "RENEWS",
            "REVISION",
            "TARGETS",
            "ENDPOINTS",
            "OWNER",
            "REASON",
        ),
        tuple(
            (
                Cell(one.name),
                state_cell(one.state),
                health_cell(one.health),
                Cell(str(one.exposure)),
                expiry(_end(one), now),
                Cell(from_now(one.renew_at, now) if one.renew_at else "-"),
                Cell(_number(one.revision)),
                Cell(f"{one.targets_done}/{one.targets_total}"),
                Cell(f"{one.endpoints_done}/{one.endpoints_total}"),
                Cell(one.owner),
                Cell(worse_reason(one)),
            )
            for one in certificates
        ),
        empty="no certificates; ask for one by `certbus request create`",
    )


def certificate_facts(view: CertificateView, now: datetime) -> list[tuple[str, str]]:
    revision = view.revision
    return [
        ("name", view.name),
        ("health", f"{view.health}: {view.health_reason}" if view.health_reason else str(view.health)),
        ("state", f"{view.state}, since {instant(view.state_since)} ({from_now(view.state_since, now)})"),
        ("why", view.reason),
        ("next try", _moment(view.next_try, now)),
        ("dns names", ", ".join(view.dns_names)),
        ("exposure", str(view.exposure)),
        ("owner", view.owner),
        ("contact", view.contact or ""),
        ("description", view.description or ""),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(view.labels.items()))),
        ("requested by", view.requester),
        ("approved by", ", ".join(view.approved_by)),
        ("policy", view.approval_policy or ""),
        ("key", str(view.key_algorithm)),
        ("issuer", revision.ca if revision else view.issuer or ""),
        ("revision", f"{revision.number}, validated by {revision.validation_method}" if revision else ""),
        ("serial", revision.serial if revision else ""),
        ("sha256", revision.fingerprint_sha256 if revision else ""),
        ("expires", _moment(revision.not_after, now) if revision else ""),
        ("served until", _moment(view.served_until, now)),
        ("renewal", _renewal(view, now)),
        ("ends", _moment(view.end_date, now)),
        ("trace", view.trace_id or ""),
        ("id", view.id),
    ]


def _renewal(view: CertificateView, now: datetime) -> str:
    return ": ".join(part for part in (_moment(view.renew_at, now), view.renewal_reason) if part)


def condition_table(view: CertificateView, now: datetime) -> Table:
    """What holds now. Renewing is no fault where it is true; of the others, false is one."""
    return Table(
        ("CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"),
        tuple(
            (
                Cell(str(condition.type)),
                Cell(str(condition.status), _condition_style(condition.type, condition.status)),
                Cell(from_now(condition.since, now)),
                Cell(condition.reason),
                Cell(condition.message),
            )
            for condition in view.conditions
        ),
        empty="no conditions",
    )


def _condition_style(kind: str, status: str) -> str:
    if not isinstance(kind, StrEnum) or not isinstance(status, StrEnum):
        return ""
    if status is ConditionStatus.UNKNOWN:
        return _UNDER_WAY
    if kind is ConditionType.RENEWING:
        return _UNDER_WAY if status is ConditionStatus.TRUE else ""
    return _GOOD if status is ConditionStatus.TRUE else _BAD


def variant_table(variants: Iterable[RevisionView], now: datetime) -> Table:
    """The X.509 certificates of one revision, one for each key holder."""
    return Table(
        ("VARIANT", "REVISION", "EXPIRES", "CA", "SERIAL", "SHA256"),
        tuple(
            (
                Cell(variant.variant),
                Cell(str(variant.number)),
                expiry(variant.not_after, now),
                Cell(variant.ca),
                Cell(variant.serial),
                Cell(variant.fingerprint_sha256),
            )
            for variant in variants
        ),
        empty="no variants",
    )


def target_grid(view: CertificateView, now: datetime) -> Table:
    """Where it is wanted, what lies there, and what the endpoints that prove the target were seen serving.

    The variant is shown where any target has another than the platform's.
    """
    variants = any(target.variant != PLATFORM for target in view.targets)
    return Table(
        ("TARGET", "PLACE", "KIND", *(["VARIANT"] if variants else []), *_TARGET_COLUMNS),
        tuple(
            (
                Cell(target.name),
                Cell(target.site),
                Cell(target.kind),
                *([Cell(target.variant)] if variants else []),
                state_cell(target.state),
                Cell(_number(target.wanted_revision)),
                Cell(_number(target.revision)),
                Cell(served_at(target, view.endpoints)),
                Cell(_with_next_try(target.reason, target.next_try, now)),
            )
            for target in view.targets
        ),
        empty="no targets",
    )


def endpoint_grid(view: CertificateView, now: datetime) -> Table:
    """LAST LOOK is when a worker looked there, LAST CHANGE when it last found something new."""
    return Table(
        ("ENDPOINT", "PROVES", "STATE", "SERVED", "SHA256", "LAST LOOK", "LAST CHANGE", "REASON"),
        tuple(
            (
                Cell(endpoint.url),
                Cell(endpoint.target or "every target"),
                state_cell(endpoint.state),
                Cell(_number(endpoint.served_revision)),
                Cell((endpoint.served_fingerprint_sha256 or "-")[:16]),
                Cell(from_now(endpoint.looked_at, now) if endpoint.looked_at else "never"),
                Cell(from_now(endpoint.observed_at, now) if endpoint.observed_at else "-"),
                Cell(endpoint.reason),
            )
            for endpoint in view.endpoints
        ),
        empty="no endpoints",
    )


def served_at(target: TargetView, endpoints: Iterable[EndpointView]) -> str:
    """The revisions that were seen at the endpoints which prove this target; `?` stands for no known one."""
    proofs = [endpoint for endpoint in endpoints if endpoint.target in {None, target.name}]
    seen = {endpoint.served_revision for endpoint in proofs if endpoint.state is not EndpointState.UNSEEN}
    known = sorted(number for number in seen if number is not None)
    return ",".join([*map(str, known), *(["?"] if None in seen else [])]) or "-"


def _number(revision: int | None) -> str:
    return "-" if revision is None else str(revision)


def _moment(then: datetime | None, now: datetime) -> str:
    return f"{instant(then)} ({from_now(then, now)})" if then else ""


def _with_next_try(reason: str, next_try: datetime | None, now: datetime) -> str:
    return f"{reason}; next try {from_now(next_try, now)}" if next_try else reason
