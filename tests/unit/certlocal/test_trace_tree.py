import json
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link

from certlocal.trace_tree import read_trace


def test_a_span_of_another_trace_that_links_to_it_is_no_part_of_a_trace(tmp_path: Path) -> None:
    tracer = TracerProvider(resource=Resource({"service.name": "registry"}), shutdown_on_exit=False).get_tracer(
        "test"
    )
    request = tracer.start_span("POST /v1/requests")
    request.end()
    context = request.get_span_context()
    batch = tracer.start_span("outbox publish", links=[Link(context)])
    batch.end()
    lines = [json.dumps(json.loads(span.to_json())) for span in (request, batch)]  # type: ignore[attr-defined]
    (tmp_path / "registry.jsonl").write_text("\n".join(lines) + "\n")
    spans = read_trace(tmp_path, format(context.trace_id, "032x"))
    assert [span.name for span in spans] == ["POST /v1/requests"]
