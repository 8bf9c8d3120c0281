import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from certcore.api import Problem
from registry.handlers.http.media_types import JsonBodies


async def _taken(request: Request) -> Response:
    return Response(await request.body(), status_code=200)


async def sent(body: bytes, media_type: str | None, method: str = "POST") -> httpx.Response:
    app = JsonBodies(Starlette(routes=[Route("/", _taken, methods=["GET", "POST", "PUT"])]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://registry") as client:
        headers = {"content-type": media_type} if media_type is not None else {}
        return await client.request(method, "/", content=body, headers=headers)


@pytest.mark.parametrize(
    "media_type", ["text/xml", "application/x-www-form-urlencoded", "text/json", "json+json", "x"]
)
async def test_a_body_of_another_type_is_refused(media_type: str) -> None:
    for method in ("POST", "PUT"):
        response = await sent(b"<a/>", media_type, method)
        assert Problem.model_validate_json(response.content).status == response.status_code == 415
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json", None, ""]
)
async def test_json_is_taken(media_type: str | None) -> None:
    assert (await sent(b"{}", media_type)).status_code == 200


async def test_where_there_is_no_body_its_type_does_not_matter() -> None:
    assert (await sent(b"", "text/xml")).status_code == 200
    assert (await sent(b"", "text/xml", "GET")).status_code == 200
