"""One certificate's folder in a store: revisions side by side, and the link `current` to one of them.

```
<store>/<certificate>/current -> revision-7
                      revision-6/{tls.crt,tls.key,tls.pem}      kept for a rollback
                      revision-7/{tls.crt,tls.key,tls.pem}
                      revision-7.generation                     for which order the folder was last written
                      .reloaded                                 the folder that the reload command was run for
```

Every path is opened from its parent folder and never through a link, so that nothing outside of the store can be
written. A reader that opens files through `current` gets one whole pair: folder and generation are complete and
synced to the disk before one rename points the link to the folder. A folder without a generation was written before
there were any, and is compared by the number of its revision.
"""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

__all__ = ["CertificateFolder", "ForeignFileError", "StoredPair", "StoredPlacement"]

_CURRENT: Final = "current"
_RELOADED: Final = ".reloaded"
_UNFINISHED: Final = ".new-"
_GENERATION: Final = ".generation"
_PLACEMENT: Final = re.compile(r"^([A-Za-z0-9_-]{1,64}) (\d{1,19})\n$", re.ASCII)
_REVISION: Final = re.compile(r"^revision-(\d{1,9})(-repaired)?$")
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_BYTES: Final = 1024 * 1024


class ForeignFileError(Exception):
    """A file or link that isn't ours is at the path of one of ours; it is never overwritten."""


@dataclass(frozen=True)
class StoredPair:
    """What `current` points to. `private` is False where others than the owner may read it."""

    folder: str
    revision: int
    private: bool
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    combined_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class StoredPlacement:
    """The certificate whose revision a folder holds, and the generation in which it was ordered."""

    certificate_id: str
    generation: int


class CertificateFolder:
    """Holds the folder open: use it as a context manager. Blocking: use it in a thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def opened(cls, store: Path, name: str, *, create: bool) -> Iterator[Self | None]:
        """The folder of a certificate; None where there is none and `create` is false.

        Raises:
            ForeignFileError: a link or a file is at its path.
            OSError: the store can't be used.
        """
        descriptor = _open_certificate(store, name, create=create)
        if descriptor is None:
            yield None
            return
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def current_name(self) -> str | None:
        """The folder that `current` points to.

        Raises:
            ForeignFileError: it is not a link to one of our folders.
        """
        try:
            name = os.readlink(_CURRENT, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError:
            raise ForeignFileError(f"{_CURRENT} is not a link") from None
        if not _REVISION.match(name):
            raise ForeignFileError(f"{_CURRENT} leads out of the certificate's own revisions")
        return name

    def pair(self, name: str) -> StoredPair | None:
        """The files of a revision's folder; None where they are incomplete."""
        try:
            with _inner(self._descriptor, name) as folder:
                files = {file: _read(folder, file) for file in ("tls.crt", "tls.key", "tls.pem")}
                private = all(is_private for _, is_private in files.values()) and _is_private(os.fstat(folder))
        except OSError:
            return None
        return StoredPair(
            folder=name,
            revision=revision_of(name),
            private=private,
            chain_pem=files["tls.crt"][0],
            key_pem=files["tls.key"][0],
            combined_pem=files["tls.pem"][0],
        )

    def write(self, revision: int, files: Mapping[str, bytes]) -> str:
        """Write a whole folder to the disk, where no reader looks yet, and return its name.

        Raises:
            ForeignFileError: as `current_name`.
        """
        self._remove(lambda name: name.startswith(_UNFINISHED))
        name = f"revision-{revision}"
        if name == self.current_name():
            # A folder in use can't be replaced by one rename: the repaired copy gets another name.
            name = f"{name}-repaired"
        unfinished = f"{_UNFINISHED}{secrets.token_hex(8)}"
        os.mkdir(unfinished, 0o700, dir_fd=self._descriptor)
        with _inner(self._descriptor, unfinished) as folder:
            for file, content in files.items():
                _write(folder, file, content)
            os.fsync(folder)
        self._remove(lambda other: other == name)
        os.rename(unfinished, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)
        return name

    def turn(self, name: str | None) -> None:
        """Point `current` to another folder, or remove it.

        Raises:
            ForeignFileError: as `current_name`.
        """
        self.current_name()
        if name is None:
            with suppress(FileNotFoundError):
                os.unlink(_CURRENT, dir_fd=self._descriptor)
        else:
            link = f"{_UNFINISHED}{secrets.token_hex(8)}"
            os.symlink(name, link, dir_fd=self._descriptor)
            os.rename(link, _CURRENT, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)

    def placement(self, name: str) -> StoredPlacement | None:
        """The order for which a folder was last written; None if that was before there were generations."""
        with suppress(OSError):
            content = _read(self._descriptor, f"{name}{_GENERATION}")[0].decode(errors="replace")
            if match := _PLACEMENT.match(content):
                return StoredPlacement(match[1], int(match[2]))
        return None

    def set_placement(self, name: str, stored: StoredPlacement) -> None:
        """Call it before the link is pointed to the folder, so that the generation is there when the folder is."""
        self._replace(f"{name}{_GENERATION}", f"{stored.certificate_id} {stored.generation}\n".encode())

    def previous(self, name: str) -> str | None:
        """The folder that was written for the highest generation before this one's."""
        own = self._order(name)
        older = [other for other in self._names() if _REVISION.match(other) and self._order(other) < own]
        return max(older, key=lambda other: (self._order(other), other), default=None)

    def tidy(self, current: str) -> None:
        """Remove every revision but this one and the one before it, and what a crash left unfinished."""
        kept = {current, self.previous(current)}
        self._remove(lambda name: _is_ours(name) and name.removesuffix(_GENERATION) not in kept)

    def clear(self) -> None:
        """Remove all that is ours, the link first; what is not ours stays.

        Raises:
            ForeignFileError: as `current_name`.
        """
        self.turn(None)
        self._remove(lambda name: _is_ours(name) or name == _RELOADED)
        os.fsync(self._descriptor)

    def reloaded(self) -> str | None:
        """The folder for which the reload command was last run with success."""
        with suppress(OSError):
            return _read(self._descriptor, _RELOADED)[0].decode(errors="replace")
        return None

    def set_reloaded(self, name: str) -> None:
        self._replace(_RELOADED, name.encode())

    def _replace(self, name: str, content: bytes) -> None:
        unfinished = f"{_UNFINISHED}{secrets.token_hex(8)}"
        _write(self._descriptor, unfinished, content)
        os.rename(unfinished, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)

    def _order(self, name: str) -> int:
        stored = self.placement(name)
        return stored.generation if stored else revision_of(name)

    def _names(self) -> list[str]:
        return os.listdir(self._descriptor)  # noqa: PTH208 # a path has no way to list an open folder

    def _remove(self, chosen: Callable[[str], bool]) -> None:
        for name in self._names():
            if not chosen(name):
                continue
            if stat.S_ISDIR(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=self._descriptor)
            else:
                os.unlink(name, dir_fd=self._descriptor)


def revision_of(name: str) -> int:
    match = _REVISION.match(name)
    if match is None:
        raise ValueError(f"{name} is no folder of a revision")
    return int(match[1])


def _is_ours(name: str) -> bool:
    return name.startswith(_UNFINISHED) or _REVISION.match(name.removesuffix(_GENERATION)) is not None


def _open_certificate(store: Path, name: str, *, create: bool) -> int | None:
    if create:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        # The path of the store itself may contain links: it comes from the settings.
        parent = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
                os.fsync(parent)
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise ForeignFileError(f"{store / name} is not a folder") from None
    finally:
        os.close(parent)


@contextmanager
def _inner(parent: int, name: str) -> Iterator[int]:
    descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(folder: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, _NEW_FLAGS, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _read(folder: int, name: str) -> tuple[bytes, bool]:
    descriptor = os.open(name, _READ_FLAGS, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MAX_BYTES), _is_private(os.fstat(descriptor))


def _is_private(status: os.stat_result) -> bool:
    return not status.st_mode & 0o077
