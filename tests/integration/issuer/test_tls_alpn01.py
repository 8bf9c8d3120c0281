"""The tls-alpn-01 responder, as a CA meets it."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
import pytest_asyncio
from cryptography import x509

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import SolverError
from issuer.domain.solver import RunningSolver
from issuer.solvers import tls_alpn01
from tests.integration.issuer.knot_world import StoredRecords, a_record
from tests.integration.issuer.solver_context import a_context, a_solver
from tests.ports import free_port

pytestmark = pytest.mark.integration

NAME = "a.example.org"
RECORD = replace(a_record(NAME, "token.thumbprint"), kind=ChallengeKind.TLS_ALPN_01, record_name=NAME)
ELSEWHERE = replace(RECORD, record_name="b.example.org", record_value="token.other")


@pytest_asyncio.fixture
async def responder() -> AsyncIterator[tuple[RunningSolver, int]]:
    port = free_port()
    solver = a_solver(tls_alpn01.DRIVER, a_context(stored=StoredRecords(ELSEWHERE)), port=port)
    async with solver:
        yield solver, port


async def shown(port: int, name: str | None, *, protocol: str = "acme-tls/1") -> x509.Certificate:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    try:
        connection = writer.get_extra_info("ssl_object")
        assert connection.selected_alpn_protocol() == protocol
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
    finally:
        writer.close()


def proves(certificate: x509.Certificate, name: str, value: str) -> bool:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    [proof] = [
        extension for extension in certificate.extensions if extension.oid.dotted_string == "1.3.6.1.5.5.7.1.31"
    ]
    assert isinstance(proof.value, x509.UnrecognizedExtension)
    return (
        list(names) == [x509.DNSName(name)]
        and proof.critical
        and proof.value.value == b"\x04\x20" + hashlib.sha256(value.encode()).digest()
    )


async def test_a_name_is_proven_while_its_record_is_shown(responder: tuple[RunningSolver, int]) -> None:
    solver, port = responder
    with pytest.raises(ConnectionError):
        await shown(port, NAME)
    await solver.present([RECORD])
    assert proves(await shown(port, NAME), NAME, RECORD.record_value)
    assert proves(await shown(port, NAME.upper()), NAME, RECORD.record_value)
    await solver.clean_up([RECORD])
    with pytest.raises(ConnectionError):
        await shown(port, NAME)


async def test_a_name_that_another_process_showed_is_proven_from_the_journal(
    responder: tuple[RunningSolver, int],
) -> None:
    assert proves(await shown(responder[1], "b.example.org"), "b.example.org", ELSEWHERE.record_value)


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 40000, b"\0"])
async def test_whoever_speaks_something_else_gets_nothing(
    responder: tuple[RunningSolver, int], nonsense: bytes
) -> None:
    solver, port = responder
    await solver.present([RECORD])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(nonsense)
    writer.write_eof()
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert proves(await shown(port, NAME), NAME, RECORD.record_value)


async def test_a_responder_that_does_not_run_shows_nothing() -> None:
    with pytest.raises(SolverError, match="not running"):
        await a_solver(tls_alpn01.DRIVER).present([RECORD])
