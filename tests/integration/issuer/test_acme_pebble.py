"""The ACME client against a real CA: from a new account to a revoked certificate."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certcore.inspection import read_chain
from certlocal.tools import Tell
from issuer.cas.acme.account_key import new_account_key
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.settings import CaSettings
from issuer.domain.ca_order import AuthorizationStatus, ChallengeKind, OrderMove, OrderStatus, OrderView, judge_order
from issuer.domain.errors import AcmeProblemError
from issuer.domain.issued import ari_id
from issuer.domain.polling import delay_before_look
from tests import servers
from tests.integration.issuer.acme_book import SAFE, Book

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

UNSPECIFIED, SUPERSEDED = 0, 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pebble(tell: Tell) -> AsyncIterator[servers.Pebble]:
    async with servers.pebble_ca(bad_nonces_percent=15, tell=tell) as running:
        yield running


def client(pebble: servers.Pebble, folder: Path, book: Book, **fields: Any) -> AcmeCa:
    settings = CaSettings(
        **{
            "name": "pebble",
            "directory_url": pebble.directory_url,
            "ca_file": pebble.ca_file,
            "challenges": (ChallengeKind.DNS_01,),
            "profile": "default",
            **fields,
        }
    )
    return AcmeCa(settings=settings, accounts=book, safe=SAFE, state_folder=folder)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest_asyncio.fixture(loop_scope="module")
async def ca(pebble: servers.Pebble, book: Book, tmp_path: Path) -> AsyncIterator[AcmeCa]:
    async with client(pebble, tmp_path, book) as made:
        yield made


@dataclass
class Leaf:
    key: ec.EllipticCurvePrivateKey
    chain_pem: str

    @property
    def der(self) -> bytes:
        return x509.load_pem_x509_certificate(self.chain_pem.encode()).public_bytes(Encoding.DER)


def a_csr(*names: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(san, critical=False)
    return key, csr.sign(key, SHA256()).public_bytes(Encoding.DER)


async def proven(pebble: servers.Pebble, ca: AcmeCa, view: OrderView) -> OrderView:
    async with httpx.AsyncClient(trust_env=False) as dns:
        for url in view.authorizations:
            authorization = await ca.authorization(url)
            offer = next(one for one in authorization.offers if one.kind is ChallengeKind.DNS_01)
            record = {"host": f"{offer.record_name}.", "value": offer.record_value}
            (await dns.post(f"{pebble.challtestsrv_url}/set-txt", json=record)).raise_for_status()
            await ca.answer(offer.url)
    return await moved(ca, view.url, lambda: ca.order(view.url), still=OrderMove.PROVE)


async def moved(ca: AcmeCa, url: str, first: Callable[[], Awaitable[OrderView]], *, still: OrderMove) -> OrderView:
    view, look = await first(), 1
    while judge_order(view) is still:
        await asyncio.sleep(delay_before_look(look, retry_after=view.retry_after))
        view, look = await ca.order(url), look + 1
    return view


async def issued(
    pebble: servers.Pebble, ca: AcmeCa, *names: str, replaces: str | None = None, profile: str | None = None
) -> Leaf:
    key, csr = a_csr(*names)
    opened = await ca.open_order(names, replaces=replaces, profile=profile)
    ready = await proven(pebble, ca, opened)
    assert ready.status is OrderStatus.READY
    signed = await moved(ca, opened.url, lambda: ca.finalize(ready.finalize_url, csr), still=OrderMove.WAIT)
    return Leaf(key, await ca.certificate(signed.certificate_url or ""))


async def test_certificates_are_issued_through_bad_nonces(pebble: servers.Pebble, ca: AcmeCa) -> None:
    before = len(pebble.finalized_orders())
    leaves = await asyncio.gather(*(issued(pebble, ca, f"n{number}.example.org") for number in range(20)))
    for number, leaf in enumerate(leaves):
        assert read_chain(leaf.chain_pem.encode())[0].dns_names == (f"n{number}.example.org",)
    finalized = Counter(pebble.finalized_orders()[before:])
    assert len(finalized) == 20
    assert set(finalized.values()) == {1}


async def test_a_known_key_finds_its_account_and_orders_again(
    pebble: servers.Pebble, ca: AcmeCa, book: Book, tmp_path: Path
) -> None:
    url = await ca.account_url()
    opened = await ca.open_order(("again.example.org",), replaces=None, profile=None)
    crashed = Book()
    assert book.record is not None
    # A crash before the URL was stored.
    crashed.record = SAFE.seal(SAFE.open(book.record), ca=book.record.ca, directory_url=book.record.directory_url)
    async with client(pebble, tmp_path, crashed) as other:
        assert await other.account_url() == url
        assert (await other.order(opened.url)).status is OrderStatus.PENDING
        assert await other.account_answers()


async def test_an_order_of_another_account_is_denied_while_the_own_account_answers(
    pebble: servers.Pebble, ca: AcmeCa, tmp_path: Path
) -> None:
    async with client(pebble, tmp_path, Book()) as stranger:
        theirs = await stranger.open_order(("theirs.example.org",), replaces=None, profile=None)
    with pytest.raises(AcmeProblemError) as raised:
        await ca.order(theirs.url)
    assert raised.value.type
    assert await ca.account_answers()


async def test_a_ca_that_never_heard_of_the_account_makes_it_again(
    pebble: servers.Pebble, ca: AcmeCa, book: Book
) -> None:
    sealed = SAFE.seal(new_account_key(), ca="pebble", directory_url=pebble.directory_url)
    book.record = sealed
    await book.set_account_url("pebble", pebble.directory_url, pebble.directory_url.replace("/dir", "/my-account/9"))
    assert not await ca.account_answers()
    opened = await ca.open_order(("forgotten.example.org",), replaces=None, profile=None)
    assert opened.status is OrderStatus.PENDING
    assert await ca.account_answers()


async def test_a_pending_authorization_is_deactivated_and_again_without_harm(ca: AcmeCa) -> None:
    opened = await ca.open_order(("given-up.example.org",), replaces=None, profile=None)
    (url,) = opened.authorizations
    await ca.deactivate(url)
    assert (await ca.authorization(url)).status is AuthorizationStatus.DEACTIVATED
    await ca.deactivate(url)
    await ca.deactivate(f"{url}gone")


async def test_a_certificate_is_revoked_by_the_account_and_again_without_harm(
    pebble: servers.Pebble, ca: AcmeCa
) -> None:
    leaf = await issued(pebble, ca, "revoked.example.org")
    await ca.revoke(leaf.der, SUPERSEDED)
    await ca.revoke(leaf.der, SUPERSEDED)
    await ca.revoke(leaf.der, SUPERSEDED, key=leaf.key)


async def test_a_certificate_is_revoked_by_its_own_key(pebble: servers.Pebble, ca: AcmeCa, tmp_path: Path) -> None:
    leaf = await issued(pebble, ca, "leaked.example.org")
    async with client(pebble, tmp_path, Book()) as stranger:
        with pytest.raises(AcmeProblemError):
            await stranger.revoke(leaf.der, UNSPECIFIED)
        await stranger.revoke(leaf.der, UNSPECIFIED, key=leaf.key)


async def test_renewal_information_and_a_replacement_that_is_taken_once(pebble: servers.Pebble, ca: AcmeCa) -> None:
    leaf = await issued(pebble, ca, "renewed.example.org")
    certificate = read_chain(leaf.chain_pem.encode())[0]
    known = ari_id(certificate)
    assert known is not None
    info = await ca.renewal_info(known)
    assert info is not None
    assert certificate.not_before < info.start < info.end <= certificate.not_after
    assert info.retry_after is not None
    await issued(pebble, ca, "renewed.example.org", replaces=known)
    # Pebble says alreadyReplaced now.
    opened = await ca.open_order(("renewed.example.org",), replaces=known, profile=None)
    assert opened.status is OrderStatus.PENDING


async def test_the_directory_tells_profiles_and_one_of_them_is_used(pebble: servers.Pebble, ca: AcmeCa) -> None:
    assert {"default", "shortlived"} <= set(await ca.profiles())
    leaf = await issued(pebble, ca, "short.example.org", profile="shortlived")
    certificate = read_chain(leaf.chain_pem.encode())[0]
    assert (certificate.not_after - certificate.not_before).days <= 6
    with pytest.raises(AcmeProblemError, match="invalidProfile"):
        await ca.open_order(("short.example.org",), replaces=None, profile="unheard-of")


@dataclass
class Tunnel:
    """A proxy that lets connections through, and keeps what it was asked."""

    port: int = 0
    heads: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        host, port = head.split(" ", 2)[1].split(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def a_tunnel() -> AsyncIterator[Tunnel]:
    tunnel = Tunnel()
    server = await asyncio.start_server(tunnel.serve, "127.0.0.1", 0)
    async with server:
        tunnel.port = server.sockets[0].getsockname()[1]
        yield tunnel


async def test_everything_goes_through_the_proxy_which_is_told_who_asks(
    pebble: servers.Pebble, book: Book, tmp_path: Path
) -> None:
    login = tmp_path / "login"
    login.write_text("me:secret\n")
    async with a_tunnel() as tunnel:
        proxy = {"proxy": f"http://127.0.0.1:{tunnel.port}", "proxy_login_file": login}
        async with client(pebble, tmp_path, book, **proxy) as ca:
            assert await ca.account_url()
            assert await ca.account_answers()
    assert tunnel.heads
    expected = f"Basic {base64.b64encode(b'me:secret').decode()}"
    assert all(f"Proxy-Authorization: {expected}" in head for head in tunnel.heads)
    assert all(head.startswith(f"CONNECT {pebble.directory_url.split('/')[2]} ") for head in tunnel.heads)


async def test_a_server_whom_the_cas_roots_do_not_vouch_for_is_not_asked(
    pebble: servers.Pebble, book: Book, tmp_path: Path
) -> None:
    async with client(pebble, tmp_path, book, ca_file=None) as ca:
        assert not await ca.answers()
