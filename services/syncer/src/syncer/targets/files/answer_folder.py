"""Answers to challenges as files in a folder that a web server serves as /.well-known/acme-challenge."""

import asyncio
import os
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from syncer.domain.answer import Answer
from syncer.domain.answer_place import AnswerPlace, AnswerPlaceDriver, AnswerPlaceSettings, NotShownError

__all__ = ["DRIVER", "AnswerFolder", "AnswerFolderSettings"]

_LARGEST: Final = 1024
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class AnswerFolderSettings(AnswerPlaceSettings):
    kind: Literal["file"] = "file"
    folder: Path = Field(description="What the web server serves as /.well-known/acme-challenge; it must be there.")


class AnswerFolder:
    """A file a token, readable by everybody."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def show(self, answer: Answer) -> None:
        await asyncio.to_thread(self._show, answer)

    async def remove(self, answer: Answer) -> None:
        await asyncio.to_thread(self._remove, answer)

    async def close(self) -> None:
        """Nothing is held open."""

    def _show(self, answer: Answer) -> None:
        file, new = self._files(answer)
        try:
            there = _read(file)
            if there == answer.key_authorization:
                return
            if there is not None:
                raise NotShownError(f"{file} is there already, and certbus didn't write it")
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, _NEW, 0o644), "w") as opened:
                opened.write(answer.key_authorization)
            # Whoever runs the web server has to read it, whatever this process's umask is.
            new.chmod(0o644)
            new.replace(file)
        except OSError as error:
            raise NotShownError(f"{file}: {error.strerror}") from error

    def _remove(self, answer: Answer) -> None:
        file, new = self._files(answer)
        try:
            new.unlink(missing_ok=True)
            if _read(file) == answer.key_authorization:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise NotShownError(f"{file}: {error.strerror}") from error

    def _files(self, answer: Answer) -> tuple[Path, Path]:
        return self._folder / answer.token, self._folder / f".{answer.token}.new"


def _read(file: Path) -> str | None:
    """What is there under a name; None where nothing is. No link is followed: it would be somebody else's."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(_LARGEST).decode(errors="replace")


class AnswerFolderDriver:
    kind = "file"
    settings = AnswerFolderSettings

    def build(self, name: str, settings: AnswerFolderSettings, user_agent: str) -> AnswerPlace:  # noqa: ARG002 # the protocol's
        return AnswerFolder(settings.folder)


DRIVER: AnswerPlaceDriver[AnswerFolderSettings] = AnswerFolderDriver()
