"""Holds a process to a part of a core, by a group of its own of the kernel's CPU controller."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["CannotHoldError", "held"]

_V1: Final = Path("/sys/fs/cgroup/cpu")
_V2: Final = Path("/sys/fs/cgroup")
_PERIOD_US: Final = 20_000
"""Short, so that what is held does a little often."""


class CannotHoldError(Exception):
    """It takes root and a CPU controller."""


@contextmanager
def held(pid: int, *, cores: float) -> Iterator[None]:
    """All threads of the process, until this is left.

    Raises:
        CannotHoldError: this machine doesn't let us.
    """
    top = _V1 if (_V1 / "cgroup.procs").exists() else _V2
    group, quota = top / f"certbus-held-{pid}", round(cores * _PERIOD_US)
    try:
        group.mkdir()
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        raise CannotHoldError(f"{group}: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            (top / "cgroup.procs").write_text(str(pid))
        with suppress(OSError):
            group.rmdir()
