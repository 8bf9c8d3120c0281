"""The ACME client and what comes between it and a CA on its bad days: nonces, problems, silence."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import OrderStatus
from issuer.domain.errors import AcmeProblemError, CaUnreachableError, Subproblem
from tests.acme_ca import acts
from tests.acme_ca.calls import Call, Endpoint, Reply, problem, replied
from tests.acme_ca.script import Act, Proceed
from tests.acme_ca.server import ScriptedCa, plain_ca
from tests.integration.issuer.acme_book import Book, an_order, client_of, opened_order
from tests.patience import HANG_S

pytestmark = pytest.mark.integration


@pytest.fixture
def scripted() -> Iterator[ScriptedCa]:
    with plain_ca() as ca:
        yield ca


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def ca(scripted: ScriptedCa, book: Book, tmp_path: Path) -> AsyncIterator[AcmeCa]:
    async with client_of(scripted, tmp_path, book=book) as made:
        yield made


async def test_seven_bad_nonces_in_a_row_are_borne(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, *[problem("badNonce")] * 7, an_order(scripted))
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING
    nonces = [asked.protected["nonce"] for asked in scripted.posted()]
    assert len(set(nonces)) == len(nonces)
    # The answer that refuses a nonce brings the next one.
    assert len(scripted.asked(Endpoint.NEW_NONCE)) == 1


async def test_eight_bad_nonces_are_the_cas_trouble(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, problem("badNonce"))
    with pytest.raises(AcmeProblemError) as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert raised.value.type == "badNonce"
    assert len(scripted.asked(Endpoint.ORDER)) == 8


async def test_a_rate_limit_keeps_type_detail_and_retry_after(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, problem("rateLimited", 429).telling(Retry_After="3600"))
    with pytest.raises(AcmeProblemError, match="rateLimited: rateLimited it is") as raised:
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert (raised.value.status, raised.value.retry_after) == (429, timedelta(hours=1))


async def test_a_retry_after_date_counts_from_the_cas_own_clock(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, an_order(scripted, "processing").telling(Retry_After="later"))
    assert (await ca.order(f"{scripted.url}/order/1")).retry_after is None
    in_two_minutes = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    scripted.script.tell(Endpoint.ORDER, an_order(scripted, "processing").telling(Retry_After=in_two_minutes))
    waiting = (await ca.order(f"{scripted.url}/order/1")).retry_after
    assert waiting is not None
    assert timedelta(seconds=110) < waiting <= timedelta(seconds=121)


async def test_subproblems_name_who_is_at_fault(scripted: ScriptedCa, ca: AcmeCa) -> None:
    inner = {
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "forbidden by CAA",
        "identifier": {"type": "dns", "value": "b.example.org"},
    }
    scripted.script.tell(Endpoint.NEW_ORDER, problem("compound", 403, subproblems=[inner]))
    with pytest.raises(AcmeProblemError, match=r"b\.example\.org: forbidden by CAA") as raised:
        await ca.open_order(("a.example.org", "b.example.org"), replaces=None, profile=None)
    assert raised.value.subproblems == (Subproblem("b.example.org", "caa", "forbidden by CAA"),)


@pytest.mark.parametrize("status", [400, 404, 409, 503])
async def test_an_answer_without_a_problem_document_is_told_by_its_status(
    scripted: ScriptedCa, ca: AcmeCa, status: int
) -> None:
    scripted.script.tell(Endpoint.ORDER, Reply(status, b"<html>\x00sorry</html>"))
    with pytest.raises(AcmeProblemError, match=f"HTTP {status}") as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert (raised.value.type, raised.value.status) == ("", status)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"status": "splendid", "finalize": "x"}', b"\xff\xfe"])
async def test_an_answer_that_can_not_be_read_counts_as_none(scripted: ScriptedCa, ca: AcmeCa, raw: bytes) -> None:
    scripted.script.tell(Endpoint.ORDER, Reply(body=raw))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.order(f"{scripted.url}/order/1")


async def test_a_question_that_hangs_is_given_up_and_told_from_a_ca_that_is_away(
    scripted: ScriptedCa, ca: AcmeCa
) -> None:
    scripted.script.tell(Endpoint.ORDER, acts.silence())
    with pytest.raises(CaUnreachableError, match="no answer in 2 s") as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert raised.value.timed_out
    assert await ca.answers()


async def test_a_ca_that_is_away_is_unreachable(book: Book, tmp_path: Path) -> None:
    with plain_ca() as gone:
        pass
    async with client_of(gone, tmp_path, book=book) as ca:
        with pytest.raises(CaUnreachableError) as raised:
            await ca.order(f"{gone.url}/order/1")
        assert not raised.value.timed_out
        assert not await ca.answers()


async def test_a_silent_ca_holds_its_own_call_alone(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, acts.silence(), item="1")
    scripted.script.tell(Endpoint.ORDER, an_order(scripted), item="2")
    silent = asyncio.create_task(ca.order(f"{scripted.url}/order/1"))
    for _ in range(5):
        assert (await ca.order(f"{scripted.url}/order/2")).status is OrderStatus.PENDING
    assert not silent.done()
    with pytest.raises(CaUnreachableError):
        await silent


async def test_who_finds_every_connection_waiting_does_not_wait_for_ever(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    async with client_of(scripted, tmp_path, book=book, connections=1, answer_limit_s=0.5) as ca:
        await ca.account_url()
        scripted.script.tell(Endpoint.ORDER, acts.silence())
        asked = [ca.order(f"{scripted.url}/order/1") for _ in range(4)]
        ended = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(error, CaUnreachableError) for error in ended)
    assert len(scripted.asked(Endpoint.ORDER)) < 4
    # What was never asked hasn't been done by the CA.
    assert {error.timed_out for error in ended if isinstance(error, CaUnreachableError)} == {True, False}


async def test_a_slow_order_is_waited_for_longer_than_an_answer(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    enough = threading.Event()

    async def made(call: Call, proceed: Proceed) -> Reply:
        del call, proceed
        await asyncio.to_thread(enough.wait, HANG_S)
        return replied({"status": "pending", "finalize": "f"}, 201, Location="/order/7")

    scripted.script.tell(Endpoint.NEW_ORDER, made)
    scripted.script.tell(Endpoint.ORDER, acts.silence())
    async with client_of(scripted, tmp_path, book=book, answer_limit_s=0.5) as ca:
        slow = asyncio.create_task(ca.open_order(("a.example.org",), replaces=None, profile=None))
        with pytest.raises(CaUnreachableError, match=r"in 0\.5 s"):
            await ca.order(f"{scripted.url}/order/1")
        assert not slow.done()
        enough.set()
        assert (await slow).url == f"{scripted.url}/order/7"


async def test_a_ca_that_stays_silent_to_an_order_is_given_up(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, acts.silence())
    async with client_of(scripted, tmp_path, book=book, work_limit_s=0.5) as ca:
        with pytest.raises(CaUnreachableError) as raised:
            await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert raised.value.timed_out
    assert len(scripted.asked(Endpoint.NEW_ORDER)) == 1


async def test_a_connection_that_was_closed_meanwhile_costs_a_look_nothing(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, Reply(drop=True), an_order(scripted))
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING


async def test_what_may_have_been_done_is_not_asked_twice(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, Reply(drop=True))
    with pytest.raises(CaUnreachableError, match="isconnected"):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    scripted.script.tell(Endpoint.FINALIZE, Reply(drop=True))
    with pytest.raises(CaUnreachableError, match="isconnected"):
        await ca.finalize(f"{scripted.url}/finalize/1", b"csr")
    asked = [call.endpoint for call in scripted.posted()]
    assert asked == [Endpoint.NEW_ACCOUNT, Endpoint.NEW_ORDER, Endpoint.FINALIZE]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_signed_question_follows_no_redirect(scripted: ScriptedCa, ca: AcmeCa, status: int) -> None:
    scripted.script.tell(Endpoint.ORDER, replied({}, status, Location=f"{scripted.url}/order/2"))
    with pytest.raises(CaUnreachableError, match="leads elsewhere"):
        await ca.order(f"{scripted.url}/order/1")
    assert [call.item for call in scripted.asked(Endpoint.ORDER)] == ["1"]


async def test_an_answer_without_end_is_cut_off(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.CERTIFICATE, Reply(body=b"x" * 3_000_000))
    with pytest.raises(CaUnreachableError, match="more than 1000000 bytes"):
        await ca.certificate(f"{scripted.url}/certificate/1")


async def test_a_bad_nonce_that_brings_no_new_one_is_asked_for(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(
        Endpoint.ORDER,
        problem("badNonce").telling(Replay_Nonce="not a nonce"),
        an_order(scripted),
    )
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING
    assert all("not" not in asked.protected["nonce"] for asked in scripted.posted())


async def test_many_questions_at_once_use_each_nonce_once(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await asyncio.gather(*(ca.order(f"{scripted.url}/order/1") for _ in range(40)))
    nonces = [asked.protected["nonce"] for asked in scripted.posted()]
    assert len(set(nonces)) == len(nonces) == 41
    assert len(scripted.asked(Endpoint.NEW_NONCE)) < 40


async def test_an_endpoint_that_moved_is_found_in_the_directory(scripted: ScriptedCa, ca: AcmeCa) -> None:
    opened = opened_order(scripted)
    scripted.script.tell(Endpoint.NEW_ORDER, opened, item="")
    await ca.open_order(("a.example.org",), replaces=None, profile=None)
    scripted.script.tell(Endpoint.NEW_ORDER, problem("malformed", 404), item="")
    scripted.script.tell(Endpoint.NEW_ORDER, opened, item="v2")
    moved = acts.rewritten(lambda told: {**told, "newOrder": f"{told['newOrder']}/v2"})
    scripted.script.tell(Endpoint.DIRECTORY, moved)
    assert (await ca.open_order(("a.example.org",), replaces=None, profile=None)).url == f"{scripted.url}/order/1"
    asked = [(call.endpoint, call.item) for call in scripted.posted()]
    assert asked[-2:] == [(Endpoint.NEW_ORDER, ""), (Endpoint.NEW_ORDER, "v2")]


async def test_an_endpoint_that_is_gone_is_told_once(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, Reply(410))
    with pytest.raises(AcmeProblemError, match="HTTP 410"):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert len(scripted.asked(Endpoint.NEW_ORDER)) == 1


async def test_a_directory_is_read_again_each_hour_and_kept_while_it_can_not_be(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    def tells(meta: dict[str, Any]) -> Act:
        return acts.rewritten(lambda told: {**told, "meta": meta})

    meta = {"caaIdentities": ["ca.test"], "profiles": {"short": "6 days", "odd": 5}}
    scripted.script.tell(Endpoint.DIRECTORY, tells(meta))
    assert await ca.caa_identities() == ("ca.test",)
    assert await ca.profiles() == {"short": "6 days", "odd": "5"}
    scripted.script.tell(Endpoint.DIRECTORY, tells({"caaIdentities": ["new.test"]}))
    book.now += 3599
    assert await ca.caa_identities() == ("ca.test",)
    book.now += 2
    scripted.script.tell(Endpoint.DIRECTORY, Reply(503, b"<html>"))
    assert await ca.caa_identities() == ("ca.test",)
    scripted.script.tell(Endpoint.DIRECTORY, tells({"caaIdentities": ["new.test"]}))
    book.now += 61
    assert await ca.caa_identities() == ("new.test",)
    assert await ca.profiles() == {}


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b'{"newNonce": "", "newAccount": "a", "newOrder": "o"}'])
async def test_what_is_no_directory_counts_as_no_answer(scripted: ScriptedCa, ca: AcmeCa, raw: bytes) -> None:
    scripted.script.tell(Endpoint.DIRECTORY, Reply(body=raw))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.order(f"{scripted.url}/order/1")


async def test_the_environment_changes_nothing(
    scripted: ScriptedCa, ca: AcmeCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await ca.order(f"{scripted.url}/order/1")
