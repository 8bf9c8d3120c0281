"""The places outside of the database where its position is anchored: a stream, and a file in the state folder."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import structlog
from pydantic import ValidationError

from certcore import subjects
from certcore.events import RegistryAnchored
from certcore.private_files import replace_private
from certkit.bus import EventPublisher
from certkit.stream_messages import StoredMessage, StreamMessages
from registry.domain.anchor import ANCHOR_FILE

__all__ = ["AnchorFile", "AnchorHistory", "AnchorPlace", "AnchorStream"]

log = structlog.get_logger()


class AnchorPlace(Protocol):
    """One that was lost or rewound has no anchor, or a lower one: the others count."""

    async def found(self, database_id: str) -> list[RegistryAnchored]:
        """The last anchor of this database, and the last one of all.

        Raises:
            TransientError: the place can't be read now.
        """

    async def keep(self, anchor: RegistryAnchored) -> None:
        """Add an anchor.

        Raises:
            TransientError: it is not known to be stored.
            OSError: likewise.
        """


class AnchorHistory(Protocol):
    """`name` is what people call the place."""

    name: str

    async def until_now(self, database_id: str) -> AsyncIterator[RegistryAnchored]:
        """The anchors of this database that are kept when this is called, oldest first.

        Raises:
            TransientError: the place can't be read now; also while they are read.
            OSError: likewise.
        """
        ...


class AnchorStream:
    name = f"stream {subjects.ANCHOR}"

    def __init__(self, *, publisher: EventPublisher, messages: StreamMessages) -> None:
        self._publisher = publisher
        self._messages = messages

    async def found(self, database_id: str) -> list[RegistryAnchored]:
        last = [
            await self._messages.last(subjects.ANCHOR, subject)
            for subject in (subjects.anchor(database_id), subjects.ANY_ANCHOR)
        ]
        return [anchor for message in last if message and (anchor := _read(message.body, _where(message)))]

    async def until_now(self, database_id: str) -> AsyncIterator[RegistryAnchored]:
        subject = subjects.anchor(database_id)
        last = await self._messages.last(subjects.ANCHOR, subject)
        return self._history(subject, last.sequence if last is not None else 0)

    async def _history(self, subject: str, last: int) -> AsyncIterator[RegistryAnchored]:
        if last == 0:
            return
        async for message in self._messages.all(subjects.ANCHOR, subject):
            if message.sequence > last:
                return
            if (anchor := _read(message.body, _where(message))) is not None:
                yield anchor

    async def keep(self, anchor: RegistryAnchored) -> None:
        await self._publisher.publish(
            anchor,
            subject=subjects.anchor(anchor.database_id),
            stream=subjects.ANCHOR,
            about=anchor.database_id,
        )


class AnchorFile:
    """Replaced as a whole; readable by its owner only."""

    name = "anchor file"

    def __init__(self, folder: Path) -> None:
        self._path = folder / ANCHOR_FILE

    async def found(self, database_id: str) -> list[RegistryAnchored]:  # noqa: ARG002 # the protocol's
        body = await asyncio.to_thread(self._content)
        anchor = _read(body, str(self._path)) if body is not None else None
        return [anchor] if anchor is not None else []

    async def until_now(self, database_id: str) -> AsyncIterator[RegistryAnchored]:
        return _each([anchor for anchor in await self.found(database_id) if anchor.database_id == database_id])

    async def keep(self, anchor: RegistryAnchored) -> None:
        await asyncio.to_thread(replace_private, self._path, anchor.model_dump_json().encode())

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None


async def _each(anchors: list[RegistryAnchored]) -> AsyncIterator[RegistryAnchored]:
    for anchor in anchors:
        yield anchor


def _read(body: bytes, where: str) -> RegistryAnchored | None:
    try:
        return RegistryAnchored.model_validate_json(body)
    except ValidationError as error:
        # The other places count.
        log.warning("anchor_unreadable", place=where, faults=error.error_count())
        return None


def _where(message: StoredMessage) -> str:
    return f"{subjects.ANCHOR} {message.sequence}"
