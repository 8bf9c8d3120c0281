"""What the client of the registry says of answers to challenges at sites."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import pytest

from certcore.api import Problem
from certcore.challenges import ChallengeOrder
from certcore.errors import PermanentError, TransientError
from certkit.registry_client import RegistryClient
from certkit.settings import RegistrySettings

TOKEN: Final = "t" * 43
ENDS: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
ORDER: Final = ChallengeOrder(host="shop.example.org", key_authorization=f"{TOKEN}.{'k' * 43}", expires_at=ENDS)

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def client(tmp_path: Path) -> Callable[[Answer], RegistryClient]:
    token_file = tmp_path / "token"
    token_file.write_text("a-token")
    settings = RegistrySettings(url="https://registry.test", token_file=token_file)
    return lambda answer: RegistryClient(settings, transport=httpx.MockTransport(answer))


def refusal(status: int, detail: str) -> Answer:
    problem = Problem(type="/problems/any", title="No", status=status, detail=detail)
    return lambda _: httpx.Response(status, content=problem.model_dump_json())


async def test_what_is_not_wanted_at_a_site_is_nothing_and_need_not_be_removed(
    client: Callable[[Answer], RegistryClient],
) -> None:
    async with client(refusal(404, "no such challenge is wanted at fra1")) as api:
        assert await api.challenge("fra1", TOKEN) is None
        await api.remove_challenge("fra1", TOKEN)
        with pytest.raises(PermanentError, match="answered 404: no such challenge"):
            await api.show_challenge("fra1", TOKEN, ORDER)


@pytest.mark.parametrize(("status", "kind"), [(409, PermanentError), (429, TransientError)])
async def test_why_the_registry_refuses_is_told(
    client: Callable[[Answer], RegistryClient], status: int, kind: type[Exception]
) -> None:
    async with client(refusal(status, "the syncer of fra1 is too old: update it")) as api:
        with pytest.raises(kind, match=f"answered {status}: the syncer of fra1 is too old: update it"):
            await api.show_challenge("fra1", TOKEN, ORDER)


async def test_a_refusal_that_is_no_problem_document_is_told_by_its_status(
    client: Callable[[Answer], RegistryClient],
) -> None:
    async with client(lambda _: httpx.Response(409, content=b"<html>secret</html>")) as api:
        with pytest.raises(PermanentError) as refused:
            await api.show_challenge("fra1", TOKEN, ORDER)
    assert str(refused.value) == f"registry: PUT /v1/challenges/fra1/{TOKEN} answered 409"


async def test_an_order_and_its_state_go_by_site_and_token(client: Callable[[Answer], RegistryClient]) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        state = {"shown": True, "expires_at": ENDS.isoformat(), "later": 1}
        return httpx.Response(200, json=state) if request.method == "GET" else httpx.Response(204)

    async with client(answer) as api:
        await api.show_challenge("fra1", TOKEN, ORDER)
        state = await api.challenge("fra1", TOKEN)
        await api.remove_challenge("fra1", TOKEN)
    assert state is not None
    assert (state.shown, state.expires_at, state.looked_at) == (True, ENDS, None)
    assert [(request.method, request.url.path) for request in asked] == [
        (method, f"/v1/challenges/fra1/{TOKEN}") for method in ("PUT", "GET", "DELETE")
    ]
    assert ChallengeOrder.model_validate_json(asked[0].content) == ORDER


async def test_a_registry_of_the_version_before_lists_nothing_and_not_all(
    client: Callable[[Answer], RegistryClient],
) -> None:
    async with client(refusal(404, "Not Found")) as api:
        found = await api.challenges()
    assert (found.items, found.complete) == ([], False)
