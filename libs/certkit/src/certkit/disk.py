"""Whether there is room where a service keeps its state."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from certkit import metric_names
from certkit.metric_names import gauge
from certkit.readiness import Finding

__all__ = ["Disks"]

_MIB: Final = 1024 * 1024
_LEAST_BYTES: Final = 64 * _MIB
_LEAST_SHARE: Final = 0.1
"""Of a small disk, as a tmpfs is."""


class Disks:
    """The disks of folders. Too little is less than 64 MiB and less than a tenth of the disk."""

    def __init__(self, folders: Iterable[Path], *, metrics: CollectorRegistry) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._free = gauge(metric_names.DISK_FREE, metrics)
        self._short = gauge(metric_names.DISK_SHORT, metrics)

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`: a system call for each disk, no reading."""
        return [self._finding(folder) for folder in self._folders]

    def _finding(self, folder: Path) -> Finding:
        check = f"disk {folder}"
        try:
            disk = shutil.disk_usage(folder)
        except OSError as error:
            self._short.labels(folder).set(1)
            return Finding(check=check, problem=f"can't be looked at: {error.strerror}")
        free, least = disk.free // _MIB, min(_LEAST_BYTES, disk.total * _LEAST_SHARE)
        short = disk.free < least
        self._free.labels(folder).set(disk.free)
        self._short.labels(folder).set(short)
        if short:
            return Finding(check=check, problem=f"has only {free} MiB free, and needs {least / _MIB:.0f}")
        return Finding(check=check, detail=f"{free} MiB free")
