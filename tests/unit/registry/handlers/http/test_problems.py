"""What a caller reads where the registry refuses."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from certcore.api import Problem
from certcore.errors import InspectionError, TransientError
from certcore.rejection import RejectedError, Rejection
from registry.domain.errors import ConflictError, ForbiddenError, NotFoundError
from registry.domain.lifecycle import IllegalStepError, Trigger
from registry.handlers.http.problems import UnauthorizedError, install_problems
from tests.unit.registry.samples import certificate

RAISED: dict[str, Exception] = {
    "unauthorized": UnauthorizedError("send a token"),
    "forbidden": ForbiddenError("ana needs the role approver"),
    "not-found": NotFoundError("there is no certificate x"),
    "conflict": ConflictError("it was decided before"),
    "illegal-step": IllegalStepError(certificate().state, Trigger.DENIED),
    "invalid-certificate": InspectionError("chain holds no certificate"),
    "unavailable": TransientError("the bus is away"),
    "rejected": RejectedError([Rejection(field="name", message="is missing"), Rejection(field="owner", message="x")]),
    "taken": RejectedError([Rejection(field="name", message="is taken by another certificate")]),
    "too-large": HTTPException(413, "Content Too Large"),
    "unreadable": HTTPException(400, "There was an error parsing the body"),
}


class _Body(BaseModel):
    reason: str


def _app() -> FastAPI:
    app = FastAPI()
    install_problems(app)

    @app.get("/{name}")
    async def fail(name: str) -> None:
        raise RAISED[name]

    @app.post("/")
    async def take(body: _Body) -> None: ...

    return app


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
        yield client


def problem_of(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == response.status_code
    return problem


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("unauthorized", 401, "unauthorized"),
        ("forbidden", 403, "forbidden"),
        ("not-found", 404, "not-found"),
        ("conflict", 409, "conflict"),
        ("illegal-step", 409, "conflict"),
        ("invalid-certificate", 422, "invalid-certificate"),
        ("unavailable", 503, "unavailable"),
        ("rejected", 422, "invalid-request"),
        ("taken", 409, "invalid-request"),
        ("too-large", 413, "too-large"),
        ("unreadable", 400, "invalid-request"),
    ],
)
async def test_every_refusal_has_a_status_and_a_stable_type(
    http: httpx.AsyncClient, name: str, status: int, kind: str
) -> None:
    problem = problem_of(await http.get(f"/{name}"))
    assert (problem.status, problem.type) == (status, f"/problems/{kind}")
    assert problem.title
    assert problem.detail


async def test_a_rejection_names_each_field_at_fault(http: httpx.AsyncClient) -> None:
    problem = problem_of(await http.get("/rejected"))
    assert [rejection.field for rejection in problem.errors] == ["name", "owner"]
    assert "name is missing" in problem.detail


async def test_who_is_unknown_learns_how_to_show_a_token(http: httpx.AsyncClient) -> None:
    assert (await http.get("/unauthorized")).headers["www-authenticate"] == "Bearer"


async def test_who_comes_at_a_bad_time_learns_when_to_come_again(http: httpx.AsyncClient) -> None:
    assert int((await http.get("/unavailable")).headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "reason"),
        (b'{"reason": 7}', "reason"),
        (b"{", "body"),
        (b"", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
    ],
)
async def test_a_body_that_can_t_be_read_is_named(http: httpx.AsyncClient, body: bytes, field: str) -> None:
    problem = problem_of(await http.post("/", content=body, headers={"content-type": "application/json"}))
    assert [rejection.field for rejection in problem.errors] == [field]


async def test_an_unknown_route_is_a_problem_too(http: httpx.AsyncClient) -> None:
    assert problem_of(await http.get("/no/such/route")).type == "/problems/not-found"
    assert problem_of(await http.delete("/")).type == "/problems/method-not-allowed"
