"""The stand-in answers the other services as the registry does: the same calls, the same statuses and shapes."""

import json
from collections.abc import AsyncIterator
from typing import Final

import httpx
import pytest
import pytest_asyncio

from certcore.api import IssueOrders, Problem
from certcore.bundles import IssuedBundle, SealedBundle, SealedKey
from certcore.events import DeploymentOrdered, EndpointsExpected
from certcore.placements import PLATFORM
from tests.authority import Authority
from tests.contracts.served_registry import CSR, NAMES, ORDERED_NAMES, Served, the_registry, the_standin

OfName = DeploymentOrdered | EndpointsExpected

_LISTS: Final = (
    ("/v1/deployments", "syncer", DeploymentOrdered),
    ("/v1/expectations", "monitor", EndpointsExpected),
)


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["standin", pytest.param("registry", marks=pytest.mark.integration)],
)
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    here = the_standin() if request.param == "standin" else the_registry(tmp_path_factory.mktemp("tokens"))
    async with here as found:
        yield found


def problem_of(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    return Problem.model_validate_json(answer.content)


@pytest.mark.parametrize(("path", "caller", "model"), _LISTS)
async def test_a_list_holds_what_the_caller_should_know_once(
    served: Served, path: str, caller: str, model: type[OfName]
) -> None:
    pages = await served.pages(path, model, caller=caller)
    assert sorted(item.name for page in pages for item in page) == sorted(NAMES)


@pytest.mark.parametrize(("path", "caller", "model"), _LISTS)
async def test_pages_of_one_give_the_same_items_in_the_same_order(
    served: Served, path: str, caller: str, model: type[OfName]
) -> None:
    whole = [item for page in await served.pages(path, model, caller=caller) for item in page]
    pages = await served.pages(path, model, caller=caller, limit="1")
    assert max(map(len, pages)) == 1
    assert [item for page in pages for item in page] == whole


async def test_what_is_ordered_and_not_issued_is_listed_for_the_issuer(served: Served) -> None:
    answer = await served.get("/v1/orders", caller="issuer")
    assert answer.status_code == 200
    assert answer.json().keys() == {"items", "next", "epoch", "contract"}
    page = IssueOrders.model_validate_json(answer.content)
    assert page.unreadable == ()
    by_variant = {order.variant: order for order in page.items if order.name == "ordered"}
    assert by_variant.keys() == {PLATFORM, "box"}
    assert [recipient.name for recipient in by_variant[PLATFORM].recipients] == ["site1-syncer"]
    assert (by_variant["box"].csr_pem, by_variant["box"].recipients) == (CSR, ())
    assert {(order.revision, order.dns_names) for order in by_variant.values()} == {(1, ORDERED_NAMES)}


@pytest.mark.parametrize("caller", ["syncer", "pusher", "monitor"])
async def test_only_the_issuer_reads_what_is_ordered(served: Served, caller: str) -> None:
    answer = await served.get("/v1/orders", caller=caller)
    assert (answer.status_code, problem_of(answer).type) == (403, "/problems/forbidden")


@pytest.mark.parametrize(
    ("path", "caller"),
    [
        ("/v1/orders", "issuer"),
        ("/v1/deployments", "syncer"),
        ("/v1/csrs", "syncer"),
        ("/v1/expectations", "monitor"),
    ],
)
async def test_a_page_that_the_caller_has_is_not_sent_again(served: Served, path: str, caller: str) -> None:
    first = await served.get(path, caller=caller)
    etag = first.headers["etag"]
    assert etag.startswith('"')
    for known in (etag, f'"other", {etag}', f"W/{etag}"):
        again = await served.get_unless(known, path, caller=caller)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await served.get_unless('"other"', path, caller=caller)
    assert (other.status_code, other.content) == (200, first.content)


REVIEW: Final = "/v1/sites/site1/review"


def update_of(digest: str, *names: str, **changes: object) -> bytes:
    secrets = [{"cluster": "c", "namespace": "web", "secret": name, "manager": ""} for name in names]
    return json.dumps({"digest": digest, "changed": secrets} | changes).encode()


async def test_a_review_comes_whole_in_parts_and_then_as_what_changed(served: Served) -> None:
    for body, status in (
        (update_of("d1", "a", "b", more=True), 204),
        (update_of("d2", base="d1"), 409),
        (update_of("d1", "c"), 204),
        (update_of("d2", "d", base="d1", gone=[{"cluster": "c", "namespace": "web", "secret": "a"}]), 204),
        (update_of("d2", base="d2"), 204),
        (update_of("d3", base="d1"), 409),
    ):
        answer = await served.put(REVIEW, body, caller="syncer")
        assert answer.status_code == status, answer.text
        if status == 409:
            assert problem_of(answer).type == "/problems/conflict"
        else:
            assert answer.content == b""


@pytest.mark.parametrize("body", [b"", b"{}", update_of(""), update_of("x" * 65)])
async def test_a_review_that_nobody_can_read_is_refused(served: Served, body: bytes) -> None:
    answer = await served.put(REVIEW, body, caller="syncer")
    assert (answer.status_code, problem_of(answer).type) == (422, "/problems/invalid-request")


async def test_only_a_site_s_syncer_tells_its_review(served: Served) -> None:
    for path, caller, status in (
        ("/v1/sites/site2/review", "syncer", 404),
        (REVIEW, "issuer", 403),
        (REVIEW, "nobody", 401),
        (REVIEW, None, 401),
    ):
        answer = await served.put(path, update_of("d1"), caller=caller)
        assert answer.status_code == status
        assert problem_of(answer).status == status


async def test_nothing_wanted_is_an_empty_page(served: Served) -> None:
    answer = await served.get("/v1/csrs")
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})


async def test_an_order_refers_to_the_bundle_that_is_served(served: Served) -> None:
    order = (await served.orders())["second"]
    (placement,) = order.placements
    answer = await served.get(f"/v1/bundles/{order.certificate_id}/{placement.revision}", variant=placement.variant)
    assert answer.status_code == 200
    bundle = SealedBundle.model_validate_json(answer.content)
    assert bundle.sha256() == placement.bundle_sha256
    assert (bundle.certificate_id, bundle.revision, bundle.variant) == (order.certificate_id, 1, PLATFORM)
    assert bundle.key is not None
    assert bundle.key.recipient == "site1-syncer"
    assert answer.json().keys() == {"certificate_id", "revision", "chain_pem", "key", "variant"}
    assert answer.json()["key"].keys() == {"recipient", "sealed", "key_id"}


async def test_without_a_variant_the_bundle_of_the_platform_is_meant(served: Served) -> None:
    path = f"/v1/bundles/{(await served.orders())['first'].certificate_id}/1"
    assert (await served.get(path)).json() == (await served.get(path, variant=PLATFORM)).json()


async def test_what_is_expected_names_the_leaf_that_is_ordered(served: Served) -> None:
    (placement,) = (await served.orders())["third"].placements
    pages = await served.pages("/v1/expectations", EndpointsExpected, caller="monitor")
    (expected,) = [item for page in pages for item in page if item.name == "third"]
    (endpoint,) = expected.endpoints
    assert [leaf.fingerprint_sha256 for leaf in endpoint.wanted] == [placement.fingerprint_sha256]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/bundles/nobody/1", {}),
        ("/v1/bundles/{first}/2", {}),
        ("/v1/bundles/{first}/1", {"variant": "cps"}),
        ("/v1/nothing", {}),
    ],
)
async def test_what_is_not_there_is_a_problem_document(served: Served, path: str, query: dict[str, str]) -> None:
    first = (await served.orders())["first"].certificate_id
    answer = await served.get(path.format(first=first), **query)
    assert answer.status_code == 404
    problem = problem_of(answer)
    assert (problem.type, problem.status) == ("/problems/not-found", 404)


def handed_over(chain_pem: str, *recipients: str, sealed: bytes = b"sealed") -> bytes:
    keys = tuple(SealedKey.of(recipient, sealed, None) for recipient in recipients)
    return IssuedBundle(chain_pem=chain_pem, keys=keys).model_dump_json().encode()


async def test_the_first_bundle_of_a_revision_is_kept_whatever_comes_after_it(served: Served) -> None:
    authority = Authority("of the platform's variant")
    first, another = authority.issue(*ORDERED_NAMES), authority.issue(*ORDERED_NAMES)
    assert (await served.get(served.ordered)).status_code == 404

    taken = await served.put(served.ordered, handed_over(first.chain_pem, "site1-syncer"))
    assert (taken.status_code, taken.json()) == (200, {"reported": False})
    stored = await served.get(served.ordered)
    bundle = SealedBundle.model_validate_json(stored.content)
    assert (bundle.chain_pem, bundle.variant) == (first.chain_pem, PLATFORM)
    assert bundle.key == SealedKey.of("site1-syncer", b"sealed", None)

    same = handed_over(first.chain_pem, "site1-syncer")
    sealed_anew = handed_over(first.chain_pem, "site1-syncer", sealed=b"anew")
    for again in (same, sealed_anew, handed_over(first.chain_pem)):
        assert (await served.put(served.ordered, again)).status_code == 200
    refused = await served.put(served.ordered, handed_over(another.chain_pem, "site1-syncer"), variant=PLATFORM)
    assert refused.status_code == 409
    assert (problem_of(refused).type, problem_of(refused).status) == ("/problems/conflict", 409)
    assert (await served.get(served.ordered)).json() == stored.json()


async def test_a_variant_has_a_bundle_of_its_own_which_may_hold_no_key(served: Served) -> None:
    authority = Authority("of the variant box")
    signed, another = authority.sign(CSR, *ORDERED_NAMES), authority.sign(CSR, *ORDERED_NAMES)
    assert (await served.get(served.ordered, caller="pusher", variant="box")).status_code == 404
    assert (await served.put(served.ordered, handed_over(signed.chain_pem), variant="box")).status_code == 200
    assert (await served.put(served.ordered, handed_over(signed.chain_pem), variant="box")).status_code == 200
    assert (await served.put(served.ordered, handed_over(another.chain_pem), variant="box")).status_code == 409
    stored = await served.get(served.ordered, caller="pusher", variant="box")
    bundle = SealedBundle.model_validate_json(stored.content)
    assert (bundle.chain_pem, bundle.variant, bundle.key) == (signed.chain_pem, "box", None)


async def test_a_bundle_that_is_served_already_is_not_replaced(served: Served) -> None:
    order = (await served.orders())["first"]
    path = f"/v1/bundles/{order.certificate_id}/1"
    stored = (await served.get(path)).json()
    another = Authority("of another leaf").issue("first.example.org")
    assert (await served.put(path, handed_over(stored["chain_pem"], "site1-syncer"))).status_code == 200
    assert (await served.put(path, handed_over(another.chain_pem, "site1-syncer"))).status_code == 409
    assert (await served.get(path)).json() == stored


_GOOD: Final = Authority("of refused bundles").issue(*ORDERED_NAMES)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "invalid-request"),
        (b"no JSON", "invalid-request"),
        (b"{}", "invalid-request"),
        (handed_over(_GOOD.chain_pem).replace(b'"keys":[]', b'"keys":[{}]'), "invalid-request"),
        (handed_over("no chain", "site1-syncer"), "invalid-certificate"),
        (handed_over(_GOOD.leaf_pem * 2, "site1-syncer"), "invalid-certificate"),
        (handed_over(_GOOD.chain_pem + _GOOD.key_pem, "site1-syncer"), "invalid-certificate"),
        (handed_over(_GOOD.chain_pem, "site1-syncer", sealed=_GOOD.key_pem.encode()), "invalid-certificate"),
        (handed_over(_GOOD.chain_pem, "site1-syncer").replace(b"c2VhbGVk", b"*"), "invalid-certificate"),
    ],
    ids=[
        "empty",
        "no-json",
        "no-fields",
        "no-key",
        "no-chain",
        "loose-chain",
        "key-in-chain",
        "unsealed",
        "no-base64",
    ],
)
async def test_a_bundle_that_nobody_can_read_or_that_holds_an_open_key_is_refused(
    served: Served, body: bytes, problem: str
) -> None:
    refused = await served.put(served.ordered, body)
    assert refused.status_code == 422, refused.text
    assert (problem_of(refused).type, problem_of(refused).status) == (f"/problems/{problem}", 422)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/bundles/nobody/0", {}),
        ("/v1/bundles/nobody/one", {}),
        (f"/v1/bundles/nobody/{2**31}", {}),
        ("/v1/bundles/nobody/1", {"variant": "No Name"}),
    ],
)
async def test_what_no_bundle_can_be_called_is_an_invalid_request(
    served: Served, path: str, query: dict[str, str]
) -> None:
    body = handed_over(_GOOD.chain_pem, "site1-syncer")
    for answer in (await served.get(path, **query), await served.put(path, body, **query)):
        assert answer.status_code == 422, answer.text
        assert problem_of(answer).type == "/problems/invalid-request"


@pytest.mark.parametrize("caller", [None, "nobody"])
async def test_who_has_no_valid_token_hands_nothing_over(served: Served, caller: str | None) -> None:
    refused = await served.put(served.ordered, handed_over(_GOOD.chain_pem, "site1-syncer"), caller=caller)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert problem_of(refused).type == "/problems/unauthorized"


@pytest.mark.parametrize("caller", ["syncer", "monitor"])
async def test_only_the_issuer_hands_bundles_over(served: Served, caller: str) -> None:
    refused = await served.put(served.ordered, handed_over(_GOOD.chain_pem, "site1-syncer"), caller=caller)
    assert refused.status_code == 403
    assert problem_of(refused).type == "/problems/forbidden"


async def test_the_issuer_reads_neither_bundles_nor_lists(served: Served) -> None:
    first = (await served.orders())["first"].certificate_id
    assert (await served.get(f"/v1/bundles/{first}/1", caller="issuer")).status_code == 404
    for path in ("/v1/deployments", "/v1/csrs", "/v1/expectations"):
        answer = await served.get(path, caller="issuer")
        assert (answer.status_code, problem_of(answer).type) == (403, "/problems/forbidden")


async def test_nothing_can_be_handed_over_at_another_path(served: Served) -> None:
    refused = await served.put("/v1/nothing", handed_over(_GOOD.chain_pem, "site1-syncer"))
    assert (refused.status_code, problem_of(refused).type) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    "path", ["/v1/orders", "/v1/deployments", "/v1/csrs", "/v1/expectations", "/v1/bundles/nobody/1"]
)
async def test_who_has_no_token_is_told_nothing_else(served: Served, path: str) -> None:
    answer = await served.get(path, caller=None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert problem_of(answer).type == "/problems/unauthorized"
