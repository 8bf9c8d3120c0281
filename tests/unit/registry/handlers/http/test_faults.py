"""What the outermost layer answers where something goes wrong inside."""

import json
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from certcore.api import Problem
from certkit.database import DatabaseBusyError
from registry.handlers.http.faults import Faults

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def raising(error: Exception) -> App:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    return app


async def asked(app: App, path: str = "/v1/sites") -> httpx.Response:
    transport = httpx.ASGITransport(app=Faults(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
        return await client.get(path)


async def test_a_fault_is_a_problem_document_and_one_line_in_the_log() -> None:
    with capture_logs() as lines:
        response = await asked(raising(ValueError("broken")))
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert Problem.model_validate_json(response.content).type == "/problems/internal"
    assert "broken" not in response.text
    assert [(line["event"], line["error"]) for line in lines] == [("fault", "ValueError: broken")]


async def test_a_busy_database_says_when_to_come_again() -> None:
    response = await asked(raising(DatabaseBusyError("the database takes no writes now: database or disk is full")))
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


async def test_who_hangs_up_leaves_no_line() -> None:
    with capture_logs() as lines:
        await Faults(raising(ClientDisconnect()))(
            {"type": "http", "method": "GET", "path": "/", "query_string": b""}, _nothing, _nobody
        )
    assert lines == []


@pytest.mark.parametrize(("path", "status"), [("/v1/certificates/%00", 404), ("/v1/certificates?owner=%00", 422)])
async def test_a_zero_byte_never_reaches_the_database(path: str, status: int) -> None:
    response = await asked(raising(AssertionError("reached")), path)
    assert response.status_code == status
    assert json.loads(response.content)["status"] == status


async def _nothing() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def _nobody(_: object) -> None:
    raise AssertionError("nobody is there to be answered")
