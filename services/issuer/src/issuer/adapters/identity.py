"""Who this process is in leases: the same after a crash, never the same as another live process."""

import fcntl
import os
import uuid
from pathlib import Path
from typing import Self

__all__ = ["WorkerIdentity"]


class WorkerIdentity:
    """Held by a lock on a file of the state folder, which the kernel drops with the process.

    A process that gets the lock takes up the leases of its predecessor at once; a second one on the same folder
    is somebody new, and waits for leases to run out.
    """

    def __init__(self, name: str, descriptor: int | None) -> None:
        self.name = name
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path) -> Self:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "worker", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return cls(str(uuid.uuid4()), None)
        name = os.read(descriptor, 64).decode(errors="replace")
        if len(name) != 36:
            name = str(uuid.uuid4())
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, name.encode(), 0)
            os.fsync(descriptor)
        return cls(name, descriptor)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
