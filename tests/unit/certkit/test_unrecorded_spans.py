from opentelemetry import trace

from certkit.settings import TelemetrySettings
from certkit.telemetry import configure_telemetry, current_traceparent, parent_of

_SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_NOT_SAMPLED = _SAMPLED[:-2] + "00"


def _tracer() -> trace.Tracer:
    return configure_telemetry("a-service", TelemetrySettings()).tracer


def test_without_a_place_for_them_spans_are_not_recorded() -> None:
    with _tracer().start_as_current_span("a span", attributes={"certbus.ca": "a-ca"}) as span:
        assert not span.is_recording()


def test_a_trace_goes_on_through_what_is_not_recorded() -> None:
    with _tracer().start_as_current_span("a span", context=parent_of(_SAMPLED)):
        told = current_traceparent() or ""
    assert told.split("-")[1] == _SAMPLED.split("-")[1]
    assert told.split("-")[2] != _SAMPLED.split("-")[2]
    assert told.endswith("-01")


def test_who_wants_no_trace_recorded_is_obeyed_further_on() -> None:
    with _tracer().start_as_current_span("a span", context=parent_of(_NOT_SAMPLED)):
        assert (current_traceparent() or "").endswith("-00")


def test_a_trace_that_begins_here_is_recorded_where_it_leads() -> None:
    with _tracer().start_as_current_span("outer"):
        outer = current_traceparent() or ""
        with _tracer().start_as_current_span("inner"):
            inner = current_traceparent() or ""
    assert outer.endswith("-01")
    assert outer.split("-")[1] == inner.split("-")[1]
    assert outer.split("-")[2] != inner.split("-")[2]
