"""Changes that may be asked for twice under one Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)."""

from collections.abc import Callable, Collection
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Response

from certcore.clock import Clock
from certcore.rejection import RejectedError, Rejection
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal
from registry.domain.keyed import (
    KEPT_FOR,
    KEPT_OF_ONE,
    Answer,
    AtWorkError,
    KeyedCall,
    Repeat,
    is_key,
    repeat_of,
)

__all__ = ["Key", "Keyed", "Repeats", "without_key"]

_FIELD: Final = "idempotency-key"
_OTHER: Final = Rejection(field=_FIELD, message="was given with another request before: give each its own")

_Given = Annotated[
    str | None,
    Header(
        alias=_FIELD,
        description="A name of the caller's choice for this request, such as a UUID: asked once more under it within "
        "a day, the same is answered as before and done once.",
    ),
]


class Key:
    """The key of a request with what was sent under it; bound to the caller by `Repeats`."""

    def __init__(self, request: Request, key: str | None, body: bytes) -> None:
        self._request = request
        self._key = key
        self._body = body

    def of(self, caller: Principal) -> KeyedCall | None:
        if self._key is None:
            return None
        return KeyedCall.of(
            caller,
            method=self._request.method,
            path=self._request.url.path,
            query=self._request.url.query.encode(),
            body=self._body,
            key=self._key,
        )


async def _key(request: Request, given: _Given = None) -> Key:
    if given is None:
        return Key(request, None, b"")
    # A string of RFC 9651 stands in quotes; most callers leave them out.
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not is_key(key):
        raise RejectedError([Rejection(field=_FIELD, message="must be 1 to 255 printable characters of ASCII")])
    return Key(request, key, await request.body())


Keyed = Annotated[Key, Depends(_key)]


async def without_key(request: Request) -> None:
    """A dependency of a route whose answer holds a secret: it isn't kept, so the key would promise too much.

    Raises:
        RejectedError: there is one.
    """
    if _FIELD in request.headers:
        message = "can't be used here: the answer holds a secret, which is kept nowhere"
        raise RejectedError([Rejection(field=_FIELD, message=message)])


class Repeats:
    """Answers are kept in the transaction of their change. A refusal changed nothing: under the same key it is judged
    anew.
    """

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._at_work: set[str] = set()

    async def answered(
        self,
        caller: Principal,
        key: Key,
        work: Callable[[Transaction], Answer],
        *,
        dry_run: bool = False,
        held: Collection[str] = (),
    ) -> Response:
        """Do the work and keep its answer; or give the one that was kept. A dry run keeps nothing. `held` is as in
        `Store.write`.

        Raises:
            AtWorkError: the same is at work here.
            RejectedError: the key was given with another request.
        """
        call = key.of(caller)
        if call is None or dry_run:
            return _response(await self._store.write(work, held=held))
        if call.scope in self._at_work:
            raise AtWorkError("the first request under this key is still at work")
        self._at_work.add(call.scope)
        try:
            return _response(
                await self._store.write(lambda transaction: self._once(transaction, call, work), held=held)
            )
        finally:
            self._at_work.discard(call.scope)

    def _once(self, transaction: Transaction, call: KeyedCall, work: Callable[[Transaction], Answer]) -> Answer:
        now = self._clock()
        kept = transaction.kept_answers.find(call, since=now - KEPT_FOR)
        match repeat_of(call, kept):
            case Repeat.OTHER:
                raise RejectedError([_OTHER])
            case Repeat.SAME if kept is not None:
                return kept.answer
        answer = work(transaction)
        transaction.kept_answers.keep(call, answer, now=now, most=KEPT_OF_ONE)
        return answer


def _response(answer: Answer) -> Response:
    headers = {"location": answer.location} if answer.location else None
    return Response(answer.body, status_code=answer.status, media_type="application/json", headers=headers)
