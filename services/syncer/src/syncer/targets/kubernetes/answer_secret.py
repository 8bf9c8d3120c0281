"""Answers to challenges as keys of one Secret, which a responder in the cluster mounts."""

import asyncio
import base64
from collections.abc import Callable
from typing import Final

from certcore.errors import CertbusError
from syncer.domain.answer import Answer
from syncer.domain.answer_place import NotShownError
from syncer.targets.kubernetes.api import ApplyConflictError, ClusterApi

__all__ = ["LABEL", "AnswerSecret"]

LABEL: Final = "certbus.dev/challenges"
"""Who runs the cluster makes the Secret, and says by this label that it is for us."""

_TRIES: Final = 3
"""How often the Secret is read again that is changed by others at the same time."""

_Change = Callable[[str | None], str | None]
"""From what is there for a token to what shall be; None is nothing."""


class AnswerSecret:
    """Reads and patches this one Secret, and makes none."""

    def __init__(self, *, api: ClusterApi, namespace: str, secret: str) -> None:
        self._api = api
        self._namespace = namespace
        self._secret = secret
        self._turn = asyncio.Lock()

    async def show(self, answer: Answer) -> None:
        def change(there: str | None) -> str:
            if there not in {None, answer.key_authorization}:
                raise NotShownError(f"{self} has another answer for this token, and certbus didn't put it there")
            return answer.key_authorization

        await self._change(answer.token, change)

    async def remove(self, answer: Answer) -> None:
        await self._change(answer.token, lambda there: None if there == answer.key_authorization else there)

    async def close(self) -> None:
        await self._api.close()

    async def _change(self, token: str, change: _Change) -> None:
        async with self._turn:
            for _ in range(_TRIES):
                try:
                    await self._try(token, change)
                except ApplyConflictError:
                    continue
                except NotShownError:
                    raise
                except CertbusError as error:
                    raise NotShownError(f"{self}: {error}") from error
                return
        raise NotShownError(f"{self} is changed by others all the time")

    async def _try(self, token: str, change: _Change) -> None:
        found = await self._api.read_public_data(self._namespace, self._secret)
        if found is None:
            raise NotShownError(f"{self} isn't there: make it, with the label {LABEL}=true")
        if found.metadata.labels.get(LABEL) != "true":
            raise NotShownError(f"{self} isn't certbus's to write to: it lacks the label {LABEL}=true")
        raw = found.data.get(token)
        there = raw.decode(errors="replace") if raw is not None else None
        wanted = change(there)
        if wanted == there:
            return
        encoded = base64.b64encode(wanted.encode()).decode() if wanted is not None else None
        # Only if it is as it was read: what others write to it meanwhile stays.
        version = {"resourceVersion": found.metadata.resource_version}
        await self._api.merge_secret(self._namespace, self._secret, {"metadata": version, "data": {token: encoded}})

    def __str__(self) -> str:
        return f"the Secret {self._namespace}/{self._secret}"
