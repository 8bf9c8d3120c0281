"""Small disks of their own for the state of single services, which fill up and are freed again.

They are tmpfs, mounted where only this process and its children see them: the kernel takes them back at the end of
the last of these, however that comes. Mounting needs root.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["MIB", "SmallDisk", "mounted", "private_mounts"]

MIB: Final = 1024 * 1024
_CLONE_NEWNS: Final = 0x00020000  # linux/sched.h
_MS_REMOUNT: Final = 0x20  # linux/mount.h
_MS_REC_PRIVATE: Final = 0x4000 | 0x40000
_BALLAST: Final = "filled-by-somebody-else"

_libc = ctypes.CDLL(None, use_errno=True)


def private_mounts() -> None:
    """From now on, what this thread and those that it starts mount is seen by them and their children alone."""
    _check(_libc.unshare(_CLONE_NEWNS), "a mount namespace of its own")
    _check(_libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None), "private mounts")


class SmallDisk:
    """A mounted tmpfs. Blocking, but quick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def used(self) -> int:
        state = os.statvfs(self.folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def size(self) -> int:
        state = os.statvfs(self.folder)
        return state.f_blocks * state.f_frsize

    def resize(self, size: int) -> None:
        _mount(self.folder, size, _MS_REMOUNT)

    def fill(self) -> None:
        """Take all of its room."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            for piece in (MIB, 4096, 1):
                block = bytes(piece)
                while True:
                    try:
                        if ballast.write(block) < piece:
                            break
                    except OSError:
                        break

    def free(self) -> None:
        """Give it back."""
        (self.folder / _BALLAST).unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path, *, mib: int = 24) -> Iterator[SmallDisk]:
    """A tmpfs over the folder, with what lies there copied onto it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder.with_name(f".{folder.name}-before")
    shutil.copytree(folder, kept, symlinks=True)
    _mount(folder, mib * MIB, 0)
    try:
        shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(kept)
        yield SmallDisk(folder)
    finally:
        # Detached: who still has a file open there keeps it.
        _libc.umount2(str(folder).encode(), 2)


def _mount(folder: Path, size: int, flags: int) -> None:
    options = f"size={size},mode=700".encode()
    _check(_libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", flags, options), f"a tmpfs at {folder}")


def _check(answer: int, what: str) -> None:
    if answer != 0:
        raise PermissionError(f"{what}: {os.strerror(ctypes.get_errno())}; small disks need root on Linux")
