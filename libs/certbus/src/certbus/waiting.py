"""Waiting for a revision to be live and well, as `--wait` does."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from certbus.client import Registry
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.output import say
from certbus.progress import outcome, progress_line, when_time_is_over
from certcore.api import CertificateView

__all__ = ["wait_until_live", "watch_roll_out"]

_FIRST_PAUSE_S: Final = 0.3
_LONGEST_PAUSE_S: Final = 2.0


def wait_until_live(
    look: Callable[[], CertificateView],
    *,
    revision: int,
    timeout: timedelta,
    tell: Callable[[str], None],
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ExitCode:
    """Look again and again until the revision is live with health ok, degraded, has failed, or the time is over.

    A registry that is away for a while is waited for as well: the roll-out doesn't depend on who watches it.

    Raises:
        CommandError: the registry refuses to show the certificate, or was away when the time was over.
    """
    ends = now_s() + timeout.total_seconds()
    pause, told = _FIRST_PAUSE_S, ""
    while True:
        away: CommandError | None = None
        try:
            view = look()
        except CommandError as error:
            if error.exit_code is not ExitCode.UNREACHABLE:
                raise
            away, line = error, f"{error.message}: trying again"
        else:
            line = progress_line(view, revision=revision)
            if (ended := outcome(view, revision=revision)) is not None:
                tell(line)
                return ended
        if line != told:
            tell(line)
            told, pause = line, _FIRST_PAUSE_S
        if (left := ends - now_s()) <= 0:
            if away:
                raise away
            return when_time_is_over(view, revision=revision)
        sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def watch_roll_out(registry: Registry, name: str, *, revision: int, timeout: timedelta) -> ExitCode:
    """Wait for a certificate of the registry, telling on stderr how far it is.

    Raises:
        CommandError: as wait_until_live.
    """
    try:
        return wait_until_live(lambda: registry.certificate(name), revision=revision, timeout=timeout, tell=say)
    except KeyboardInterrupt:
        say(f"no longer watching; the roll-out goes on: certbus cert show {name}")
        raise
