"""Asks a site's server for the answer to a challenge, as a CA would (RFC 8555 §8.3)."""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import httpx

from certcore.challenges import challenge_path
from syncer.domain.answer import Answer

__all__ = ["AnswerLook"]

_TIMEOUT: Final = httpx.Timeout(5.0)
_LARGEST: Final = 4096


class AnswerLook:
    """Its servers are named by the settings: no name is looked up, and no redirect followed."""

    def __init__(self, *, user_agent: str) -> None:
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT, trust_env=False, follow_redirects=False, headers={"user-agent": user_agent}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def problem(self, answer: Answer, servers: Sequence[str]) -> str:
        """What is wrong with what the servers answer; empty where nothing is."""
        for server in servers:
            if problem := await self._problem_at(answer, server):
                return f"{server} {problem}"
        return ""

    async def _problem_at(self, answer: Answer, server: str) -> str:
        url, body = f"{server}{challenge_path(answer.token)}", b""
        try:
            async with self._client.stream("GET", url, headers={"host": answer.host}) as response:
                if response.is_redirect:
                    return f"redirects {answer.host} instead of answering the challenge"
                if response.status_code != httpx.codes.OK:
                    return f"answers the challenge of {answer.host} with {response.status_code}"
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        return f"answers the challenge of {answer.host} with a whole page"
        except httpx.HTTPError as error:
            return f"can't be asked for the challenge of {answer.host}: {type(error).__name__}"
        # White space at the end is nothing to a CA.
        if body.rstrip() != answer.key_authorization.encode():
            return f"answers the challenge of {answer.host} with something else"
        return ""
