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
from tests.integration.issuer.acme_book import SAFE, Book, a_record, client_of
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


@pytest.mark.parametrize("status", [200, 201])
async def test_an_account_is_found_again_by_its_key(
    scripted: ScriptedCa, ca: AcmeCa, book: Book, status: int
) -> None:
    location = {"Location": f"{scripted.url}/account/7"}
    scripted.tell("/newAccount", Answer(status, {"status": "valid"}, headers=location))
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert book.url == f"{scripted.url}/account/7"
    registering, asking = scripted.asked
    assert "jwk" in registering.protected
    assert "kid" not in registering.protected
    assert registering.payload == {"termsOfServiceAgreed": True}
    assert asking.protected["kid"] == book.url
    assert asking.payload is None


async def test_a_conflict_that_names_the_account_is_taken(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    location = {"Location": f"{scripted.url}/account/7"}
    scripted.tell("/newAccount", Answer(409, {}, headers=location))
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert book.url == f"{scripted.url}/account/7"


async def test_a_stored_account_is_used_without_asking(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    book.record = a_record(scripted, "3")
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths() == ["/order/1"]


async def test_a_ca_that_forgot_the_account_gets_it_again_with_the_same_key(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    scripted.tell("/order/1", problem("accountDoesNotExist"), Answer(404))
    with pytest.raises(AcmeProblemError, match="HTTP 404"):
        await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths() == ["/order/1", "/newAccount", "/order/1"]
    assert book.url == f"{scripted.url}/account/1"
    jwk = JWKEC.from_json(scripted.asked[1].protected["jwk"])
    assert isinstance(jwk, JWKEC)
    assert jwk.thumbprint() == decode_b64jose(book.record.key_thumbprint)


async def test_an_account_is_bound_to_the_customer_where_the_ca_wants_it(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    mac_key = tmp_path / "mac"
    mac_key.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
    eab = {"kid": "customer-1", "hmac_key_file": mac_key}
    scripted.tell("/order/1", Answer(body=scripted.order()))
    async with client_of(scripted, tmp_path, book=book, eab=eab, contact="tls@example.org") as ca:
        await ca.order(f"{scripted.url}/order/1")
    payload = scripted.asked[0].payload
    assert payload["contact"] == ["mailto:tls@example.org"]
    assert set(payload["externalAccountBinding"]) == {"protected", "payload", "signature"}


@pytest.mark.parametrize(("algorithm", "read_as"), [("HS256", HS256), ("HS384", HS384), ("HS512", HS512)])
async def test_a_binding_is_signed_as_the_ca_gave_its_key(
    scripted: ScriptedCa, book: Book, tmp_path: Path, algorithm: str, read_as: Any
) -> None:
    mac_key = tmp_path / "mac"
    mac_key.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
    eab = {"kid": "customer-1", "hmac_key_file": mac_key, "algorithm": algorithm}
    async with client_of(scripted, tmp_path, book=book, eab=eab) as ca:
        await ca.account_url()
    asked = scripted.asked[0]
    binding = acme_jws.JWS.json_loads(json.dumps(asked.payload["externalAccountBinding"]))
    assert binding.verify(JWKOct(key=decode_b64jose(mac_key.read_text())))
    head = binding.signature.combined
    assert (head.alg, head.kid, head.url) == (read_as, "customer-1", f"{scripted.url}/newAccount")
    assert json.loads(binding.payload) == asked.protected["jwk"]


async def test_a_key_for_a_binding_that_is_not_there_is_told_by_its_file(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    eab = {"kid": "customer-1", "hmac_key_file": tmp_path / "none"}
    async with client_of(scripted, tmp_path, book=book, eab=eab) as ca:
        with pytest.raises(PermanentError, match=r"hmac_key_file .*none"):
            await ca.account_url()


async def test_the_key_is_stored_before_the_ca_hears_of_it(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    scripted.tell("/newAccount", Answer(hang_up=True))
    with pytest.raises(CaUnreachableError):
        await ca.account_url()
    assert book.record is not None
    before = book.record.key_thumbprint
    scripted.tell("/newAccount", Answer(200, {}, headers={"Location": f"{scripted.url}/account/7"}))
    assert await ca.account_url() == f"{scripted.url}/account/7"
    assert book.record.key_thumbprint == before
    first, second = (asked.protected["jwk"] for asked in scripted.asked)
    assert first == second


async def test_many_at_once_make_one_account(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await asyncio.gather(*(ca.order(f"{scripted.url}/order/1") for _ in range(10)))
    assert scripted.paths().count("/newAccount") == 1


async def test_another_host_that_was_quicker_gives_its_account(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    async with client_of(scripted, tmp_path / "one", book=book) as one:
        url = await one.account_url()
    async with client_of(scripted, tmp_path / "two", book=book) as two:
        assert await two.account_url() == url
    assert scripted.paths() == ["/newAccount"]


async def test_a_ca_that_goes_on_denying_the_account_is_asked_for_it_once(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    scripted.tell("/order/1", problem("accountDoesNotExist"))
    for _ in range(3):
        with pytest.raises(AcmeProblemError, match="accountDoesNotExist"):
            await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths().count("/newAccount") == 1
    book.now += 601
    with pytest.raises(AcmeProblemError):
        await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths().count("/newAccount") == 2


async def test_a_ca_that_forgets_the_account_twice_gets_it_twice(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    for _ in range(2):
        scripted.tell("/order/1", problem("accountDoesNotExist"), Answer(body=scripted.order()))
        await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths().count("/newAccount") == 2


async def test_many_that_hear_of_a_forgotten_account_make_it_once(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    book.record = a_record(scripted, "old")
    denied = [problem("accountDoesNotExist")] * 6
    scripted.tell("/order/1", *denied, Answer(body=scripted.order()))
    await asyncio.gather(*(ca.order(f"{scripted.url}/order/1") for _ in range(6)))
    assert scripted.paths().count("/newAccount") == 1


async def test_an_account_that_another_host_made_again_is_taken(scripted: ScriptedCa, ca: AcmeCa, book: Book) -> None:
    book.record = a_record(scripted, "old")
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    book.record = replace(book.record, url=f"{scripted.url}/account/new")
    scripted.tell("/order/1", problem("accountDoesNotExist"), Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert scripted.asked[-1].protected["kid"] == f"{scripted.url}/account/new"
    assert "/newAccount" not in scripted.paths()


async def test_an_account_key_that_another_journal_key_sealed_is_refused_before_the_ca_hears_of_it(
    scripted: ScriptedCa, ca: AcmeCa, book: Book
) -> None:
    other = AccountSafe(bytes(32)).seal(new_account_key(), ca="scripted", directory_url=f"{scripted.url}/dir")
    book.record = other
    with pytest.raises(PermanentError, match="journal_key_file"):
        await ca.load_account()
    assert scripted.asked == []


async def test_the_key_file_of_an_earlier_version_is_taken_into_the_record(
    scripted: ScriptedCa, ca: AcmeCa, book: Book, tmp_path: Path
) -> None:
    key = new_account_key()
    digest = hashlib.sha256(f"{scripted.url}/dir".encode()).hexdigest()[:12]
    file = tmp_path / "accounts" / f"scripted-{digest}.pem"
    file.parent.mkdir()
    file.write_bytes(key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    await ca.load_account()
    assert book.record is not None
    assert SAFE.open(book.record).thumbprint == key.thumbprint


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Answer(body={"status": "valid"}), True),
        (Answer(body={"status": "deactivated"}), False),
        (Answer(body={}), False),
        (Answer(raw=b"<html>"), False),
        (Answer(404), False),
        (problem("accountDoesNotExist"), False),
        (problem("unauthorized", 403), False),
        (problem("serverInternal", 500), False),
        (Answer(hang_up=True), False),
    ],
)
async def test_an_account_answers_only_when_the_ca_shows_it(
    scripted: ScriptedCa, ca: AcmeCa, book: Book, *, answer: Answer, shown: bool
) -> None:
    book.record = a_record(scripted, "3")
    scripted.tell("/account/3", answer)
    assert await ca.account_answers() is shown
    assert scripted.asked[0].payload is None
    # To ask is no reason to make another.
    assert "/newAccount" not in scripted.paths()
