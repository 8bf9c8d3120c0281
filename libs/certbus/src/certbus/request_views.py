"""Requests as people read them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from certbus.output import Cell, Table
from certbus.time_spans import from_now, instant
from certcore.api import RequestState, RequestView
from certcore.targets import TargetSpec

__all__ = ["next_step", "request_facts", "request_line", "request_table", "target_text"]

_STYLE: Final = {RequestState.WAITING: "yellow", RequestState.APPROVED: "green", RequestState.DENIED: "red"}


def request_table(requests: Iterable[RequestView], now: datetime) -> Table:
    return Table(
        ("REQUEST", "CERTIFICATE", "STATE", "EXPOSURE", "OWNER", "ASKED BY", "ASKED", "REASON"),
        tuple(
            (
                Cell(request.id),
                Cell(request.name),
                Cell(request.state.value, _STYLE[request.state]),
                Cell(request.spec.exposure.value),
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
    return f"request {request.id} for {request.name}: {request.state.value}" + (
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
        ("state", request.state.value),
        ("why", request.reason),
        ("decided by", decided),
        ("certificate", f"{request.name}, {request.certificate_state.value}"),
        ("dns names", ", ".join(spec.dns_names)),
        ("exposure", spec.exposure.value),
        ("owner", request.owner),
        ("asked by", f"{request.requester}, {instant(request.created_at)} ({from_now(request.created_at, now)})"),
        ("issuer", spec.issuer or "by policy"),
        ("key", spec.key_algorithm.value),
        *(("target", target_text(target)) for target in spec.targets),
        *(
            ("endpoint", endpoint.url + (f" proves {endpoint.target}" if endpoint.target else ""))
            for endpoint in spec.endpoints
        ),
        ("ends", instant(spec.end_date) if spec.end_date else ""),
    ]


def target_text(target: TargetSpec) -> str:
    """In the notation of --target, so that it can be given again."""
    fields = target.model_dump(exclude={"kind"}, exclude_defaults=True)
    parts = (f"{key}={value if isinstance(value, str) else '+'.join(value)}" for key, value in fields.items())
    return f"{target.kind}:{','.join(parts)}"
