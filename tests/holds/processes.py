"""What the kernel tells of a process, and how to stop and continue one."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certlocal.process import ChildProcess
from certlocal.system import LocalSystem

__all__ = ["Usage", "cpu_s", "frozen", "of_system", "usage"]

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    resident_mib: float
    descriptors: int


def of_system(system: LocalSystem) -> dict[str, ChildProcess]:
    """The processes that do the work, by name."""
    services = {name: service.process for name, service in system.services.items()}
    return {**services, "broker": system.nats.process, "pebble": system.pebble.process}


def cpu_s(processes: Mapping[str, ChildProcess]) -> dict[str, float]:
    """CPU seconds of each since its start, its children's too."""
    found = {}
    for name, process in processes.items():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        found[name] = sum(map(int, fields[11:15])) * _TICK_S
    return found


def usage(process: ChildProcess) -> Usage:
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return Usage(resident / 1024, sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir()))


@contextmanager
def frozen(process: ChildProcess) -> Iterator[None]:
    """SIGSTOP for as long as the block runs, then SIGCONT."""
    pid = process.pid
    assert pid is not None, f"{process.name} was never started"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
