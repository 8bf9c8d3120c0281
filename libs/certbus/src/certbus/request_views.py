"""Requests as people read them."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from certbus.output import Cell, Table
from certbus.policy_views import needed_words
from certbus.time_spans import from_now, instant
from certcore.api import RequestState, RequestView
from certcore.certificate import Proof
from certcore.intent import Target

__all__ = ["next_step", "request_facts", "request_line", "request_table", "target_text"]

_STYLE: Final[Mapping[str, str]] = {
    RequestState.WAITING: "yellow",
    RequestState.APPROVED: "green",
    RequestState.DENIED: "red",
    RequestState.EXPIRED: "red",
}


def request_table(requests: Iterable[RequestView], now: datetime) -> Table:
    return Table(
        ("REQUEST", "CERTIFICATE", "STATE", "EXPOSURE", "OWNER", "ASKED BY", "ASKED", "REASON"),
        tuple(
            (
                Cell(request.id),
                Cell(request.name),
                Cell(str(request.state), _STYLE.get(request.state, "")),
                Cell(str(request.spec.exposure)),
                Cell(request.owner),
                Cell(request.requester),
                Cell(from_now(request.created_at, now)),
                Cell(request.reason),
            )
            for request in requests
        ),
        empty="no requests",
    )


def request_line(request: RequestView) -> str:
    return f"request {request.id} for {request.name}: {request.state}" + (
        f" ({request.reason})" if request.reason else ""
    )


def next_step(request: RequestView) -> str:
    if request.state is RequestState.WAITING:
        return f"somebody else has to decide: certbus --as NAME request approve {request.id}"
    return f"watch it: certbus cert show {request.name}"


def request_facts(request: RequestView, now: datetime) -> list[tuple[str, str]]:
    spec = request.spec
    decided = (
        f"{request.decided_by}, {instant(request.decided_at)} ({from_now(request.decided_at, now)})"
        if request.decided_by and request.decided_at
        else ""
    )
    return [
        ("request", request.id),
        ("state", str(request.state)),
        ("why", request.reason),
        ("still needs", needed_words(request.needed)),
        ("approved by", ", ".join(request.approved_by)),
        (
            "expires",
            f"{instant(request.expires_at)} ({from_now(request.expires_at, now)})"
            if request.expires_at is not None and request.state == RequestState.WAITING
            else "",
        ),
        ("decided by", decided),
        ("certificate", f"{request.name}, {request.certificate_state}"),
        ("dns names", ", ".join(spec.dns_names)),
        ("exposure", str(spec.exposure)),
        ("owner", request.owner),
        ("asked by", f"{request.requester}, {instant(request.created_at)} ({from_now(request.created_at, now)})"),
        ("issuer", spec.issuer or "by policy"),
        ("key", str(spec.key_algorithm)),
        *(("target", target_text(target)) for target in spec.targets),
        *(
            ("endpoint", endpoint.url + (f" proves {endpoint.target}" if endpoint.target else ""))
            for endpoint in spec.endpoints
        ),
        ("proof", "" if spec.proof == Proof.ENDPOINTS else f"{spec.proof}: nobody looks whether it is served"),
        ("ends", instant(spec.end_date) if spec.end_date else ""),
        ("contact", spec.contact or ""),
        ("description", spec.description or ""),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(spec.labels.items()))),
    ]


def target_text(target: Target) -> str:
    """In the notation of --target, so that it can be given again."""
    site = {"site": target.site} if target.site else {}
    fields = {"name": target.name, **site, **target.fields}
    return f"{target.kind}:{','.join(f'{key}={_value(value)}' for key, value in fields.items() if value != [])}"


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(_value, value))
    return value if isinstance(value, str) else json.dumps(value, default=str)
