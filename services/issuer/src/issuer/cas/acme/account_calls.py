"""Questions that are asked as the account: with its key, and once more where the CA forgot the account."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from issuer.cas.acme.account import Account, AcmeAccount
from issuer.cas.acme.answer import Answer
from issuer.cas.acme.directory import Directory
from issuer.cas.acme.jws import SigningKey
from issuer.cas.acme.signed_calls import SignedCalls
from issuer.domain.errors import AcmeProblemError

__all__ = ["AccountCalls"]

T = TypeVar("T")


class AccountCalls:
    """`work_limit_s` is for what the CA may work on before it answers."""

    def __init__(self, *, account: AcmeAccount, calls: SignedCalls, work_limit_s: float) -> None:
        self._account = account
        self._calls = calls
        self._work_limit_s = work_limit_s

    async def read(self, url: str) -> Answer:
        return await self._as_account(lambda account: self._calls.read(url, key=account.key, account=account.url))

    async def post(self, url: str, payload: Mapping[str, object], *, patient: bool = False) -> Answer:
        limit_s = self._work_limit_s if patient else None
        body = _json(payload)
        return await self._as_account(
            lambda account: self._calls.post(url, body, key=account.key, account=account.url, limit_s=limit_s)
        )

    async def at_endpoint(
        self,
        endpoint: Callable[[Directory], str],
        payload: Mapping[str, object],
        *,
        key: SigningKey | None = None,
    ) -> Answer:
        """At an endpoint of the directory; with `key` in its name instead of the account's."""
        body, limit_s = _json(payload), self._work_limit_s
        if key is not None:
            return await self._calls.at_endpoint(endpoint, body, key=key, account=None, limit_s=limit_s)
        return await self._as_account(
            lambda account: self._calls.at_endpoint(
                endpoint, body, key=account.key, account=account.url, limit_s=limit_s
            )
        )

    async def _as_account(self, ask: Callable[[Account], Awaitable[T]]) -> T:
        account = await self._account.registered()
        try:
            answer = await ask(account)
        except AcmeProblemError as problem:
            if problem.type != "accountDoesNotExist":
                raise
            again = await self._account.registered_again(account)
            if again is None:
                raise
            answer = await ask(again)
        self._account.is_known()
        return answer


def _json(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload).encode()
