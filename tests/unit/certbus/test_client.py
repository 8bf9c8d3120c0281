import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic_core import to_json

from certbus.client import Registry
from certbus.connection import Connection
from certbus.errors import CommandError
from certbus.event_stream import Message
from certbus.exit_codes import ExitCode
from certcore.api import Decision
from tests.unit.certbus.samples import request, spec, view

_TOKEN = "cb_secret"


def registry(answer: Callable[[httpx.Request], httpx.Response]) -> Registry:
    return Registry(Connection("http://registry.test", _TOKEN), transport=httpx.MockTransport(answer))


def always(status: int, content: bytes = b"") -> Registry:
    return registry(lambda _: httpx.Response(status, content=content))


def failing(error: type[httpx.TransportError]) -> Registry:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error("it broke")

    return registry(answer)


def test_a_call_says_who_asks_and_reads_the_answer() -> None:
    seen: list[httpx.Request] = []

    def answer(call: httpx.Request) -> httpx.Response:
        seen.append(call)
        return httpx.Response(200, content=to_json([request()]))

    with registry(answer) as client:
        assert client.requests(state="waiting") == [request()]
    assert str(seen[0].url) == "http://registry.test/v1/requests?state=waiting"
    assert seen[0].headers["authorization"] == f"Bearer {_TOKEN}"


@pytest.mark.parametrize("headers", [{}, {"certbus-instance": "another"}])
def test_who_does_not_show_the_instance_is_shown_no_token(headers: dict[str, str]) -> None:
    seen: list[httpx.Request] = []

    def answer(call: httpx.Request) -> httpx.Response:
        seen.append(call)
        return httpx.Response(200, headers=headers)

    client = Registry(
        Connection("http://registry.test", _TOKEN, instance="ours"), transport=httpx.MockTransport(answer)
    )
    with pytest.raises(CommandError, match="another program"):
        client.sites()
    with pytest.raises(CommandError, match="another program"), client.events(since_now=True):
        pass
    assert [call.url.path for call in seen] == ["/healthz", "/healthz"]
    assert all(_TOKEN not in str(call.headers.raw) for call in seen)


def test_who_shows_the_instance_is_asked() -> None:
    def answer(call: httpx.Request) -> httpx.Response:
        if call.url.path == "/healthz":
            return httpx.Response(200, headers={"certbus-instance": "ours"})
        return httpx.Response(200, content=to_json([request()]))

    connection = Connection("http://registry.test", _TOKEN, instance="ours")
    assert Registry(connection, transport=httpx.MockTransport(answer)).requests() == [request()]


def test_a_request_is_sent_as_it_was_given() -> None:
    bodies: list[object] = []

    def answer(call: httpx.Request) -> httpx.Response:
        bodies.append((call.url.query, json.loads(call.content)))
        return httpx.Response(202, content=request().model_dump_json())

    registry(answer).create_request(spec(), dry_run=True)
    assert bodies == [(b"dry_run=true", spec().model_dump(mode="json"))]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "a%2fb", "ü", "a" * 65])
def test_what_is_no_name_is_never_sent(name: str) -> None:
    with always(200) as client, pytest.raises(CommandError, match="neither a name nor an id"):
        client.certificate(name)


@pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b"[]", b"\xff"])
def test_an_answer_that_is_none_of_ours_is_told(content: bytes) -> None:
    with always(200, content) as client, pytest.raises(CommandError, match="can't be read") as told:
        client.certificate("shop")
    assert told.value.exit_code is ExitCode.UNREACHABLE


def test_a_redirect_is_not_followed_with_the_token() -> None:
    with always(302) as client, pytest.raises(CommandError, match="status 302"):
        client.certificate("shop")


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ConnectTimeout]
)
def test_a_registry_that_is_away_has_its_own_exit_code(error: type[httpx.TransportError]) -> None:
    with failing(error) as client, pytest.raises(CommandError) as told:
        client.certificate("shop")
    assert told.value.exit_code is ExitCode.UNREACHABLE
    assert "http://registry.test" in told.value.message


def test_a_lost_answer_is_not_taken_for_a_refusal() -> None:
    with failing(httpx.ReadTimeout) as client, pytest.raises(CommandError) as told:
        client.decide("r-1", "approve", Decision())
    assert "unknown" in told.value.next_step
    with failing(httpx.ConnectError) as client, pytest.raises(CommandError) as told:
        client.decide("r-1", "approve", Decision())
    assert "unknown" not in told.value.next_step


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout])
def test_no_error_shows_the_token(error: type[httpx.TransportError]) -> None:
    with failing(error) as client, pytest.raises(CommandError) as told:
        client.sites()
    assert _TOKEN not in "".join(told.value.lines())


def test_events_are_followed_after_the_last_one() -> None:
    asked: list[tuple[str | None, bytes]] = []

    def answer(call: httpx.Request) -> httpx.Response:
        asked.append((call.headers.get("last-event-id"), call.url.query))
        return httpx.Response(200, content=b"id: 8\nevent: x\ndata: {}\n\n")

    client = registry(answer)
    with client.events(since_now=True) as messages:
        assert list(messages) == [Message("8", "x", "{}")]
    with client.events(since_now=True, last_id="8") as messages:
        list(messages)
    with client.events(since_now=False) as messages:
        list(messages)
    assert asked == [(None, b"since=now"), ("8", b""), (None, b"")]


def test_refused_events_are_told() -> None:
    with pytest.raises(CommandError) as told, always(401).events(since_now=True):
        pass
    assert told.value.exit_code is ExitCode.NOT_ALLOWED


def test_trust_roots_that_are_not_there_are_named() -> None:
    with pytest.raises(CommandError, match=r"roots\.pem can't be read"):
        Registry(Connection("https://registry.test", _TOKEN, Path("/nowhere/roots.pem")))


@pytest.mark.parametrize("url", ["http://exa mple", "http://a\tb", "http://" + "a" * 70_000])
def test_a_url_that_only_the_http_library_refuses_is_told(url: str) -> None:
    with pytest.raises(CommandError) as told:
        Registry(Connection(url, _TOKEN)).sites()
    assert told.value.exit_code in {ExitCode.INVALID, ExitCode.UNREACHABLE}


def test_a_certificate_is_read_whole() -> None:
    with always(200, view().model_dump_json().encode()) as client:
        assert client.certificate("shop") == view()
