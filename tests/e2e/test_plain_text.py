"""What somebody reads who listens on the wire while the story is played."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from certlocal.haproxy_server import haproxy_program
from certlocal.tools import PEBBLE, PEBBLE_CHALLTESTSRV, Toolbox
from tests.e2e.captured_story import Report
from tests.patience import HANG_S

pytestmark = pytest.mark.e2e


def _namespace() -> list[str]:
    """The command that gives a program a network of its own, where it may capture."""
    unshare = shutil.which("unshare")
    assert unshare is not None, "this needs unshare (util-linux)"
    command = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--map-root-user", "--net"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, f"this needs root, or user namespaces for everybody: {tried.stderr}"
    return command


def test_a_capture_of_the_story_holds_no_token_no_bundle_and_no_event(tmp_path: Path) -> None:
    # What isn't here yet comes from outside, which the namespace can't reach.
    toolbox = Toolbox(tell=print)
    for tool in (PEBBLE, PEBBLE_CHALLTESTSRV):
        toolbox.find(tool)
    haproxy_program()
    written = tmp_path / "report.json"
    program = [sys.executable, "-m", "tests.e2e.captured_story", str(tmp_path / "home"), str(written)]
    ended = subprocess.run([*_namespace(), *program], capture_output=True, text=True, timeout=3 * HANG_S, check=False)
    assert ended.returncode == 0, ended.stderr
    report = Report.model_validate_json(written.read_bytes())
    print(f"{report.captured_bytes} bytes captured, {report.needles} looked for, at {sorted(report.reached)}")

    assert report.dropped == 0
    assert all(report.needles.values()), "there was nothing to look for"
    assert report.found == ()
    assert {*report.not_tls} <= {"knot"}, "each connection begins with a TLS handshake, but for DNS"
    assert {"nats", "nats-monitor", "registry", "issuer", "monitor", "site1-syncer", "site1-pusher"} <= {
        *report.reached
    }
    # The control: one of each was sent in plain text, and is read.
    assert {*report.planted} == {*report.needles}
