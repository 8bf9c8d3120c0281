"""What the registry is asked about tokens: a part of its client."""

from collections.abc import Iterator
from typing import Final, Literal, Protocol, TypeVar

import httpx
from pydantic import BaseModel

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.segments import segment
from certcore.api import Decision, Page
from certcore.reading import ReadModel
from certcore.tokens import RightsChangeView, TokenOrder, TokenSummary, TokenView

__all__ = ["TokenCalls"]

ModelT = TypeVar("ModelT", bound=ReadModel)
_WAITS: Final = 202


class _Client(Protocol):
    def _read(self, model: type[ModelT], body: bytes) -> ModelT: ...

    def _all(self, page_model: type[Page[ModelT]], path: str, **given: str | None) -> Iterator[ModelT]: ...

    def _response(
        self, method: str, path: str, *, query: list[tuple[str, str]], body: BaseModel | bytes | None = None
    ) -> httpx.Response: ...


class TokenCalls:
    """What policy asks a second admin about isn't done yet: that is an error with the exit code of what waits."""

    def make_token(self: _Client, order: TokenOrder) -> TokenView:
        # A registry of an earlier version refuses fields that it doesn't know.
        body = order.model_dump_json(exclude_defaults=True).encode()
        return _token(self, self._response("POST", "/v1/tokens", query=[], body=body))

    def tokens(self: _Client, *, ended: bool = False) -> Iterator[TokenSummary]:
        return self._all(Page[TokenSummary], "/v1/tokens", ended="true" if ended else None)

    def rotate_token(self: _Client, token_id: str) -> TokenView:
        path = f"/v1/tokens/{segment(token_id)}/rotate"
        return _token(self, self._response("POST", path, query=[]))

    def revoke_token(self: _Client, token_id: str) -> None:
        answer = self._response("DELETE", f"/v1/tokens/{segment(token_id)}", query=[])
        if answer.status_code == _WAITS:
            raise _waits(self._read(RightsChangeView, answer.content))

    def rights_changes(self: _Client, *, ended: bool = False) -> Iterator[RightsChangeView]:
        return self._all(Page[RightsChangeView], "/v1/rights-changes", ended="true" if ended else None)

    def decide_rights(
        self: _Client, change_id: str, verdict: Literal["confirm", "refuse"], reason: str = ""
    ) -> RightsChangeView:
        path = f"/v1/rights-changes/{segment(change_id)}/{verdict}"
        body = Decision(reason=reason) if verdict == "refuse" else None
        return self._read(RightsChangeView, self._response("POST", path, query=[], body=body).content)

    def take_token(self: _Client, change_id: str) -> TokenView:
        """The token of a change that another admin confirmed."""
        path = f"/v1/rights-changes/{segment(change_id)}/take"
        return self._read(TokenView, self._response("POST", path, query=[]).content)


def _token(client: _Client, answer: httpx.Response) -> TokenView:
    if answer.status_code == _WAITS:
        raise _waits(client._read(RightsChangeView, answer.content))  # noqa: SLF001 # a part of it
    return client._read(TokenView, answer.content)  # noqa: SLF001 # likewise


def _waits(change: RightsChangeView) -> CommandError:
    taken = "" if change.act == "revoke" else f"; you then take the token by certbus token take {change.id} --to FILE"
    return CommandError(
        f"waits for a second admin until {change.expires_at:%Y-%m-%d %H:%M} UTC, as change {change.id}",
        exit_code=ExitCode.WAITING_FOR_APPROVAL,
        next_step=f"have another admin say certbus token confirm {change.id}{taken}",
    )
