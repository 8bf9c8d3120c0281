"""The ACME client and what comes between it and a CA on its bad days: nonces, problems, silence."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import OrderStatus
from issuer.domain.errors import AcmeProblemError, CaUnreachableError, Subproblem
from tests.integration.issuer.acme_book import Book, client_of
from tests.integration.issuer.scripted_ca import Answer, ScriptedCa, problem, scripted_ca

pytestmark = pytest.mark.integration


@pytest.fixture
def scripted() -> Iterator[ScriptedCa]:
    with scripted_ca() as ca:
        yield ca


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def ca(scripted: ScriptedCa, book: Book, tmp_path: Path) -> AsyncIterator[AcmeCa]:
    async with client_of(scripted, tmp_path, book=book) as made:
        yield made


async def test_seven_bad_nonces_in_a_row_are_borne(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", *[problem("badNonce")] * 7, Answer(body=scripted.order()))
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING
    nonces = [asked.protected["nonce"] for asked in scripted.asked]
    assert len(set(nonces)) == len(nonces)
    # The answer that refuses a nonce brings the next one.
    assert scripted.nonce_requests == 1


async def test_eight_bad_nonces_are_the_cas_trouble(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", problem("badNonce"))
    with pytest.raises(AcmeProblemError) as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert raised.value.type == "badNonce"
    assert scripted.paths().count("/order/1") == 8


async def test_a_rate_limit_keeps_type_detail_and_retry_after(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", problem("rateLimited", 429, headers={"Retry-After": "3600"}))
    with pytest.raises(AcmeProblemError, match="rateLimited: rateLimited it is") as raised:
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert (raised.value.status, raised.value.retry_after) == (429, timedelta(hours=1))


async def test_a_retry_after_date_counts_from_the_cas_own_clock(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", Answer(body=scripted.order("processing"), headers={"Retry-After": "later"}))
    assert (await ca.order(f"{scripted.url}/order/1")).retry_after is None
    in_two_minutes = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    scripted.tell("/order/1", Answer(body=scripted.order("processing"), headers={"Retry-After": in_two_minutes}))
    waiting = (await ca.order(f"{scripted.url}/order/1")).retry_after
    assert waiting is not None
    assert timedelta(seconds=110) < waiting <= timedelta(seconds=121)


async def test_subproblems_name_who_is_at_fault(scripted: ScriptedCa, ca: AcmeCa) -> None:
    inner = {
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "forbidden by CAA",
        "identifier": {"type": "dns", "value": "b.example.org"},
    }
    scripted.tell("/newOrder", problem("compound", 403, subproblems=[inner]))
    with pytest.raises(AcmeProblemError, match=r"b\.example\.org: forbidden by CAA") as raised:
        await ca.open_order(("a.example.org", "b.example.org"), replaces=None, profile=None)
    assert raised.value.subproblems == (Subproblem("b.example.org", "caa", "forbidden by CAA"),)


@pytest.mark.parametrize("status", [400, 404, 409, 503])
async def test_an_answer_without_a_problem_document_is_told_by_its_status(
    scripted: ScriptedCa, ca: AcmeCa, status: int
) -> None:
    scripted.tell("/order/1", Answer(status, raw=b"<html>\x00sorry</html>"))
    with pytest.raises(AcmeProblemError, match=f"HTTP {status}") as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert (raised.value.type, raised.value.status) == ("", status)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"status": "splendid", "finalize": "x"}', b"\xff\xfe"])
async def test_an_answer_that_can_not_be_read_counts_as_none(scripted: ScriptedCa, ca: AcmeCa, raw: bytes) -> None:
    scripted.tell("/order/1", Answer(raw=raw))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.order(f"{scripted.url}/order/1")


async def test_a_question_that_hangs_is_given_up_and_told_from_a_ca_that_is_away(
    scripted: ScriptedCa, ca: AcmeCa
) -> None:
    scripted.tell("/order/1", Answer(hang=True))
    with pytest.raises(CaUnreachableError, match="no answer in 2 s") as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert raised.value.timed_out
    assert await ca.answers()


async def test_a_ca_that_is_away_is_unreachable(book: Book, tmp_path: Path) -> None:
    with scripted_ca() as gone:
        pass
    async with client_of(gone, tmp_path, book=book) as ca:
        with pytest.raises(CaUnreachableError) as raised:
            await ca.order(f"{gone.url}/order/1")
        assert not raised.value.timed_out
        assert not await ca.answers()


async def test_a_silent_ca_holds_its_own_call_alone(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", Answer(hang=True))
    scripted.tell("/order/2", Answer(body=scripted.order()))
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
        scripted.tell("/order/1", Answer(hang=True))
        asked = [ca.order(f"{scripted.url}/order/1") for _ in range(4)]
        ended = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(error, CaUnreachableError) for error in ended)
    assert scripted.paths().count("/order/1") < 4
    # What was never asked hasn't been done by the CA.
    assert {error.timed_out for error in ended if isinstance(error, CaUnreachableError)} == {True, False}


async def test_a_slow_order_is_waited_for_longer_than_an_answer(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    enough = threading.Event()

    def made() -> bytes:
        enough.wait(60)
        return b'{"status": "pending", "finalize": "f"}'

    scripted.tell("/newOrder", Answer(201, make=made, headers={"Location": "/order/7"}))
    scripted.tell("/order/1", Answer(hang=True))
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
    scripted.tell("/newOrder", Answer(hang=True))
    async with client_of(scripted, tmp_path, book=book, work_limit_s=0.5) as ca:
        with pytest.raises(CaUnreachableError) as raised:
            await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert raised.value.timed_out
    assert scripted.paths().count("/newOrder") == 1


async def test_a_connection_that_was_closed_meanwhile_costs_a_look_nothing(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", Answer(hang_up=True), Answer(body=scripted.order()))
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING


async def test_what_may_have_been_done_is_not_asked_twice(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", Answer(hang_up=True))
    with pytest.raises(CaUnreachableError, match="isconnected"):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    scripted.tell("/finalize/1", Answer(hang_up=True))
    with pytest.raises(CaUnreachableError, match="isconnected"):
        await ca.finalize(f"{scripted.url}/finalize/1", b"csr")
    assert scripted.paths() == ["/newAccount", "/newOrder", "/finalize/1"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_signed_question_follows_no_redirect(scripted: ScriptedCa, ca: AcmeCa, status: int) -> None:
    scripted.tell("/order/1", Answer(status, {}, headers={"Location": f"{scripted.url}/order/2"}))
    with pytest.raises(CaUnreachableError, match="leads elsewhere"):
        await ca.order(f"{scripted.url}/order/1")
    assert "/order/2" not in scripted.paths()


async def test_an_answer_without_end_is_cut_off(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/certificate/1", Answer(raw=b"x" * 3_000_000))
    with pytest.raises(CaUnreachableError, match="more than 1000000 bytes"):
        await ca.certificate(f"{scripted.url}/certificate/1")


async def test_a_bad_nonce_that_brings_no_new_one_is_asked_for(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell(
        "/order/1",
        problem("badNonce", headers={"Replay-Nonce": "not a nonce"}),
        Answer(body=scripted.order()),
    )
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING
    assert all("not" not in asked.protected["nonce"] for asked in scripted.asked)


async def test_many_questions_at_once_use_each_nonce_once(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await asyncio.gather(*(ca.order(f"{scripted.url}/order/1") for _ in range(40)))
    nonces = [asked.protected["nonce"] for asked in scripted.asked]
    assert len(set(nonces)) == len(nonces) == 41
    assert scripted.nonce_requests < 40


async def test_an_endpoint_that_moved_is_found_in_the_directory(scripted: ScriptedCa, ca: AcmeCa) -> None:
    opened = Answer(201, scripted.order(), headers={"Location": f"{scripted.url}/order/1"})
    scripted.tell("/newOrder", opened)
    await ca.open_order(("a.example.org",), replaces=None, profile=None)
    scripted.tell("/newOrder", problem("malformed", 404))
    scripted.tell("/v2/newOrder", opened)
    scripted.directory["newOrder"] = f"{scripted.url}/v2/newOrder"
    assert (await ca.open_order(("a.example.org",), replaces=None, profile=None)).url == f"{scripted.url}/order/1"
    assert scripted.paths()[-2:] == ["/newOrder", "/v2/newOrder"]


async def test_an_endpoint_that_is_gone_is_told_once(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", Answer(410))
    with pytest.raises(AcmeProblemError, match="HTTP 410"):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert scripted.paths().count("/newOrder") == 1


async def test_a_directory_is_read_again_each_hour_and_kept_while_it_can_not_be(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    scripted.directory["meta"] = {"caaIdentities": ["ca.test"], "profiles": {"short": "6 days", "odd": 5}}
    assert await ca.caa_identities() == ("ca.test",)
    assert await ca.profiles() == {"short": "6 days", "odd": "5"}
    scripted.directory["meta"] = {"caaIdentities": ["new.test"]}
    book.now += 3599
    assert await ca.caa_identities() == ("ca.test",)
    book.now += 2
    scripted.tell("/dir", Answer(503, raw=b"<html>"))
    assert await ca.caa_identities() == ("ca.test",)
    del scripted.script["/dir"]
    book.now += 61
    assert await ca.caa_identities() == ("new.test",)
    assert await ca.profiles() == {}


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b'{"newNonce": "", "newAccount": "a", "newOrder": "o"}'])
async def test_what_is_no_directory_counts_as_no_answer(scripted: ScriptedCa, ca: AcmeCa, raw: bytes) -> None:
    scripted.tell("/dir", Answer(raw=raw))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.order(f"{scripted.url}/order/1")


async def test_the_environment_changes_nothing(
    scripted: ScriptedCa, ca: AcmeCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
