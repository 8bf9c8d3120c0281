"""One trace out of the files that the services write, as a tree."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

__all__ = ["Span", "read_trace", "render"]

_BARE: Final = frozenset({"url", "address", "revision", "verdict"})


@dataclass(frozen=True)
class Span:
    span_id: str
    parent_id: str | None
    service: str
    name: str
    start: datetime
    end: datetime
    attributes: dict[str, str]


def read_trace(folder: Path, trace_id: str) -> list[Span]:
    """The spans of a trace, oldest first. A line that a killed process left unfinished is passed over."""
    spans = []
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            spans += [span for line in lines if trace_id in line and (span := _span(line, trace_id)) is not None]
    return sorted(spans, key=lambda span: span.start)


def _span(line: str, trace_id: str) -> Span | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if found["context"]["trace_id"].removeprefix("0x") != trace_id:
        # It only links to the trace.
        return None
    return Span(
        span_id=found["context"]["span_id"],
        parent_id=found["parent_id"],
        service=found["resource"]["attributes"]["service.name"],
        name=found["name"],
        start=datetime.fromisoformat(found["start_time"]),
        end=datetime.fromisoformat(found["end_time"]),
        # Handshakes that were traced before attributes had our prefix are known by their bare names.
        attributes={
            f"certbus.{key}" if key in _BARE else key: str(value) for key, value in found["attributes"].items()
        },
    )


def render(spans: list[Span]) -> Iterator[str]:
    """Lines of a tree: since when, how long, who, what. Bus spans are folded into the one that handles the event."""
    folded = {span.span_id: span for span in spans if span.name.endswith((" create", " publish", " http send"))}
    shown = [span for span in spans if span.span_id not in folded]
    present = {span.span_id for span in shown}

    def parent(span: Span) -> str | None:
        above = span.parent_id
        while above in folded:
            above = folded[above].parent_id
        return above if above in present else None

    start = spans[0].start if spans else None

    def lines(above: str | None, prefix: str) -> Iterator[str]:
        children = [span for span in shown if parent(span) == above]
        for number, span in enumerate(children):
            last = number == len(children) - 1
            assert start is not None
            since = (span.start - start).total_seconds()
            took = (span.end - span.start).total_seconds() * 1000
            name = span.name.removesuffix(" process")
            where = span.attributes.get("certbus.url") or span.attributes.get("certbus.target") or ""
            yield f"{since:7.2f} s {prefix}{'└─ ' if last else '├─ '}{span.service}: {name} {where} ({took:.0f} ms)"
            yield from lines(span.span_id, prefix + ("   " if last else "│  "))

    yield from lines(None, "")
