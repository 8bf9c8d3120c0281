"""What holds for every test: how Hypothesis draws, and what the processes that tests start inherit."""

import os
import signal
from contextlib import nullcontext

import pytest
from _pytest.capture import CaptureManager
from hypothesis import settings

from certlocal.tools import Tell

pytest_plugins = ["tests.durations"]

# The same examples in every run: what was green stays green until somebody changes the code. Time limits of an
# example would fail on a busy machine.
settings.register_profile("ci", derandomize=True, deadline=None, database=None)
# `make fuzz`: fresh examples, many of them. Its seed is an argument of pytest.
settings.register_profile(
    "fuzz", max_examples=int(os.environ.get("EXAMPLES") or 2000), deadline=None, database=None, print_blob=True
)


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile that `--hypothesis-profile` doesn't name, and let children die of SIGINT as they do anywhere.

    Under nohup, and behind `&` in a script, SIGINT is ignored, and each child would inherit that.
    """
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("ci")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Tell:
    """Shows a line at once: a build takes minutes, and pytest would keep it until the end."""
    capture: CaptureManager | None = pytestconfig.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"\n{line}", flush=True)

    return show
