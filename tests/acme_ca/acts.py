"""Ways to misbehave. Each is made by a function, and given to `Script.add`."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from tests.acme_ca.calls import PROBLEM, Call, Reply, problem
from tests.acme_ca.script import Act, Proceed

__all__ = [
    "NEVER",
    "Told",
    "answer",
    "called_back",
    "close_after",
    "html",
    "http_date",
    "limited",
    "lost",
    "other_shape",
    "refuse",
    "reset",
    "rewritten",
    "silence",
    "slow",
    "told",
    "told_as",
    "truncated",
    "with_headers",
    "without",
    "without_headers",
]

NEVER: Final = 86400.0
_HTML: Final = b"<html><head><title>Error</title></head><body><h1>We are sorry</h1>\x00</body></html>"


def http_date(in_s: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=in_s), usegmt=True)


def answer(
    status: int, body: bytes = b"", content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Act:
    """Answer that, and do nothing."""
    return told(Reply(status, body, {"Content-Type": content_type, **(headers or {})}))


def told(reply: Reply) -> Act:
    """Answer that, and do nothing."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call, proceed
        return reply

    return act


def html(status: int, *, wait: Callable[[], str] | None = None) -> Act:
    """A page for people, as a proxy in between answers it."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call, proceed
        headers = {"Content-Type": "text/html"} | ({"Retry-After": wait()} if wait else {})
        return Reply(status, _HTML, headers)

    return act


def refuse(kind: str, status: int = 400, detail: str = "", **more: Any) -> Act:
    """A problem document, and nothing done."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call, proceed
        return problem(kind, status, detail, **more)

    return act


Told = Callable[[float], str]
"""A Retry-After for so many seconds."""


def limited(for_s: float, *, wait: Told | None = None) -> Act:
    """429 from the first call on, for so long; `wait` tells the seconds left, None tells nothing."""
    ends: list[float] = []

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        if not ends:
            ends.append(time.monotonic() + for_s)
        left = ends[0] - time.monotonic()
        if left <= 0:
            return await proceed()
        reply = problem("rateLimited", 429, "too many new orders")
        told = {"Retry-After": wait(left)} if wait else {}
        return replace(reply, headers={**reply.headers, **told})

    return act


def silence(seconds: float = NEVER) -> Act:
    """Take the question, and say nothing; then hang up."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call, proceed
        await asyncio.sleep(seconds)
        return Reply(drop=True)

    return act


def slow(seconds: float, *, acts_first: bool = True) -> Act:
    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        reply = await proceed() if acts_first else None
        await asyncio.sleep(seconds)
        return reply or await proceed()

    return act


def reset() -> Act:
    """Hang up before anything is done."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call, proceed
        return Reply(drop=True)

    return act


def lost() -> Act:
    """Do what was asked, and hang up without an answer."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        await proceed()
        return Reply(drop=True)

    return act


def called_back(back: Callable[[Call], None], *, acts_first: bool) -> Act:
    """Call back before or after the question is acted upon, and hang up: whoever asked is dead by then."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        if acts_first:
            await proceed()
        back(call)
        return Reply(drop=True)

    return act


def rewritten(change: Callable[[dict[str, Any]], dict[str, Any]], *, status: int | None = None) -> Act:
    """Do what was asked, and answer another document."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        reply = await proceed()
        return replace(reply, body=json.dumps(change(reply.document())).encode(), status=status or reply.status)

    return act


def without(*fields: str) -> Act:
    """Do what was asked, and leave these fields out of the document."""
    return rewritten(lambda document: {name: value for name, value in document.items() if name not in fields})


def truncated() -> Act:
    """Do what was asked, and answer half of it."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        reply = await proceed()
        return replace(reply, body=reply.body[: len(reply.body) // 2])

    return act


def with_headers(make: Callable[[], Mapping[str, str]]) -> Act:
    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        reply = await proceed()
        return replace(reply, headers={**reply.headers, **make()})

    return act


def without_headers(*names: str) -> Act:
    """Replay-Nonce is left out by a value that is empty."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        reply = await proceed()
        return replace(reply, headers={**reply.headers, **dict.fromkeys(names, "")})

    return act


def close_after() -> Act:
    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        return replace(await proceed(), close=True)

    return act


def told_as(reply: Reply) -> Act:
    """Do what was asked, and answer that."""

    async def act(call: Call, proceed: Proceed) -> Reply:
        del call
        await proceed()
        return reply

    return act


def other_shape(status: int = 400) -> Act:
    """A problem document whose fields are of other types than RFC 9457 has them."""
    body = json.dumps({"type": ["urn:x"], "detail": {"text": "no"}, "status": "bad", "subproblems": "none"}).encode()
    return answer(status, body, PROBLEM)
