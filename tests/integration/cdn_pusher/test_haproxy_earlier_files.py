"""What lay there before certbus came, and what a file of somebody else's does to a delivery."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.targets.haproxy.certificate_files import CertificateFiles
from certcore.events import DeliveryReason
from tests.authority import Authority, Issued
from tests.integration.cdn_pusher.balancer import Balancer, balancer, deliver, pem_of
from tests.servers import Haproxies
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration

HOST = "shop.example.org"
FILE = "shop.pem"


@pytest_asyncio.fixture
async def edge(haproxy: Haproxies) -> AsyncIterator[Balancer]:
    async with balancer(haproxy) as running:
        yield running


@dataclass(frozen=True)
class Form:
    """The files of one certificate, as people write them: by what comes after the certificate's name."""

    files: Callable[[Issued], dict[str, str]]
    names: tuple[str, ...] = (HOST,)


def _messy(issued: Issued) -> str:
    return "# by hand\r\n\r\n" + (issued.key_pem + issued.chain_pem).replace("\n", "\r\n").replace(
        "-----\r\n-----", "-----\r\n\r\n-----"
    )


REPLACED = {
    "normal": Form(lambda issued: {"": issued.chain_pem + issued.key_pem}),
    "key first, CRLF, blank lines, a comment": Form(lambda issued: {"": _messy(issued)}),
}
REFUSED = {
    "the key beside it": Form(lambda issued: {"": issued.chain_pem, ".key": issued.key_pem}),
    "the issuer beside it": Form(
        lambda issued: {"": issued.chain_pem + issued.key_pem, ".issuer": issued.chain_pem[-1200:]}
    ),
    "more names": Form(
        lambda issued: {"": issued.chain_pem + issued.key_pem}, names=(HOST, "other.example.org", "*.example.org")
    ),
    "no certificate at all": Form(lambda _: {"": "# to come\n"}),
}


async def lay(edge: Balancer, form: Form, *, listed: bool = True) -> tuple[Issued, dict[str, bytes]]:
    """Have HAProxy serve what somebody else wrote."""
    issued = edge.authority.issue(*form.names)
    for ending, content in form.files(issued).items():
        (edge.place.directory / f"{FILE}{ending}").write_bytes(content.encode())
    if listed:
        with edge.place.crt_list.open("a") as crt_list:
            crt_list.write(f"{edge.place.directory}/{FILE}\n")
        await edge.server.reload()
        assert (await edge.served(HOST)).leaf.fingerprint_sha256 == issued.fingerprint
    return issued, contents(edge)


def contents(edge: Balancer) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in edge.place.directory.iterdir()} | {
        "crt.list": edge.place.crt_list.read_bytes()
    }


@pytest.mark.parametrize("form", REPLACED.values(), ids=list(REPLACED))
async def test_an_unproven_delivery_puts_back_every_byte_of_it(edge: Balancer, form: Form) -> None:
    issued, before = await lay(edge, form)
    (edge.place.directory / FILE).chmod(0o640)
    async with tls_server(Authority.self_signed(HOST)) as elsewhere:
        blind = edge.place.pusher(probe=f"127.0.0.1:{elsewhere.port}", patience_s=0.2)
        with pytest.raises(DeliveryError) as caught:
            await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)), by=blind)
    assert caught.value.reason is DeliveryReason.NOT_SERVED
    assert contents(edge) == before
    assert (edge.place.directory / FILE).stat().st_mode & 0o777 == 0o640
    assert (await edge.served(HOST)).leaf.fingerprint_sha256 == issued.fingerprint
    await edge.server.reload()
    assert (await edge.served(HOST)).leaf.fingerprint_sha256 == issued.fingerprint


@pytest.mark.parametrize("form", REPLACED.values(), ids=list(REPLACED))
async def test_what_can_be_put_back_is_replaced_and_no_key_of_it_stays(edge: Balancer, form: Form) -> None:
    await lay(edge, form)
    renewed = edge.authority.issue(HOST)
    await deliver(edge.place, FILE, pem_of(renewed))
    assert (await edge.served(HOST)).presented == pem_of(renewed).presented
    assert set(contents(edge)) == {"default.pem", FILE, "crt.list"}


@pytest.mark.parametrize("form", REFUSED.values(), ids=list(REFUSED))
async def test_what_could_not_be_put_back_or_would_be_missed_is_not_touched(edge: Balancer, form: Form) -> None:
    listed = form is not REFUSED["no certificate at all"]
    issued, before = await lay(edge, form, listed=listed)
    with pytest.raises(DeliveryError) as caught:
        await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    assert caught.value.reason is DeliveryReason.CONFLICT
    assert str(edge.place.directory / FILE) in caught.value.detail
    assert contents(edge) == before
    if listed:
        assert (await edge.served(HOST)).leaf.fingerprint_sha256 == issued.fingerprint


async def test_the_file_that_takes_one_of_many_names_is_told_and_nothing_stays_delivered(edge: Balancer) -> None:
    names = [f"n{number}.example.org" for number in range(8)]
    shadow = edge.place.directory / "shadow.pem"
    shadow.write_bytes(pem_of(edge.authority.issue(names[-1])).content)
    edge.place.crt_list.write_text(f"{edge.place.directory}/default.pem\n{shadow}\n")
    await edge.server.reload()
    before = contents(edge)
    with pytest.raises(DeliveryError) as caught:
        await deliver(edge.place, FILE, pem_of(edge.authority.issue(*names)), by=edge.place.pusher(patience_s=0.2))
    assert caught.value.reason is DeliveryReason.NOT_SERVED
    assert f"for {names[-1]}: " in caught.value.detail
    assert caught.value.detail.endswith(f"from {shadow}")
    assert contents(edge) == before


async def test_what_a_killed_pusher_left_half_written_goes_with_the_next_delivery(edge: Balancer) -> None:
    await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    for left in (f".{FILE}.new", f".{FILE}.prev"):
        (edge.place.directory / left).write_bytes(pem_of(edge.authority.issue(HOST)).content)
    await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    assert set(contents(edge)) == {"default.pem", FILE, "crt.list"}


async def test_what_haproxy_reads_with_a_file_is_found(edge: Balancer) -> None:
    files = CertificateFiles(directory=edge.place.directory, crt_list=edge.place.crt_list)
    assert files.earlier(FILE).content is None
    (edge.place.directory / f"{FILE}.ocsp").write_bytes(b"x")
    assert files.earlier(FILE).beside == (f"{FILE}.ocsp",)
