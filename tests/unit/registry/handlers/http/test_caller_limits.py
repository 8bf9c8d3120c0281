"""Budgets where callers come in: the refusal that they read, and what it never keeps out."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from fastapi import APIRouter, FastAPI, Request
from prometheus_client import CollectorRegistry

from certcore.api import Problem
from registry.domain.access import Principal
from registry.domain.budget import Kind, Rate
from registry.handlers.http.auth import Caller
from registry.handlers.http.limits import Limits
from registry.handlers.http.problems import UnauthorizedError, install_problems


class Tokens:
    async def caller(self, request: Request) -> Principal:
        name = request.headers.get("authorization", "")
        if not name:
            raise UnauthorizedError("send a token")
        return Principal(name, "shop", frozenset())


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app, router = FastAPI(), APIRouter(prefix="/v1")
    app.state.authenticator = Tokens()
    rates = {kind: Rate(0.5, 2.0) for kind in Kind}
    app.state.limits = Limits(rates, metrics=CollectorRegistry(), now_s=lambda: 0.0)
    install_problems(app)

    @router.get("/things")
    async def things(caller: Caller) -> str:
        return caller.subject

    @router.get("/things/{name}")
    async def thing(name: str, _: Caller) -> str:
        return name

    app.include_router(router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
        yield client


async def statuses(http: httpx.AsyncClient, path: str, name: str = "", times: int = 3) -> list[int]:
    headers = {"authorization": name} if name else {}
    return [(await http.get(path, headers=headers)).status_code for _ in range(times)]


async def test_who_is_over_the_budget_reads_when_to_come_again(http: httpx.AsyncClient) -> None:
    assert await statuses(http, "/v1/things", "ana", 2) == [200, 200]
    refused = await http.get("/v1/things", headers={"authorization": "ana"})
    assert refused.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate_json(refused.content).status == refused.status_code == 429
    assert refused.headers["retry-after"] == "2"


async def test_lists_leave_the_budget_for_one_thing_alone(http: httpx.AsyncClient) -> None:
    assert await statuses(http, "/v1/things", "ana") == [200, 200, 429]
    assert await statuses(http, "/v1/things/a", "ana") == [200, 200, 429]
    assert await statuses(http, "/v1/things", "ben") == [200, 200, 429]


async def test_whoever_fails_to_log_in_keeps_out_nobody_else_of_the_address(http: httpx.AsyncClient) -> None:
    assert await statuses(http, "/v1/things") == [401, 401, 429]
    assert await statuses(http, "/v1/things", "ana", 1) == [200]
