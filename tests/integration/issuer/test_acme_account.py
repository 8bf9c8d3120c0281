"""The account at a CA: made once, found again, and one for all hosts."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme import jws as acme_jws
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy.json_util import decode_b64jose
from josepy.jwa import HS256, HS384, HS512
from josepy.jwk import JWKEC, JWKOct

from certcore.errors import PermanentError
from issuer.cas.acme.account_key import AccountSafe, new_account_key
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint, Reply, problem, replied
from tests.acme_ca.server import ScriptedCa, plain_ca
from tests.integration.issuer.acme_book import SAFE, Book, a_record, an_order, client_of

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


def asked(scripted: ScriptedCa) -> list[Endpoint]:
    return [call.endpoint for call in scripted.posted()]


@pytest.mark.parametrize("status", [200, 201])
async def test_an_account_is_found_again_by_its_key(
    scripted: ScriptedCa, ca: AcmeCa, book: Book, status: int
) -> None:
    found = replied({"status": "valid"}, status, Location=f"{scripted.url}/account/7")
    scripted.script.tell(Endpoint.NEW_ACCOUNT, found)
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await ca.order(f"{scripted.url}/order/1")
    assert book.url == f"{scripted.url}/account/7"
    registering, asking = scripted.posted()
    assert "jwk" in registering.protected
    assert "kid" not in registering.protected
    assert registering.payload == {"termsOfServiceAgreed": True}
    assert asking.protected["kid"] == book.url
    assert asking.payload is None


async def test_a_conflict_that_names_the_account_is_taken(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    scripted.script.tell(Endpoint.NEW_ACCOUNT, replied({}, 409, Location=f"{scripted.url}/account/7"))
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await ca.order(f"{scripted.url}/order/1")
    assert book.url == f"{scripted.url}/account/7"


async def test_a_stored_account_is_used_without_asking(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    book.record = a_record(scripted, "3")
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await ca.order(f"{scripted.url}/order/1")
    assert asked(scripted) == [Endpoint.ORDER]


async def test_a_ca_that_forgot_the_account_gets_it_again_with_the_same_key(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    scripted.script.tell(Endpoint.ORDER, problem("accountDoesNotExist"), Reply(404))
    with pytest.raises(AcmeProblemError, match="HTTP 404"):
        await ca.order(f"{scripted.url}/order/1")
    assert asked(scripted) == [Endpoint.ORDER, Endpoint.NEW_ACCOUNT, Endpoint.ORDER]
    (account,) = scripted.books.accounts
    assert book.url == f"{scripted.url}/account/{account}"
    jwk = JWKEC.from_json(scripted.posted()[1].protected["jwk"])
    assert isinstance(jwk, JWKEC)
    assert jwk.thumbprint() == decode_b64jose(book.record.key_thumbprint)


async def test_an_account_is_bound_to_the_customer_where_the_ca_wants_it(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    mac_key = tmp_path / "mac"
    mac_key.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
    eab = {"kid": "customer-1", "hmac_key_file": mac_key}
    scripted.service.customers["customer-1"] = decode_b64jose(mac_key.read_text().strip())
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    async with client_of(scripted, tmp_path, book=book, eab=eab, contact="tls@example.org") as ca:
        await ca.order(f"{scripted.url}/order/1")
    payload = scripted.posted()[0].payload
    assert payload["contact"] == ["mailto:tls@example.org"]
    assert set(payload["externalAccountBinding"]) == {"protected", "payload", "signature"}
    assert [account.customer for account in scripted.books.accounts.values()] == ["customer-1"]


@pytest.mark.parametrize(("algorithm", "read_as"), [("HS256", HS256), ("HS384", HS384), ("HS512", HS512)])
async def test_a_binding_is_signed_as_the_ca_gave_its_key(
    scripted: ScriptedCa, book: Book, tmp_path: Path, algorithm: str, read_as: Any
) -> None:
    mac_key = tmp_path / "mac"
    mac_key.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
    eab = {"kid": "customer-1", "hmac_key_file": mac_key, "algorithm": algorithm}
    async with client_of(scripted, tmp_path, book=book, eab=eab) as ca:
        await ca.account_url()
    (call,) = scripted.posted()
    binding = acme_jws.JWS.json_loads(json.dumps(call.payload["externalAccountBinding"]))
    assert binding.verify(JWKOct(key=decode_b64jose(mac_key.read_text())))
    head = binding.signature.combined
    assert (head.alg, head.kid, head.url) == (read_as, "customer-1", f"{scripted.url}/new-account")
    assert json.loads(binding.payload) == call.protected["jwk"]


async def test_a_key_for_a_binding_that_is_not_there_is_told_by_its_file(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    eab = {"kid": "customer-1", "hmac_key_file": tmp_path / "none"}
    async with client_of(scripted, tmp_path, book=book, eab=eab) as ca:
        with pytest.raises(PermanentError, match=r"hmac_key_file .*none"):
            await ca.account_url()


async def test_the_key_is_stored_before_the_ca_hears_of_it(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    scripted.script.tell(Endpoint.NEW_ACCOUNT, Reply(drop=True))
    with pytest.raises(CaUnreachableError):
        await ca.account_url()
    assert book.record is not None
    before = book.record.key_thumbprint
    scripted.script.tell(Endpoint.NEW_ACCOUNT, replied({}, Location=f"{scripted.url}/account/7"))
    assert await ca.account_url() == f"{scripted.url}/account/7"
    assert book.record.key_thumbprint == before
    first, second = (call.protected["jwk"] for call in scripted.posted())
    assert first == second


async def test_many_at_once_make_one_account(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await asyncio.gather(*(ca.order(f"{scripted.url}/order/1") for _ in range(10)))
    assert len(scripted.asked(Endpoint.NEW_ACCOUNT)) == 1


async def test_another_host_that_was_quicker_gives_its_account(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    async with client_of(scripted, tmp_path / "one", book=book) as one:
        url = await one.account_url()
    async with client_of(scripted, tmp_path / "two", book=book) as two:
        assert await two.account_url() == url
    assert asked(scripted) == [Endpoint.NEW_ACCOUNT]


async def test_a_ca_that_goes_on_denying_the_account_is_asked_for_it_once(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    scripted.script.tell(Endpoint.ORDER, problem("accountDoesNotExist"))
    for _ in range(3):
        with pytest.raises(AcmeProblemError, match="accountDoesNotExist"):
            await ca.order(f"{scripted.url}/order/1")
    assert asked(scripted) == [Endpoint.ORDER, Endpoint.NEW_ACCOUNT, *[Endpoint.ORDER] * 3]
    book.now += 601
    with pytest.raises(AcmeProblemError):
        await ca.order(f"{scripted.url}/order/1")
    assert len(scripted.asked(Endpoint.NEW_ACCOUNT)) == 2


async def test_a_ca_that_forgets_the_account_twice_gets_it_twice(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    for _ in range(2):
        scripted.script.tell(Endpoint.ORDER, problem("accountDoesNotExist"), an_order(scripted))
        await ca.order(f"{scripted.url}/order/1")
    assert len(scripted.asked(Endpoint.NEW_ACCOUNT)) == 2


async def test_many_that_hear_of_a_forgotten_account_make_it_once(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    denied = acts.refuse("accountDoesNotExist")
    scripted.script.add(
        denied, Endpoint.ORDER, times=None, when=lambda call: call.protected["kid"].endswith("/account/old")
    )
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await asyncio.gather(*(ca.order(f"{scripted.url}/order/1") for _ in range(6)))
    assert len(scripted.asked(Endpoint.NEW_ACCOUNT)) == 1


async def test_an_account_that_another_host_made_again_is_taken(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    book.record = a_record(scripted, "old")
    scripted.script.tell(Endpoint.ORDER, an_order(scripted))
    await ca.order(f"{scripted.url}/order/1")
    book.record = replace(book.record, url=f"{scripted.url}/account/new")
    scripted.script.tell(Endpoint.ORDER, problem("accountDoesNotExist"), an_order(scripted))
    await ca.order(f"{scripted.url}/order/1")
    assert scripted.posted()[-1].protected["kid"] == f"{scripted.url}/account/new"
    assert scripted.asked(Endpoint.NEW_ACCOUNT) == []


async def test_an_account_key_that_another_journal_key_sealed_is_refused_before_the_ca_hears_of_it(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    other = AccountSafe(bytes(32)).seal(new_account_key(), ca="scripted", directory_url=scripted.directory_url)
    book.record = other
    with pytest.raises(PermanentError, match="journal_key_file"):
        await ca.load_account()
    assert scripted.posted() == []


async def test_the_key_file_of_an_earlier_version_is_taken_into_the_record(
    scripted: ScriptedCa, ca: AcmeCa, book: Book, tmp_path: Path
) -> None:
    key = new_account_key()
    digest = hashlib.sha256(scripted.directory_url.encode()).hexdigest()[:12]
    file = tmp_path / "accounts" / f"scripted-{digest}.pem"
    file.parent.mkdir()
    file.write_bytes(key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    await ca.load_account()
    assert book.record is not None
    assert SAFE.open(book.record).thumbprint == key.thumbprint


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (replied({"status": "valid"}), True),
        (replied({"status": "deactivated"}), False),
        (replied({}), False),
        (Reply(body=b"<html>"), False),
        (Reply(404), False),
        (problem("accountDoesNotExist"), False),
        (problem("unauthorized", 403), False),
        (problem("serverInternal", 500), False),
        (Reply(drop=True), False),
    ],
)
async def test_an_account_answers_only_when_the_ca_shows_it(
    scripted: ScriptedCa, ca: AcmeCa, book: Book, *, answer: Reply, shown: bool
) -> None:
    book.record = a_record(scripted, "3")
    scripted.script.tell(Endpoint.ACCOUNT, answer)
    assert await ca.account_answers() is shown
    assert scripted.posted()[0].payload is None
    # To ask is no reason to make another.
    assert scripted.asked(Endpoint.NEW_ACCOUNT) == []
