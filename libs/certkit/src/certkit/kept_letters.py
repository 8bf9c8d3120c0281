"""The dead letters that a bus holds, told by its streams; no letter is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import nats.errors
from faststream.nats import NatsBroker
from nats.aio.client import Client
from pydantic import BaseModel, Field, JsonValue, ValidationError

from certcore import subjects
from certcore.errors import TransientError

__all__ = ["KeptLetters", "kept_letters"]

_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class KeptLetters:
    """Those of a place: the durables that set them aside, and when the newest came."""

    place: str
    durables: tuple[str, ...]
    newest: datetime


class _Refusal(BaseModel):
    description: str = ""


class _Answer(BaseModel):
    error: _Refusal | None = None


class _Names(_Answer):
    total: int = 0
    streams: list[str] | None = None


class _State(BaseModel):
    messages: int = 0
    subjects: dict[str, int] | None = None
    last_ts: datetime | None = None


class _Info(_Answer):
    state: _State = Field(default_factory=_State)


AnswerT = TypeVar("AnswerT", bound=_Answer)


async def kept_letters(broker: NatsBroker) -> list[KeptLetters]:
    """Places without letters are left out. The identity needs the rights to name streams and to read their state.

    Raises:
        TransientError: the broker doesn't tell.
    """
    client = await broker.connect()
    found = []
    for name in await _names(client):
        state = (await _ask(client, f"STREAM.INFO.{name}", {"subjects_filter": ">"}, _Info)).state
        if state.messages and state.last_ts is not None:
            durables = tuple(sorted(subject.split(".", 3)[3] for subject in state.subjects or {}))
            found.append(KeptLetters(name.removeprefix(subjects.DLQ), durables, state.last_ts))
    return found


async def _names(client: Client) -> list[str]:
    found: list[str] = []
    while True:
        page = await _ask(client, "STREAM.NAMES", {"offset": len(found), "subject": "certs.dlq.>"}, _Names)
        found += page.streams or []
        if not page.streams or len(found) >= page.total:
            return found


async def _ask(client: Client, call: str, body: Mapping[str, JsonValue], kind: type[AnswerT]) -> AnswerT:
    try:
        reply = await client.request(f"$JS.API.{call}", json.dumps(body).encode(), timeout=_TIMEOUT_S)
        answer = kind.model_validate_json(reply.data)
    except (nats.errors.Error, TimeoutError) as error:
        raise TransientError(f"{call} wasn't answered: {type(error).__name__}") from error
    except ValidationError as error:
        raise TransientError(f"{call} was answered with what can't be read") from error
    if answer.error is not None:
        raise TransientError(f"{call} was refused: {answer.error.description}")
    return answer
