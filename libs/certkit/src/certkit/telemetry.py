"""Logs as JSON lines with the trace id in each, and traces by OTLP/HTTP or into a file; off unless configured."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.tracebacks import ExceptionDictTransformer

from certkit.settings import TelemetrySettings
from certkit.trace_file import TraceFile
from certkit.unrecorded_spans import UnrecordedTracerProvider

__all__ = ["Telemetry", "configure_telemetry", "context_of", "current_traceparent", "parent_of", "trace_headers"]

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_SECRET_MARK: Final = "PRIVATE KEY"  # noqa: S105 # the mark of a secret, not one


@dataclass(frozen=True)
class Telemetry:
    """What `app.py` passes on: nothing else in a service reaches for a global tracer."""

    provider: TracerProvider
    tracer: trace.Tracer


def configure_telemetry(service: str, settings: TelemetrySettings) -> Telemetry:
    """Set up logging for the process and make its tracer. Call once, in `app.py`."""
    _configure_logging(settings.log_level, service)
    resource = Resource.create({"service.name": service})
    # Where spans go nowhere they aren't recorded; the traces of others go on, and log lines name them.
    unseen = settings.otlp_endpoint is None and settings.trace_file is None
    provider = (UnrecordedTracerProvider if unseen else TracerProvider)(resource=resource, shutdown_on_exit=False)
    if settings.otlp_endpoint is not None:
        # Imported only where it is used: it brings a second HTTP client and protobuf.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    if settings.trace_file is not None:
        trace_file = TraceFile(settings.trace_file, max_bytes=settings.trace_file_mib * 1024 * 1024)
        provider.add_span_processor(SimpleSpanProcessor(trace_file))
    return Telemetry(provider, provider.get_tracer("certbus"))


def trace_headers() -> dict[str, str]:
    """W3C trace context of the present span, for an HTTP call or an event; empty without a span."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def current_traceparent() -> str | None:
    return trace_headers().get("traceparent")


def parent_of(traceparent: str | None) -> Context:
    """The context in which a span goes on with a stored trace."""
    return context_of({"traceparent": traceparent} if traceparent else {})


def context_of(headers: Mapping[str, str]) -> Context:
    """The remote parent that `traceparent` names; an empty context where there is none."""
    return _PROPAGATOR.extract(headers)


def _trace_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = format(span.trace_id, "032x")
    return event


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last guard of many: no log line carries a PEM key, whatever a library put into its message."""
    for key, value in event.items():
        if _SECRET_MARK in (value if isinstance(value, str) else repr(value)):
            event[key] = "[redacted: private key]"
    return event


def _configure_logging(level: str, service: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace_id,
    ]
    rendered: list[structlog.typing.Processor] = [
        # Without the frames' local variables: they may hold keys and tokens, which can't be recognised.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        redact,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # A line and its end are one write, also where PYTHONUNBUFFERED is set: a killed process leaves no half line.
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)

    def bind_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**event, "service": service}

    # Libraries log through the standard library: the same lines, the same redaction.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *shared,
                structlog.stdlib.ExtraAdder(),
                bind_service,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
