"""The dead letters that a bus holds, told by its streams; no letter is read."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import nats.errors
from faststream.nats import NatsBroker
from nats.aio.client import Client

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


async def kept_letters(broker: NatsBroker) -> list[KeptLetters]:
    """Places without letters are left out. The identity needs the rights to name streams and to read their state.

    Raises:
        TransientError: the broker doesn't tell.
    """
    client = await broker.connect()
    found = []
    for name in await _names(client):
        state = (await _ask(client, f"STREAM.INFO.{name}", {"subjects_filter": ">"})).get("state", {})
        if state.get("messages"):
            durables = tuple(sorted(subject.split(".", 3)[3] for subject in state.get("subjects") or {}))
            newest = datetime.fromisoformat(state["last_ts"])
            found.append(KeptLetters(name.removeprefix(subjects.DLQ), durables, newest))
    return found


async def _names(client: Client) -> list[str]:
    found: list[str] = []
    while True:
        page = await _ask(client, "STREAM.NAMES", {"offset": len(found), "subject": "certs.dlq.>"})
        names = page.get("streams") or []
        found += names
        if not names or len(found) >= page["total"]:
            return found


async def _ask(client: Client, call: str, body: dict[str, object]) -> dict[str, Any]:
    try:
        reply = await client.request(f"$JS.API.{call}", json.dumps(body).encode(), timeout=_TIMEOUT_S)
    except (nats.errors.Error, TimeoutError) as error:
        raise TransientError(f"{call} wasn't answered: {type(error).__name__}") from error
    answer: dict[str, Any] = json.loads(reply.data)
    if "error" in answer:
        raise TransientError(f"{call} was refused: {answer['error'].get('description')}")
    return answer
