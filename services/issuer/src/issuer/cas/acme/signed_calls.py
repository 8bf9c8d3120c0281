"""Questions that are signed (RFC 8555 §6.2), and patience with nonces (§6.5)."""

import asyncio
from collections.abc import Callable
from typing import Final

from issuer.cas.acme.answer import Answer
from issuer.cas.acme.directory import Directory, KnownDirectory
from issuer.cas.acme.jws import SigningKey
from issuer.cas.acme.nonces import NoncePool, readable
from issuer.cas.acme.problems import problem_of
from issuer.cas.acme.session import AcmeSession, HungUpError
from issuer.domain.errors import AcmeProblemError, CaUnreachableError

__all__ = ["SignedCalls"]

_NONCE_TRIES: Final = 8
_TRIES_WITHOUT_PAUSE: Final = 4
_PAUSE_S: Final = 0.1
_NONCES_ASKED_AT_ONCE: Final = 2
"""Some CAs limit these questions more than any other."""
_GONE: Final = frozenset({404, 410})
_HEADERS: Final = {"Content-Type": "application/jose+json"}


class SignedCalls:
    """`jitter` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        session: AcmeSession,
        directory: KnownDirectory,
        limit_s: float,
        jitter: Callable[[], float],
    ) -> None:
        self._session = session
        self._directory = directory
        self._limit_s = limit_s
        self._jitter = jitter
        self._nonces = NoncePool()
        self._asking_for_nonces = asyncio.Semaphore(_NONCES_ASKED_AT_ONCE)

    async def read(self, url: str, *, key: SigningKey, account: str) -> Answer:
        """POST-as-GET. As nothing is done by it, it is asked once more when the CA hangs up on it."""
        try:
            return await self.post(url, b"", key=key, account=account)
        except HungUpError:
            return await self.post(url, b"", key=key, account=account)

    async def post(
        self, url: str, payload: bytes, *, key: SigningKey, account: str | None, limit_s: float | None = None
    ) -> Answer:
        """The CA's answer, which is none to a bad nonce unless all of eight were bad.

        Raises:
            AcmeProblemError: the CA answered with a problem.
            CaUnreachableError: it didn't answer, or by a redirect.
        """
        fresh: str | None = None
        for tried in range(1, _NONCE_TRIES + 1):
            nonce = fresh or self._nonces.take() or await self._new_nonce()
            body = key.sign(payload, url=url, nonce=nonce, account=account)
            answer = await self._session.post(url, body, headers=_HEADERS, limit_s=limit_s or self._limit_s)
            if answer.status < 300:
                self._nonces.keep(answer.nonce)
                return answer
            if answer.status < 400:
                raise CaUnreachableError(f"{url} answered {answer.status}, which leads elsewhere")
            problem = problem_of(answer)
            if problem.type != "badNonce" or tried == _NONCE_TRIES:
                self._nonces.keep(answer.nonce)
                raise problem
            # The one that came with it: those that were kept may all be as old.
            fresh = answer.nonce if readable(answer.nonce) else None
            if tried >= _TRIES_WITHOUT_PAUSE:
                await asyncio.sleep(self._jitter() * _PAUSE_S * 2 ** (tried - _TRIES_WITHOUT_PAUSE))
        raise AssertionError("every try ends above")

    async def at_endpoint(
        self,
        endpoint: Callable[[Directory], str],
        payload: bytes,
        *,
        key: SigningKey,
        account: str | None,
        limit_s: float | None = None,
    ) -> Answer:
        """As `post`, at an endpoint of the directory; once more where that endpoint has moved."""
        directory = await self._directory.now()
        url = endpoint(directory)
        try:
            return await self.post(url, payload, key=key, account=account, limit_s=limit_s)
        except AcmeProblemError as problem:
            if problem.status not in _GONE:
                raise
            moved = endpoint(await self._directory.after_gone(directory))
            if moved == url:
                raise
        return await self.post(moved, payload, key=key, account=account, limit_s=limit_s)

    async def answers(self) -> bool:
        """Whether the CA answers anything at all: a nonce costs it nothing."""
        try:
            directory = await self._directory.now()
            self._nonces.keep((await self._session.head(directory.new_nonce, limit_s=self._limit_s)).nonce)
        except CaUnreachableError:
            return False
        except AcmeProblemError:
            # Of the directory.
            return True
        return True

    async def _new_nonce(self) -> str:
        async with self._asking_for_nonces:
            # Another call may have ended meanwhile.
            kept = self._nonces.take()
            if kept is not None:
                return kept
            directory = await self._directory.now()
            answer = await self._session.head(directory.new_nonce, limit_s=self._limit_s)
            if answer.status in _GONE:
                moved = await self._directory.after_gone(directory)
                answer = await self._session.head(moved.new_nonce, limit_s=self._limit_s)
        if answer.status >= 400:
            raise problem_of(answer)
        if not readable(answer.nonce):
            raise CaUnreachableError(f"{answer.url}: the CA gives no nonce that can be read")
        return answer.nonce
