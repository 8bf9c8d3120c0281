import json
import subprocess
import sys

from certkit.telemetry import redact


def test_a_private_key_never_reaches_a_log_line() -> None:
    event = {
        "event": "failed",
        "detail": "x -----BEGIN PRIVATE KEY----- y",
        "nested": {"a": ["BEGIN EC PRIVATE KEY"]},
    }
    redacted = redact(None, "info", event)
    assert redacted == {"event": "failed", "detail": "[redacted: private key]", "nested": "[redacted: private key]"}


def test_everything_else_is_left_as_it_is() -> None:
    event = {"event": "certificate_live", "revision": 3}
    assert redact(None, "info", dict(event)) == event


_FAILING = """
import logging, structlog
from certkit.settings import TelemetrySettings
from certkit.telemetry import configure_telemetry

configure_telemetry("test", TelemetrySettings())

def work(token):
    raise ValueError("broke off")

for log in (structlog.get_logger().exception, logging.getLogger("library").exception):
    try:
        work("kept-" + "secret")
    except ValueError:
        log("work_failed")
"""


def test_a_traceback_shows_where_it_broke_and_never_what_lay_in_the_variables() -> None:
    told = subprocess.run([sys.executable, "-c", _FAILING], capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["exception"][0]["exc_value"] for line in lines] == ["broke off", "broke off"]
    assert [line["exception"][0]["frames"][-1]["name"] for line in lines] == ["work", "work"]
    assert "kept-secret" not in told


_WRITING = """
import json, logging, structlog, sys
from certkit.settings import TelemetrySettings
from certkit.telemetry import configure_telemetry

class Output:
    parts = []
    def write(self, part):
        self.parts.append(part)
    def flush(self):
        pass

sys.stdout = Output()
configure_telemetry("test", TelemetrySettings())
structlog.get_logger().info("one")
logging.getLogger("library").warning("two")
json.dump(Output.parts, sys.__stdout__)
"""


def test_a_line_is_written_as_a_whole_so_that_a_killed_process_leaves_no_half_one() -> None:
    told = subprocess.run([sys.executable, "-c", _WRITING], capture_output=True, text=True, check=True).stdout
    parts = json.loads(told)
    assert [part.endswith("}\n") for part in parts] == [True, True]
