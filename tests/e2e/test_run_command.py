"""`certbus run --once` as a newcomer runs it: a fresh folder, then the same folder again."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


def _run(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "certbus", "run", "--once", "--home", str(home), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    print(f"{' '.join(options) or 'plain'}: {time.monotonic() - began:.1f} s\n{done.stdout}")
    return done


def _children_of(home: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            if str(home).encode() in line:
                found.append(process.name)
    return found


def test_the_story_holds_in_two_clusters_and_again_in_the_same_folder_without_knot(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = _run(home, "--kubernetes")
    assert first.returncode == 0, first.stdout
    assert "the Secrets of both clusters hold one and the same serial" in first.stdout
    assert "DNS: knot by RFC 2136" in first.stdout
    assert "✗" not in first.stdout
    assert _children_of(home) == []
    second = _run(home, "--no-knot")
    assert second.returncode == 0, second.stdout
    assert "is here from an earlier run" in second.stdout
    assert "DNS: the CA's test server; install knot for a real one" in second.stdout
    assert _children_of(home) == []
