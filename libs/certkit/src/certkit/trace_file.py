"""Spans as JSON lines in a file of bounded size."""

import json
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

__all__ = ["TraceFile"]

log = structlog.get_logger()

_NEWLINE: Final = b"\n"


class TraceFile(SpanExporter):
    """Each span is written when it ends: a killed process loses none that did.

    At `max_bytes` the file becomes `<name>.1.jsonl`, in place of the one before, and a new one is begun. What can't
    be written, as on a full disk, is lost, and the first of a row is told in the log.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._older = path.with_suffix(f".1{path.suffix}")
        self._max_bytes = max_bytes
        # Spans end in threads, too.
        self._turn = threading.Lock()
        self._descriptor: int | None = None
        self._size = 0
        self._failing = False
        self._resource: tuple[Resource | None, str] = (None, "null")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(self._line(span) for span in spans).encode()
        with self._turn:
            try:
                self._write(lines)
            except OSError as error:
                if not self._failing:
                    log.warning("traces_not_written", path=str(self._path), error=error.strerror)
                self._failing = True
                return SpanExportResult.FAILURE
            self._failing = False
        return SpanExportResult.SUCCESS

    def _line(self, span: ReadableSpan) -> str:
        # The resource is the process's own, and the same object in each span: it is written once.
        if self._resource[0] is not span.resource:
            self._resource = (span.resource, span.resource.to_json(indent=None))
        return f'{json.dumps(_form(span))[:-1]}, "resource": {self._resource[1]}}}\n'

    def shutdown(self) -> None:
        with self._turn:
            self._close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 # the exporter's form
        return True

    def _write(self, lines: bytes) -> None:
        if self._descriptor is None:
            self._open()
        if self._size and self._size + len(lines) > self._max_bytes:
            self._close()
            # While it can't be put aside nothing is written: it would grow without end.
            self._path.replace(self._older)
            self._open()
        descriptor = self._descriptor
        assert descriptor is not None
        try:
            written = os.write(descriptor, lines)
        except OSError:
            self._cut(descriptor)
            raise
        if written < len(lines):
            # The disk is full: the next line must not begin in the middle of one.
            self._cut(descriptor)
            raise OSError(0, "the disk is full")
        self._size += written

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._size = os.fstat(self._descriptor).st_size
        # A process that was killed may have left half a line.
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != _NEWLINE:
            self._size += os.write(self._descriptor, _NEWLINE)

    def _cut(self, descriptor: int) -> None:
        # What is no regular file can't be cut.
        with suppress(OSError):
            os.ftruncate(descriptor, self._size)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _form(span: ReadableSpan) -> dict[str, object]:
    """As `ReadableSpan.to_json`, but for the resource."""
    status = {"status_code": span.status.status_code.name}
    if span.status.description:
        status["description"] = span.status.description
    return {
        "name": span.name,
        "context": _context(span.context) if span.context else None,
        "kind": str(span.kind),
        "parent_id": f"0x{span.parent.span_id:016x}" if span.parent is not None else None,
        "start_time": _instant(span.start_time),
        "end_time": _instant(span.end_time),
        "status": status,
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": item.name, "timestamp": _instant(item.timestamp), "attributes": dict(item.attributes or {})}
            for item in span.events
        ],
        "links": [
            {"context": _context(item.context), "attributes": dict(item.attributes or {})} for item in span.links
        ],
    }


def _context(context: SpanContext) -> dict[str, str]:
    return {
        "trace_id": f"0x{context.trace_id:032x}",
        "span_id": f"0x{context.span_id:016x}",
        "trace_state": repr(context.trace_state),
    }


def _instant(nanoseconds: int | None) -> str | None:
    if not nanoseconds:
        return None
    return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC).replace(tzinfo=None).isoformat("T", "microseconds") + "Z"
