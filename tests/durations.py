"""A pytest plugin: which files took longest, and whether the whole took longer than it may.

With xdist it counts in the controlling process, which hears every report. The limit is LIMIT_S seconds of the
environment; without it none holds.
"""

import os
import time
from collections import defaultdict
from typing import Final

import pytest

__all__ = ["SlowestFiles"]

_SHOWN: Final = 10


class SlowestFiles:
    """`limit_s` of 0 is no limit."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._seconds: dict[str, float] = defaultdict(float)
        self._took_s = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.partition("::")[0]] += report.duration

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._took_s = time.monotonic() - self._began
        if self._over and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._limit_s:
            return
        slowest = sorted(self._seconds.items(), key=lambda item: item[1], reverse=True)[:_SHOWN]
        terminalreporter.section("slowest files")
        for file, seconds in slowest:
            terminalreporter.line(f"{seconds:7.1f} s  {file}")
        told = f"all of it took {self._took_s:.0f} s; the limit is {self._limit_s:.0f} s (LIMIT_S)"
        terminalreporter.line(told, red=self._over)

    @property
    def _over(self) -> bool:
        return 0 < self._limit_s < self._took_s


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SlowestFiles(limit_s=float(os.environ.get("LIMIT_S") or 0)), "slowest-files")
