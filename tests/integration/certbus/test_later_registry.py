"""The command in front of a registry that is newer than it: pages, unknown words, items that it can't read."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import BaseModel

from certbus.exit_codes import ExitCode
from certcore.api import ServiceView, SiteView
from tests.integration.certbus.command import certbus
from tests.unit.certbus.samples import condition, request, revision, summary, view

pytestmark = pytest.mark.integration


def body(model: BaseModel, **changes: object) -> dict[str, Any]:
    return {**model.model_dump(mode="json"), **changes}


_LISTS: dict[str, list[Any]] = {
    "/v1/certificates": [
        body(summary("first"), state="paused", health="limping", health_reason="one foot", mood="blue"),
        {"name": "unreadable\x1b[31m", "owner": "team-shop"},
        body(summary("last")),
    ],
    "/v1/requests": [body(request(), state="postponed", kind="rename")],
    "/v1/sites": [
        body(
            SiteView(name="site1", services=("pusher", "syncer"), last_heartbeat=None, targets=1, targets_done=0),
            silent=["pusher"],
        )
    ],
    "/v1/services": [
        body(ServiceView(place="hub", service="issuer", version="0.2.0", last_heartbeat=None, silent=True)),
        body(ServiceView(place="site1", service="seer", version=None, last_heartbeat=None, silent=False)),
    ],
}
_CERTIFICATE = body(
    view(
        health="degraded",
        health_reason="web serves another",
        conditions=(condition(),),
        variants=(revision(), revision(variant="cps")),
    ),
    state="paused",
    labels={"app": "shop"},
)


class _Registry(BaseHTTPRequestHandler):
    """One item a page; whatever is posted comes back as a request's answer."""

    posted: list[Any] = []  # noqa: RUF012 # the tests of one server share it

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v1/certificates/shop":
            self._answer(_CERTIFICATE)
        elif url.path in _LISTS:
            number = int(parse_qs(url.query).get("after", ["0"])[0])
            items = _LISTS[url.path]
            following = str(number + 1) if number + 1 < len(items) else None
            self._answer({"items": items[number : number + 1], "next": following})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        read = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.posted.append(read)
        self._answer(body(request(), spec=read))

    def _answer(self, answer: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # http.server's name
        pass


@pytest.fixture(autouse=True)
def posted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    (tmp_path / "token").write_text("cb_secret")
    monkeypatch.setenv("CERTBUS_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("CERTBUS_PLAIN_TEXT", "1")
    monkeypatch.setenv("CERTBUS_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.delenv("CERTBUS_CA_FILE", raising=False)
    _Registry.posted.clear()
    try:
        yield _Registry.posted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_one_bad_item_is_told_and_the_others_of_all_pages_are_shown() -> None:
    table = await certbus("cert", "list")
    assert table.code == ExitCode.OK
    (warning,) = table.err.splitlines()
    assert warning.startswith("warning: items.0 (unreadable\N{REPLACEMENT CHARACTER}[31m) is left out")
    assert [line.split()[0] for line in table.out.splitlines()] == ["NAME", "first", "last"]
    listed = await certbus("cert", "list", "-o", "json")
    assert [item["name"] for item in listed.json["items"]] == ["first", "last"]
    assert listed.json["next"] is None
    assert listed.json["items"][0]["state"] == "paused"


async def test_words_of_a_later_version_are_shown_as_they_are() -> None:
    certificates = await certbus("cert", "list")
    assert {"paused", "limping", "one", "foot"} <= set(certificates.out.splitlines()[1].split())
    requests = await certbus("request", "list")
    assert "postponed" in requests.out


async def test_a_certificate_shows_its_health_first_and_everything_that_holds_now() -> None:
    shown = await certbus("cert", "show", "shop")
    assert shown.code == ExitCode.OK
    assert shown.out.splitlines()[1] == "health:        degraded: web serves another"
    heads = [line.split()[0] for line in shown.out.split("\n\n")[1:]]
    assert heads == ["CONDITION", "VARIANT", "TARGET", "ENDPOINT"]
    assert "app=shop" in shown.out


async def test_silent_services_are_seen_at_their_site_and_by_themselves() -> None:
    sites = await certbus("site", "list")
    assert sites.out.splitlines()[1].split()[-2:] == ["pusher", "never"]
    services = await certbus("service", "list")
    assert [line.split() for line in services.out.splitlines()[1:]] == [
        ["hub", "issuer", "0.2.0", "never", "silent", "-"],
        ["site1", "seer", "-", "never", "ok", "-"],
    ]
    listed = await certbus("service", "list", "-o", "json")
    assert [item["service"] for item in listed.json["items"]] == ["issuer", "seer"]


async def test_a_target_of_a_kind_that_is_not_installed_here_is_sent(posted: list[Any]) -> None:
    created = await certbus(
        *("request", "create", "shop", "--dns", "shop.example.org", "--exposure", "public", "--no-proof"),
        *("--target", "toy-cdn:enrolment=17,networks=staging+production,name=edge"),
        *("--label", "app=shop", "--contact", "shop@example.org", "--description", "the till", "--dry-run"),
    )
    assert created.code == ExitCode.OK
    assert "toy-cdn" in created.err
    assert posted == [
        {
            "name": "shop",
            "dns_names": ["shop.example.org"],
            "exposure": "public",
            "targets": [
                {"kind": "toy-cdn", "enrolment": "17", "networks": ["staging", "production"], "name": "edge"}
            ],
            "endpoints": [],
            "labels": {"app": "shop"},
            "proof": "none",
            "contact": "shop@example.org",
            "description": "the till",
        }
    ]
    assert "toy-cdn:name=edge,enrolment=17,networks=staging+production" in created.out
