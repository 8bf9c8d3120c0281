"""The plugin, in runs of pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import time

def test_quick():
    pass

def test_slow():
    time.sleep(0.2)
"""


def _run(folder: Path, *options: str, limit_s: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_one.py").write_text(TESTS)
    (folder / "test_two.py").write_text("def test_it():\n    pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    words = ["-m", "pytest", "-p", "tests.durations", "-p", "no:cacheprovider", *options, "--rootdir", str(folder)]
    return subprocess.run(
        [sys.executable, *words, "-c", str(folder / "pytest.ini"), str(folder)],
        env={"PATH": "/usr/bin:/bin", "LIMIT_S": limit_s},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist", "loadfile")])
def test_a_run_within_its_limit_shows_the_slowest_file_first(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = _run(tmp_path, *options, limit_s="900")
    assert done.returncode == 0, done.stdout
    shown = [line.split() for line in done.stdout.partition("slowest files")[2].splitlines() if " s  " in line]
    assert [line[-1] for line in shown] == ["test_one.py", "test_two.py"]
    assert float(shown[0][0]) >= 0.2
    assert "the limit is 900 s" in done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_run_above_its_limit_fails_though_every_test_passed(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = _run(tmp_path, *options, limit_s="0.1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "3 passed" in done.stdout


def test_without_a_limit_nothing_is_shown(tmp_path: Path) -> None:
    done = _run(tmp_path, limit_s="")
    assert (done.returncode, "slowest files" in done.stdout) == (0, False)
