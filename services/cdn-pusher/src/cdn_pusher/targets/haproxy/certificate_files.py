"""PEM files and the crt-list on disk, each replaced as a whole: a crash leaves the old or the new one.

Files that HAProxy must not load start with a dot: it skips those where a bind line names the whole directory.
"""

import os
import stat
from pathlib import Path
from typing import Final

from cdn_pusher.domain.decision import Listing
from cdn_pusher.domain.earlier_file import READ_WITH_IT, EarlierFile

__all__ = ["CertificateFiles", "replace_file"]

_SECRET: Final = 0o600
_LIST: Final = 0o644


class CertificateFiles:
    """Blocking; all paths are those that HAProxy's configuration names. OSError is left to the caller."""

    def __init__(self, *, directory: Path, crt_list: Path) -> None:
        self._directory = directory
        self._crt_list = crt_list

    def path(self, name: str) -> Path:
        return self._directory / name

    def read(self, name: str) -> bytes | None:
        return _read(self.path(name))

    def earlier(self, name: str) -> EarlierFile:
        """What a push would replace. What an interrupted one had replaced is in `.prev`: see `write`."""
        beside = [name + ending for ending in READ_WITH_IT if self.path(name + ending).exists()]
        return EarlierFile(self.read(name), tuple(beside))

    def read_previous(self, name: str) -> bytes | None:
        return _read(self._previous(name))

    def write(self, name: str, content: bytes) -> None:
        """Replace the file; what it held stays beside it as `.<name>.prev`."""
        present = self.read(name)
        if present == content:
            return
        if present is not None:
            self._keep(name)
        replace_file(self.path(name), content, mode=_SECRET)

    def _keep(self, name: str) -> None:
        """By a second name: nothing is copied, and the folder is synced with the file that comes next."""
        self._previous(name).unlink(missing_ok=True)
        self._previous(name).hardlink_to(self.path(name))

    def forget_previous(self, name: str) -> None:
        """Remove what `write` kept: a key that nobody serves any more. Also what a crash left half written."""
        for path in (self._previous(name), _new(self.path(name)), _new(self._previous(name))):
            path.unlink(missing_ok=True)

    def restore(self, name: str, content: bytes) -> None:
        """Put an earlier content back: the file itself, with its owner and mode, where it was kept."""
        previous = self._previous(name)
        if _read(previous) == content:
            previous.replace(self.path(name))
            _sync_folder(self._directory)
            return
        replace_file(self.path(name), content, mode=_SECRET)

    def remove(self, name: str) -> None:
        """Also what is kept beside it."""
        self.path(name).unlink(missing_ok=True)
        self.forget_previous(name)
        _sync_folder(self._directory)

    def listing(self, name: str) -> Listing:
        path = str(self.path(name))
        named = any(line.split()[:1] == [path] for line in self._lines())
        return Listing.LISTED if named else Listing.UNLISTED

    def enlist(self, name: str) -> None:
        """Add the file to the crt-list, once; other lines stay as they are."""
        if self.listing(name) is Listing.UNLISTED:
            self._write_list([*self._lines(), str(self.path(name))])

    def strike(self, name: str) -> None:
        path = str(self.path(name))
        self._write_list([line for line in self._lines() if line.split()[:1] != [path]])

    def _previous(self, name: str) -> Path:
        return self._directory / f".{name}.prev"

    def _lines(self) -> list[str]:
        content = _read(self._crt_list)
        return content.decode(errors="surrogateescape").splitlines() if content else []

    def _write_list(self, lines: list[str]) -> None:
        # A link is followed: the file that it points to is replaced, not the link.
        target = self._crt_list.resolve()
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _LIST
        content = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
        replace_file(target, content, mode=mode)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _new(path: Path) -> Path:
    return path.with_name(f".{path.name.removeprefix('.')}.new")


def replace_file(path: Path, content: bytes, *, mode: int = _SECRET, sync_folder: bool = True) -> None:
    """Write it beside the old one and rename it: after a crash, and for readers, it is the one or the other. Without
    `sync_folder` a crash may bring the old one back for some seconds after.
    """
    new = _new(path)
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _SECRET)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    if sync_folder:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
