"""Spans that carry a trace on and keep nothing of themselves."""

from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

__all__ = ["UnrecordedTracerProvider"]

_IDS: Final = RandomIdGenerator()
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class UnrecordedTracerProvider(TracerProvider):
    """For a process whose spans go nowhere. Whoever it calls sees a trace as if they were recorded here."""

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return _Tracer()


class _Tracer(trace.Tracer):
    def start_span(self, name: str, context: Context | None = None, *_: Any, **__: Any) -> Span:  # noqa: ARG002 # base
        parent = trace.get_current_span(context).get_span_context()
        return NonRecordingSpan(
            SpanContext(
                trace_id=parent.trace_id if parent.is_valid else _IDS.generate_trace_id(),
                span_id=_IDS.generate_span_id(),
                is_remote=False,
                trace_flags=parent.trace_flags if parent.is_valid else _SAMPLED,
                trace_state=parent.trace_state,
            )
        )

    def start_as_current_span(  # type: ignore[override] # the base's own kind is a generator, which costs as much
        self, name: str, context: Context | None = None, *_: Any, **__: Any
    ) -> AbstractContextManager[Span]:
        return _Current(self.start_span(name, context))


class _Current(AbstractContextManager[Span]):
    """Makes a span the present one, and notes nothing of how it ended."""

    __slots__ = ("_before", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._before = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(self, *_: object) -> None:
        detach(self._before)
