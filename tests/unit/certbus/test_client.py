import json
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from certbus.client import Registry
from certbus.connection import Connection
from certbus.errors import CommandError
from certbus.event_stream import Message
from certbus.exit_codes import ExitCode
from certcore.api import CertificateSummary, Decision, Page, RequestView, ServiceView
from certcore.certificate_list import CertificateQuery, Order
from certcore.conditions import Health
from certcore.tokens import TokenOrder
from tests.unit.certbus.samples import request, spec, summary, view

_TOKEN = "cb_secret"


def registry(
    answer: Callable[[httpx.Request], httpx.Response], *, sleep: Callable[[float], None] = lambda _: None
) -> Registry:
    return Registry(Connection("http://registry.test", _TOKEN), transport=httpx.MockTransport(answer), sleep=sleep)


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
        return httpx.Response(200, json={"items": [request().model_dump(mode="json")], "next": None})

    with registry(answer) as client:
        assert list(client.requests(state="waiting")) == [request()]
    assert str(seen[0].url) == "http://registry.test/v1/requests?state=waiting&limit=500"
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
        list(client.sites())
    with pytest.raises(CommandError, match="another program"), client.events(since_now=True):
        pass
    assert [call.url.path for call in seen] == ["/healthz", "/healthz"]
    assert all(_TOKEN not in str(call.headers.raw) for call in seen)


def test_who_shows_the_instance_is_asked() -> None:
    def answer(call: httpx.Request) -> httpx.Response:
        if call.url.path == "/healthz":
            return httpx.Response(200, headers={"certbus-instance": "ours"})
        return httpx.Response(200, content=Page[RequestView](items=(request(),)).model_dump_json())

    connection = Connection("http://registry.test", _TOKEN, instance="ours")
    assert list(Registry(connection, transport=httpx.MockTransport(answer)).requests()) == [request()]


def test_a_request_is_sent_as_it_was_given() -> None:
    bodies: list[object] = []

    def answer(call: httpx.Request) -> httpx.Response:
        bodies.append((call.url.query, json.loads(call.content)))
        return httpx.Response(202, content=request().model_dump_json())

    registry(answer).create_request(spec(), dry_run=True)
    registry(answer).create_request(b'{"kind": "new", "name": "shop"}')
    assert bodies == [
        (b"dry_run=true", spec().model_dump(mode="json")),
        (b"", {"kind": "new", "name": "shop"}),
    ]


def pages(*of: Sequence[CertificateSummary], last: str | None = None) -> tuple[Registry, list[str]]:
    """A registry whose list has these pages, and the cursors that it was asked for."""
    asked: list[str] = []

    def answer(call: httpx.Request) -> httpx.Response:
        after = call.url.params.get("after", "")
        asked.append(after)
        number = int(after or 0)
        following = str(number + 1) if number + 1 < len(of) else last
        page = Page[CertificateSummary](items=tuple(of[number]), next=following)
        return httpx.Response(200, content=page.model_dump_json())

    return registry(answer), asked


def test_a_list_is_followed_to_its_end() -> None:
    client, asked = pages([summary("a"), summary("b")], [], [summary("c")])
    assert [one.name for one in client.certificates()] == ["a", "b", "c"]
    assert asked == ["", "1", "2"]


def test_a_filtered_list_keeps_its_filters_on_every_page() -> None:
    query = CertificateQuery(site="site1", label=("tier=gold", "stage=prod"), sort=Order.EXPIRES)
    asked: list[str] = []

    def answer(call: httpx.Request) -> httpx.Response:
        asked.append(call.url.query.decode())
        page = Page[CertificateSummary](items=(summary(),), next="two" if len(asked) == 1 else None)
        return httpx.Response(200, content=page.model_dump_json(), headers={"etag": 'W/"x"'})

    assert len(list(registry(answer).certificates(query))) == 2
    filters = "label=tier%3Dgold&label=stage%3Dprod&site=site1&sort=expires&limit=500"
    assert asked == [filters, f"{filters}&after=two"]


def test_an_older_registry_that_would_show_all_is_not_believed() -> None:
    client, _ = pages([summary("a")])
    assert len(list(client.certificates(CertificateQuery(owner="shop", health=Health.OK)))) == 1
    with pytest.raises(CommandError, match="doesn't read site") as refused:
        list(client.certificates(CertificateQuery(owner="shop", site="site1")))
    assert refused.value.exit_code is ExitCode.INVALID


def test_a_page_that_nobody_needs_is_not_asked_for() -> None:
    client, asked = pages([summary("a")], [summary("b")])
    assert next(client.certificates()).name == "a"
    assert asked == [""]


def test_a_list_without_an_end_is_not_followed_for_ever() -> None:
    client, asked = pages([summary("a")], [summary("b")], last="1")
    with pytest.raises(CommandError, match="has no end"):
        list(client.certificates())
    assert len(asked) == 2


def test_an_item_that_cannot_be_read_is_told_once_and_the_others_are_shown() -> None:
    good = summary("good").model_dump(mode="json")
    broken_view = view().model_dump(mode="json")
    broken_view["targets"][0].pop("state")
    told: list[str] = []

    def answer(call: httpx.Request) -> httpx.Response:
        if call.url.path == "/v1/certificates":
            return httpx.Response(200, json={"items": [good, {"name": "bad\nname"}, 7], "next": None})
        return httpx.Response(200, json=broken_view)

    client = Registry(
        Connection("http://registry.test", _TOKEN), tell=told.append, transport=httpx.MockTransport(answer)
    )
    assert [one.name for one in client.certificates()] == ["good"]
    assert [line.split(",")[0] for line in told] == [
        "warning: items.1 (bad\nname) is left out",
        "warning: items.2 is left out",
    ]
    assert "dns_names: missing" in told[0]
    assert [len(client.certificate("shop").targets) for _ in range(2)] == [1, 1]
    assert told[2:] == ["warning: targets.0 (web) of shop is left out, since it can't be read: state: missing"]


def test_services_are_a_list_too() -> None:
    silent = ServiceView(place="hub", service="issuer", version=None, last_heartbeat=None, silent=True)
    with always(200, Page[ServiceView](items=(silent,)).model_dump_json().encode()) as client:
        assert list(client.services()) == [silent]


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"items": 3}', b'{"items": [], "next": 3}'])
def test_a_list_of_another_form_is_told(content: bytes) -> None:
    with always(200, content) as client, pytest.raises(CommandError, match="can't be read"):
        list(client.sites())


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
        list(client.sites())
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
        list(Registry(Connection(url, _TOKEN)).sites())
    assert told.value.exit_code in {ExitCode.INVALID, ExitCode.UNREACHABLE}


def test_a_certificate_is_read_whole() -> None:
    with always(200, view().model_dump_json().encode()) as client:
        assert client.certificate("shop") == view()


@pytest.mark.parametrize("content", [None, "", "nothing of the kind"])
def test_a_client_certificate_that_can_not_be_used_is_told(tmp_path: Path, content: str | None) -> None:
    pair = tmp_path / "own.pem"
    if content is not None:
        pair.write_text(content)
    with pytest.raises(CommandError, match=r"own\.pem can't be used") as told:
        Registry(Connection("https://registry.test", _TOKEN, certificate_file=pair, key_file=pair))
    assert told.value.exit_code is ExitCode.INVALID
    assert "CERTBUS_KEY_FILE" in told.value.next_step


WAITING = {
    "id": "c1",
    "act": "make",
    "state": "waiting",
    "subject": "carol",
    "asked_by": "alice",
    "created_at": "2026-03-01T12:00:00Z",
    "expires_at": "2026-03-04T12:00:00Z",
}


def test_a_token_that_waits_for_a_second_admin_is_told_as_waiting_with_what_to_do() -> None:
    seen: list[tuple[str, str, bytes]] = []

    def answer(call: httpx.Request) -> httpx.Response:
        seen.append((call.method, call.url.path, call.content))
        return httpx.Response(202 if call.url.path.startswith("/v1/tokens") else 200, json=WAITING)

    with registry(answer) as client:
        order = TokenOrder(subject="carol", owner="shop", roles=())
        for act in (
            lambda: client.make_token(order),
            lambda: client.rotate_token("t1"),
            lambda: client.revoke_token("t1"),
        ):
            with pytest.raises(CommandError, match="waits for a second admin until 2026-03-04 12:00 UTC") as waits:
                act()
            assert waits.value.exit_code is ExitCode.WAITING_FOR_APPROVAL
            assert "certbus token confirm c1" in (waits.value.next_step or "")
        assert client.decide_rights("c1", "confirm").subject == "carol"
        assert client.decide_rights("c1", "refuse", "no").id == "c1"
    assert seen[3:] == [
        ("POST", "/v1/rights-changes/c1/confirm", b""),
        ("POST", "/v1/rights-changes/c1/refuse", b'{"reason":"no"}'),
    ]
