"""Certificates as people read them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from certbus.output import Cell, Table
from certbus.time_spans import from_now, instant
from certcore.api import (
    CertificateState,
    CertificateSummary,
    CertificateView,
    EndpointState,
    EndpointView,
    TargetState,
    TargetView,
)

__all__ = [
    "certificate_facts",
    "certificate_table",
    "endpoint_grid",
    "expiry",
    "served_at",
    "state_cell",
    "target_grid",
]

_GOOD: Final = "green"
_UNDER_WAY: Final = "yellow"
_BAD: Final = "red"

_STYLE: Final = {
    CertificateState.LIVE: _GOOD,
    CertificateState.FAILING: _BAD,
    CertificateState.DENIED: _BAD,
    CertificateState.REVOKED: _BAD,
    CertificateState.RETIRED: "",
    TargetState.VERIFIED: _GOOD,
    TargetState.FAILED: _BAD,
    EndpointState.SERVED: _GOOD,
    EndpointState.MISMATCH: _BAD,
    EndpointState.UNREACHABLE: _BAD,
}


def state_cell(state: CertificateState | TargetState | EndpointState) -> Cell:
    return Cell(state.value, _STYLE.get(state, _UNDER_WAY))


def expiry(not_after: datetime | None, now: datetime) -> Cell:
    """Coloured as dashboards do: red from a week, yellow from 30 days before the end."""
    if not_after is None:
        return Cell("-")
    days = (not_after - now).days
    return Cell(from_now(not_after, now), _BAD if days < 7 else _UNDER_WAY if days < 30 else "")


def certificate_table(certificates: Iterable[CertificateSummary], now: datetime) -> Table:
    """Soonest expiry first; those that have none yet come last."""
    ordered = sorted(certificates, key=lambda one: (one.not_after is None, one.not_after or now, one.name))
    return Table(
        ("NAME", "STATE", "EXPOSURE", "EXPIRES", "REVISION", "TARGETS", "ENDPOINTS", "OWNER", "REASON"),
        tuple(
            (
                Cell(one.name),
                state_cell(one.state),
                Cell(one.exposure.value),
                expiry(one.not_after, now),
                Cell(_number(one.revision)),
                Cell(f"{one.targets_done}/{one.targets_total}"),
                Cell(f"{one.endpoints_done}/{one.endpoints_total}"),
                Cell(one.owner),
                Cell("" if one.state is CertificateState.LIVE else one.reason),
            )
            for one in ordered
        ),
        empty="no certificates; ask for one by `certbus request create`",
    )


def certificate_facts(view: CertificateView, now: datetime) -> list[tuple[str, str]]:
    revision = view.revision
    return [
        ("name", view.name),
        ("state", f"{view.state.value}, since {instant(view.state_since)} ({from_now(view.state_since, now)})"),
        ("why", view.reason),
        ("next try", _moment(view.next_try, now)),
        ("dns names", ", ".join(view.dns_names)),
        ("exposure", view.exposure.value),
        ("owner", view.owner),
        ("requested by", view.requester),
        ("approved by", ", ".join(view.approved_by)),
        ("policy", view.approval_policy or ""),
        ("key", view.key_algorithm.value),
        ("issuer", revision.ca if revision else view.issuer or ""),
        ("revision", f"{revision.number}, validated by {revision.validation_method}" if revision else ""),
        ("serial", revision.serial if revision else ""),
        ("sha256", revision.fingerprint_sha256 if revision else ""),
        ("expires", _moment(revision.not_after, now) if revision else ""),
        ("renewal", _moment(view.renew_at, now)),
        ("ends", _moment(view.end_date, now)),
        ("trace", view.trace_id or ""),
        ("id", view.id),
    ]


def target_grid(view: CertificateView, now: datetime) -> Table:
    """Where it is wanted, what lies there, and what the endpoints that prove the place were seen serving."""
    return Table(
        ("TARGET", "SITE", "KIND", "STATE", "WANTED", "DELIVERED", "SERVED", "REASON"),
        tuple(
            (
                Cell(target.name),
                Cell(target.site),
                Cell(target.kind),
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
    return Table(
        ("ENDPOINT", "PROVES", "STATE", "SERVED", "SHA256", "SEEN", "REASON"),
        tuple(
            (
                Cell(endpoint.url),
                Cell(endpoint.target or "every target"),
                state_cell(endpoint.state),
                Cell(_number(endpoint.served_revision)),
                Cell((endpoint.served_fingerprint_sha256 or "-")[:16]),
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
