import json
import os
import resource
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, StatusCode
from structlog.testing import capture_logs

from certkit.trace_file import TraceFile
from certlocal.trace_tree import read_trace


class Traced:
    """A tracer that writes into a file."""

    def __init__(self, path: Path, *, max_bytes: int = 1_000_000) -> None:
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(TraceFile(path, max_bytes=max_bytes)))
        self._tracer = self._provider.get_tracer("test")

    def span(self, name: str) -> str:
        """A span that has ended; its trace id."""
        with self._tracer.start_as_current_span(name) as span:
            return format(span.get_span_context().trace_id, "032x")

    def close(self) -> None:
        self._provider.shutdown()


def names(path: Path) -> list[str]:
    return [json.loads(line)["name"] for line in path.read_text().splitlines()]


def test_each_span_is_a_line_as_soon_as_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "traces.jsonl"
    traced = Traced(path)
    traced.span("one")
    assert names(path) == ["one"]
    traced.span("two")
    assert names(path) == ["one", "two"]
    traced.close()


def test_the_next_process_writes_on(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    for name in ("one", "two"):
        traced = Traced(path)
        traced.span(name)
        traced.close()
    assert names(path) == ["one", "two"]


def test_a_file_at_its_size_is_put_aside_and_only_the_newest_of_these_is_kept(tmp_path: Path) -> None:
    path, older = tmp_path / "traces.jsonl", tmp_path / "traces.1.jsonl"
    traced = Traced(path, max_bytes=4000)
    for number in range(100):
        traced.span(f"span {number}")
    traced.close()
    assert sorted(tmp_path.iterdir()) == [older, path]
    assert max(path.stat().st_size, older.stat().st_size) <= 4000
    kept = [*names(older), *names(path)]
    assert kept == [f"span {number}" for number in range(100 - len(kept), 100)]


def test_a_trace_is_read_from_both_files(tmp_path: Path) -> None:
    traced = Traced(tmp_path / "traces.jsonl", max_bytes=1000)
    ids = [traced.span(name) for name in ("one", "two")]
    traced.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert [span.name for trace in ids for span in read_trace(tmp_path, trace)] == ["one", "two"]


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    traced = Traced(path)
    before = traced.span("before")
    traced.close()
    with path.open("a") as file:
        file.write('{"name": "half", "context": {"trace_id": "' + before + '"}')
    traced = Traced(path)
    after = traced.span("after")
    traced.close()
    assert [span.name for span in read_trace(tmp_path, before)] == ["before"]
    assert [span.name for span in read_trace(tmp_path, after)] == ["after"]


def test_a_line_that_had_no_room_as_a_whole_is_cut_off_again(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    traced = Traced(path)
    traced.span("one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        traced.span("two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    traced.span("three")
    assert names(path) == ["one", "three"]
    traced.close()


def test_a_full_disk_is_told_once_and_stops_nothing() -> None:
    traced = Traced(Path("/dev/full"))
    with capture_logs() as logs:
        traced.span("lost")
        traced.span("lost")
        traced.close()
    assert [(entry["event"], entry["error"]) for entry in logs] == [("traces_not_written", "No space left on device")]


def test_what_can_not_be_written_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where a folder should be")
    traced = Traced(folder / "traces.jsonl")
    with capture_logs() as logs:
        traced.span("lost")
        traced.span("lost")
        assert [entry["event"] for entry in logs] == ["traces_not_written"]
        folder.unlink()
        traced.span("written")
    traced.close()
    assert names(folder / "traces.jsonl") == ["written"]
    assert os.listdir(folder) == ["traces.jsonl"]  # noqa: PTH208 # names only


def test_a_line_is_the_span_as_the_library_writes_it(tmp_path: Path) -> None:
    spans: list[ReadableSpan] = []

    class Kept(SpanExporter):
        def export(self, ended: Sequence[ReadableSpan]) -> SpanExportResult:
            spans.extend(ended)
            return SpanExportResult.SUCCESS

    provider = TracerProvider(resource=Resource.create({"service.name": "ü"}), shutdown_on_exit=False)
    for exporter in (TraceFile(tmp_path / "traces.jsonl", max_bytes=1_000_000), Kept()):
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("outer", attributes={"a": 1, "b": (True, False), "c": 0.1, "d": "é"}) as outer:
        outer.add_event("seen", {"x": "y"})
        with tracer.start_as_current_span("inner", links=[Link(outer.get_span_context(), {"why": "asked"})]) as inner:
            inner.set_status(StatusCode.ERROR, "broke")
    provider.shutdown()
    lines = (tmp_path / "traces.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(span.to_json()) for span in spans]
    assert len(lines) == 2


def test_a_file_that_can_t_be_put_aside_doesn_t_grow(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    in_the_way = tmp_path / "traces.1.jsonl" / "something"
    in_the_way.mkdir(parents=True)
    traced = Traced(path, max_bytes=4000)
    for _ in range(100):
        traced.span("span")
    assert path.stat().st_size <= 4000
    in_the_way.rmdir()
    in_the_way.parent.rmdir()
    traced.span("last")
    traced.close()
    assert names(path) == ["last"]
