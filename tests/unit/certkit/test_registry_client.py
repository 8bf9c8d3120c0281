import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from certcore.api import BundleWanted, IssuedReport
from certcore.bundles import IssuedBundle
from certcore.errors import PermanentError, TransientError
from certcore.review import SiteReviewUpdate
from certkit.registry_client import IssueLevel, Listed, RegistryClient, ReviewAnswer
from certkit.settings import RegistrySettings

TOKEN = "token-of-site1-syncer"
ORDER: dict[str, Any] = {"target": {"name": "web", "kind": "files"}, "generation": 1}


class Answering:
    """A registry that gives its answers in turn, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def client(tmp_path: Path) -> Callable[[Answering], RegistryClient]:
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n")
    settings = RegistrySettings(url="https://registry.test", token_file=token_file)
    return lambda registry: RegistryClient(settings, transport=httpx.MockTransport(registry))


def deployment(number: int, **changes: object) -> dict[str, Any]:
    return {"certificate_id": f"c-{number}", "name": f"n{number}", "placements": [ORDER]} | changes


def page(*items: object, after: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next": after})


async def test_every_page_of_a_list_is_read(client: Callable[[Answering], RegistryClient]) -> None:
    registry = Answering(page(deployment(1), deployment(2), after="c-2"), page(deployment(3)))
    async with client(registry) as api:
        found = (await api.deployments()).items
    assert [item.certificate_id for item in found] == ["c-1", "c-2", "c-3"]
    assert [request.url.params.get("after") for request in registry.asked] == [None, "c-2"]
    assert {request.headers["authorization"] for request in registry.asked} == {f"Bearer {TOKEN}"}


async def test_a_token_that_is_replaced_counts_from_the_next_call_on(
    client: Callable[[Answering], RegistryClient], tmp_path: Path
) -> None:
    registry, file = Answering(*(page() for _ in range(5))), tmp_path / "token"
    async with client(registry) as api:
        await api.deployments()
        for content in ("another-token\n", "", "two words\n"):
            file.write_text(content)
            await api.deployments()
        file.unlink()
        await api.deployments()
    used = [request.headers["authorization"] for request in registry.asked]
    assert used == [f"Bearer {TOKEN}", *["Bearer another-token"] * 4]


def tagged(etag: str, answer: httpx.Response) -> httpx.Response:
    answer.headers["etag"] = etag
    return answer


async def test_a_page_that_did_not_change_is_not_sent_again(client: Callable[[Answering], RegistryClient]) -> None:
    registry = Answering(
        tagged('"a"', page(deployment(1), after="c-1")),
        tagged('"b"', page(deployment(2))),
        httpx.Response(304),
        tagged('"c"', page(deployment(3))),
        httpx.Response(304),
        httpx.Response(304),
    )
    async with client(registry) as api:
        found = [[item.certificate_id for item in (await api.deployments()).items] for _ in range(3)]
    assert found == [["c-1", "c-2"], ["c-1", "c-3"], ["c-1", "c-3"]]
    asked = [request.headers.get("if-none-match") for request in registry.asked]
    assert asked == [None, None, '"a"', '"b"', '"a"', '"c"']


async def test_a_page_that_can_not_be_read_is_not_kept(client: Callable[[Answering], RegistryClient]) -> None:
    registry = Answering(tagged('"a"', httpx.Response(200, content=b"<html>")), page(deployment(1)))
    async with client(registry) as api:
        with pytest.raises(PermanentError):
            await api.deployments()
        assert len((await api.deployments()).items) == 1
    assert "if-none-match" not in registry.asked[1].headers


async def test_an_answer_that_refers_to_a_page_that_nobody_has_is_refused(
    client: Callable[[Answering], RegistryClient],
) -> None:
    async with client(Answering(httpx.Response(304))) as api:
        with pytest.raises(PermanentError, match="304"):
            await api.deployments()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (204, ReviewAnswer.TAKEN),
        (409, ReviewAnswer.OTHER_BASE),
        (404, ReviewAnswer.NOT_KNOWN),
        (405, ReviewAnswer.NOT_KNOWN),
    ],
)
async def test_a_review_is_taken_or_builds_on_another_or_is_not_known(
    client: Callable[[Answering], RegistryClient], status: int, answer: ReviewAnswer
) -> None:
    registry = Answering(httpx.Response(status))
    async with client(registry) as api:
        assert await api.update_review("site1", SiteReviewUpdate(digest="d2", base="d1")) == answer
    (request,) = registry.asked
    assert (request.method, request.url.path) == ("PUT", "/v1/sites/site1/review")
    assert SiteReviewUpdate.model_validate_json(request.content) == SiteReviewUpdate(digest="d2", base="d1")


async def test_an_item_that_can_not_be_read_is_left_out_and_logged(
    client: Callable[[Answering], RegistryClient],
) -> None:
    bad = deployment(1) | {"certificate_id": 7}
    half = deployment(2, placements=[ORDER, ORDER | {"generation": "high"}])
    async with client(Answering(page(bad, half))) as api:
        with capture_logs() as logs:
            listed = await api.deployments()
    (found,) = listed.items
    assert not listed.complete
    assert (found.certificate_id, len(found.placements)) == ("c-2", 1)
    noted = [(entry["event"], entry["item"], entry["name"], entry["problem"]) for entry in logs]
    assert noted == [
        ("item_unreadable", "items.0", "n1", "certificate_id: string_type"),
        ("item_unreadable", "placements.1", "web", "generation: int_parsing"),
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (json.dumps([deployment(1)]).encode(), "1 errors"),
        (b"<html>", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"{}", "1 errors"),
    ],
)
async def test_a_list_of_another_form_is_refused_with_its_path(
    client: Callable[[Answering], RegistryClient], body: bytes, problem: str
) -> None:
    async with client(Answering(httpx.Response(200, content=body))) as api:
        with pytest.raises(PermanentError, match=f"answer to /v1/deployments can't be read: {problem}"):
            await api.deployments()


async def test_the_other_lists_are_read_alike(client: Callable[[Answering], RegistryClient]) -> None:
    registry = Answering(page(), page())
    async with client(registry) as api:
        assert await api.wanted_csrs() == []
        assert await api.expectations() == Listed([], complete=True)
    assert [request.url.path for request in registry.asked] == ["/v1/csrs", "/v1/expectations"]


def issue_order(number: int) -> dict[str, Any]:
    return {
        "certificate_id": f"c-{number}",
        "name": f"n{number}",
        "revision": 1,
        "dns_names": ["shop.example.org"],
        "exposure": "internal",
        "issuer": None,
        "key_algorithm": "ecdsa-p256",
        "approval_id": "a-1",
        "recipients": [],
    }


def issue_page(*items: object, after: str | None = None, epoch: int = 3) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next": after, "epoch": epoch})


async def test_what_is_to_be_issued_comes_with_the_epoch(client: Callable[[Answering], RegistryClient]) -> None:
    registry = Answering(issue_page(issue_order(1), after="c-1"), issue_page(issue_order(2), {"revision": "x"}))
    async with client(registry) as api:
        found = await api.orders()
    assert [order.certificate_id for order in found.items] == ["c-1", "c-2"]
    assert (found.complete, found.epoch) == (False, 3)
    assert {request.url.path for request in registry.asked} == {"/v1/orders"}


async def test_a_list_of_orders_over_two_epochs_is_not_complete(
    client: Callable[[Answering], RegistryClient],
) -> None:
    async with client(Answering(issue_page(after="c-1"), issue_page(epoch=4))) as api:
        assert await api.orders() == IssueLevel([], complete=False, epoch=4, contract=2)


async def test_a_report_of_what_was_issued_is_answered_with_what_is_missing(
    client: Callable[[Answering], RegistryClient],
) -> None:
    registry = Answering(httpx.Response(200, json={"wanted": [{"certificate_id": "c-1", "revision": 2}]}))
    async with client(registry) as api:
        answer = await api.report_issued(IssuedReport(epoch=3, revisions=(), complete=True))
    assert answer.wanted == (BundleWanted(certificate_id="c-1", revision=2),)
    assert json.loads(registry.asked[0].content) == {"epoch": 3, "revisions": [], "complete": True}


async def test_a_bundle_is_asked_for_by_its_variant(client: Callable[[Answering], RegistryClient]) -> None:
    body = {"certificate_id": "c-1", "revision": 2, "chain_pem": "", "key": None, "variant": "cdn", "new": 1}
    registry = Answering(httpx.Response(200, json=body), httpx.Response(204))
    async with client(registry) as api:
        assert (await api.fetch_bundle("c-1", 2, "cdn")).variant == "cdn"
        # A registry of an earlier version answers nothing.
        stored = await api.store_bundle("c-1", 2, IssuedBundle(chain_pem="", keys=()), "cdn")
        assert not stored.reported
    assert [(request.method, str(request.url)) for request in registry.asked] == [
        ("GET", "https://registry.test/v1/bundles/c-1/2?variant=cdn"),
        ("PUT", "https://registry.test/v1/bundles/c-1/2?variant=cdn"),
    ]


async def test_a_bundle_that_can_not_be_read_is_not_quoted(client: Callable[[Answering], RegistryClient]) -> None:
    async with client(Answering(httpx.Response(200, json={"chain_pem": "-----BEGIN PRIVATE KEY-----"}))) as api:
        with pytest.raises(PermanentError, match="SealedBundle can't be read") as caught:
            await api.fetch_bundle("c-1", 2)
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (httpx.Response(404), PermanentError),
        (httpx.Response(403), PermanentError),
        (httpx.Response(422), PermanentError),
        (httpx.Response(429), TransientError),
        (httpx.Response(500), TransientError),
        (httpx.Response(503), TransientError),
        (httpx.ConnectError("refused"), TransientError),
        (httpx.ReadTimeout("late"), TransientError),
    ],
)
async def test_a_failure_is_tried_again_where_that_may_help_and_never_shows_the_token(
    client: Callable[[Answering], RegistryClient], answer: httpx.Response | Exception, fate: type[Exception]
) -> None:
    async with client(Answering(answer)) as api:
        with pytest.raises(fate, match="registry: GET /v1/deployments") as caught:
            await api.deployments()
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "told", "wait"),
    [(429, "7", 7), (503, "5", 5), (503, "86400", 300), (503, None, None), (429, "soon", None)],
)
async def test_a_wait_that_the_registry_names_comes_with_the_failure(
    client: Callable[[Answering], RegistryClient], status: int, told: str | None, wait: int | None
) -> None:
    answer = httpx.Response(status, headers={"retry-after": told} if told else {})
    async with client(Answering(answer)) as api:
        with pytest.raises(TransientError) as caught:
            await api.deployments()
    assert caught.value.retry_after == (timedelta(seconds=wait) if wait is not None else None)
