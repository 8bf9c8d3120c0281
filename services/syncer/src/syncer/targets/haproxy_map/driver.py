"""Answers to challenges as entries of a map of HAProxy: token → answer, in memory, by its runtime API."""

import asyncio
import re
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from certdelivery.haproxy_socket import HaproxyAwayError, HaproxySocket, first_line
from syncer.domain.answer import Answer
from syncer.domain.answer_place import AnswerPlace, AnswerPlaceDriver, AnswerPlaceSettings, NotShownError

__all__ = ["DRIVER", "HaproxyMap", "HaproxyMapSettings"]

_TIMEOUT_S: Final = 5.0
_FOUND: Final = re.compile(r'found=yes,.*\bkey="(?P<key>[^"]*)", value="(?P<value>[^"]*)"')
_NOT_FOUND: Final = "found=no"


def _one_word(path: Path) -> Path:
    if any(character.isspace() or character in "#;\\'\"<>" for character in str(path)):
        raise ValueError("holds a character that HAProxy's commands can't carry")
    return path


class HaproxyMapSettings(AnswerPlaceSettings):
    kind: Literal["haproxy_map"] = "haproxy_map"
    sockets: Annotated[tuple[Path, ...], Field(min_length=1)] = Field(
        description="The stats socket of each HAProxy that a CA may reach, at level admin."
    )
    map: Annotated[Path, AfterValidator(_one_word)] = Field(
        description="The map's file, spelled as in its configuration: maps are identified by it."
    )


class HaproxyMap:
    """A reload loses the entries, as the file has none of them: they are put back in the next round."""

    def __init__(self, sockets: tuple[Path, ...], map_file: Path) -> None:
        self._sockets = [HaproxySocket(path, timeout_s=_TIMEOUT_S) for path in sockets]
        self._map = map_file
        # An entry that is added twice is there twice.
        self._turn = asyncio.Lock()

    async def show(self, answer: Answer) -> None:
        async with self._turn:
            await _all([self._show(socket, answer) for socket in self._sockets])

    async def remove(self, answer: Answer) -> None:
        async with self._turn:
            await _all([self._remove(socket, answer) for socket in self._sockets])

    async def close(self) -> None:
        """Nothing is held open."""

    async def _show(self, socket: HaproxySocket, answer: Answer) -> None:
        there = await self._entry(socket, answer.token)
        if there == answer.key_authorization:
            return
        if there is not None:
            raise NotShownError(f"{self._map} has another entry for this token, and certbus didn't make it")
        await self._command(socket, f"add map {self._map} {answer.token} {answer.key_authorization}")

    async def _remove(self, socket: HaproxySocket, answer: Answer) -> None:
        if await self._entry(socket, answer.token) == answer.key_authorization:
            await self._command(socket, f"del map {self._map} {answer.token}")

    async def _entry(self, socket: HaproxySocket, token: str) -> str | None:
        reply = await self._ask(socket, f"get map {self._map} {token}")
        found = _FOUND.search(reply)
        if found is not None and found["key"] == token:
            return found["value"]
        if found is not None or _NOT_FOUND in reply:
            return None
        raise NotShownError(f"{self._map}: {first_line(reply)}")

    async def _command(self, socket: HaproxySocket, command: str) -> None:
        if reply := (await self._ask(socket, command)).strip():
            raise NotShownError(f"{self._map}: {first_line(reply)}")

    async def _ask(self, socket: HaproxySocket, command: str) -> str:
        try:
            return await socket.ask(command.encode() + b"\n")
        except HaproxyAwayError as error:
            raise NotShownError(str(error)) from error


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """The others are told, whichever one of them is away."""
    problems = await asyncio.gather(*calls, return_exceptions=True)
    for problem in problems:
        if isinstance(problem, BaseException):
            raise problem


class HaproxyMapDriver:
    kind = "haproxy_map"
    settings = HaproxyMapSettings

    def build(self, name: str, settings: HaproxyMapSettings, user_agent: str) -> AnswerPlace:  # noqa: ARG002 # the protocol's
        return HaproxyMap(settings.sockets, settings.map)


DRIVER: AnswerPlaceDriver[HaproxyMapSettings] = HaproxyMapDriver()
