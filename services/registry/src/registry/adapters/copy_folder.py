"""A folder of copies: each is a folder with a file and its manifest, which is there as a whole or not at all."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from certcore.private_files import replace_private
from certkit.database_copies import CopyError
from certkit.database_lock import InUseError
from registry.domain.copy import CopiedFile, Manifest, copy_time

__all__ = ["CopyFolder", "described", "read_manifest"]

MANIFEST: Final = "manifest.json"
_DRAFT: Final = ".making"
_PART: Final = 1024 * 1024


class CopyFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder to make a copy in; who else makes one here meanwhile is refused. What was not kept is removed.

        Raises:
            InUseError: somebody else makes one.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        draft = self._folder / _DRAFT
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUseError(f"another copy is being made in {self._folder}") from None
            # Of one that was killed.
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            os.close(descriptor)

    def keep(self, draft: Path, name: str, manifest: Manifest) -> Path:
        """Make the draft a copy of this name.

        Raises:
            CopyError: there is one.
        """
        copy = self._folder / name
        if copy.exists():
            raise CopyError(f"there is a copy {copy} already")
        replace_private(draft / MANIFEST, manifest.model_dump_json(indent=2).encode())
        draft.rename(copy)
        self._sync()
        return copy

    def names(self) -> list[str]:
        """Of what is here, copies or not."""
        return [path.name for path in self._folder.iterdir()] if self._folder.exists() else []

    def newest(self) -> datetime | None:
        """When the newest copy was made whose manifest can be read; its file isn't looked at.

        Raises:
            OSError: the folder can't be read.
        """
        for name in sorted((name for name in self.names() if copy_time(name) is not None), reverse=True):
            with suppress(OSError, ValidationError):
                return Manifest.model_validate_json((self._folder / name / MANIFEST).read_bytes()).made_at
        return None

    def remove(self, name: str) -> None:
        # First it is no copy any more.
        leaving = self._folder / f".{name}.leaving"
        (self._folder / name).rename(leaving)
        shutil.rmtree(leaving)

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_manifest(copy: Path) -> Manifest:
    """The manifest of a copy whose file is as it was written.

    Raises:
        CopyError: it is not, or there is no manifest.
    """
    try:
        manifest = Manifest.model_validate_json((copy / MANIFEST).read_bytes())
        found = described(copy / Path(manifest.file.name).name)
    except OSError as error:
        raise CopyError(f"{copy} is no whole copy: {error.filename}: {error.strerror}") from None
    except ValidationError as error:
        raise CopyError(f"{copy} is no copy: {MANIFEST} can't be read: {error.error_count()} faults") from None
    if found != manifest.file:
        raise CopyError(f"{copy / found.name} was changed: it is not what {MANIFEST} says")
    return manifest


def described(file: Path) -> CopiedFile:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while part := opened.read(_PART):
            digest.update(part)
    return CopiedFile(name=file.name, size=file.stat().st_size, sha256=digest.hexdigest())
