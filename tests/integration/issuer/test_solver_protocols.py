"""Solvers that hand a record to somebody else: a folder, a program, a service."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from certlocal.private_file import write_private
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import SolverError
from issuer.solvers import acme_dns, exec, httpreq, webroot  # noqa: A004 # the kind's name
from tests.integration.issuer.knot_world import StoredRecords, a_record
from tests.integration.issuer.solver_context import Aliases, a_context, a_solver
from tests.ports import free_port

pytestmark = pytest.mark.integration

DNS = a_record("a.example.org", "one")
DELEGATED = Aliases({"_acme-challenge.a.example.org": "a.acme.example.net"})
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
WEB = replace(DNS, kind=ChallengeKind.HTTP_01, record_name=TOKEN, record_value=f"{TOKEN}.thumbprint")


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def runs(pid: str) -> bool:
    status = Path("/proc", pid, "status")
    return status.exists() and "State:\tZ" not in status.read_text()


async def test_a_token_is_a_file_while_it_is_shown(tmp_path: Path) -> None:
    shown = tmp_path / ".well-known" / "acme-challenge"
    async with a_solver(webroot.DRIVER, folder=tmp_path) as _:
        solver = a_solver(webroot.DRIVER, folder=tmp_path)
        await solver.present([WEB])
        await solver.present([WEB])
        assert {file.name: file.read_text() for file in shown.iterdir()} == {TOKEN: WEB.record_value}
        assert (shown / TOKEN).stat().st_mode & 0o777 == 0o644
        await solver.clean_up([WEB])
        await solver.clean_up([WEB])
        assert list(shown.iterdir()) == []


@pytest.mark.parametrize("token", ["../../../../../../etc/passwd", "short", "a" * 20 + "/../b", ""])
async def test_a_token_never_leaves_its_folder(tmp_path: Path, token: str) -> None:
    with pytest.raises(SolverError, match="can't be the name of a file"):
        await a_solver(webroot.DRIVER, folder=tmp_path / "root").present([replace(WEB, record_name=token)])
    assert entries(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / ".well-known").write_text("a file")
    with pytest.raises(SolverError, match=r"\.well-known.*: "):
        await a_solver(webroot.DRIVER, folder=tmp_path).present([WEB])


def script(folder: Path, *lines: str) -> str:
    file = folder / "program"
    file.write_text("\n".join(("#!/bin/sh", *lines, "")))
    file.chmod(0o755)
    return str(file)


async def test_a_program_gets_action_name_and_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERTBUS_SECRET", "of ours")
    told = tmp_path / "told"
    program = script(tmp_path, f'echo "$@" >> {told}', f"env >> {told}.env")
    context = a_context(dns=DELEGATED)
    async with a_solver(exec.DRIVER, context, command=[program, "-v"], environment={"ZONE": "net"}) as _:
        solver = a_solver(exec.DRIVER, context, command=[program, "-v"], environment={"ZONE": "net"})
        await solver.present([DNS])
        await solver.clean_up([DNS])
    assert told.read_text().splitlines() == [
        "-v present a.acme.example.net. one",
        "-v cleanup a.acme.example.net. one",
    ]
    environment = (tmp_path / "told.env").read_text()
    assert "ZONE=net" in environment
    assert "of ours" not in environment


async def test_a_program_that_fails_is_told_by_its_last_words(tmp_path: Path) -> None:
    program = script(tmp_path, "echo first >&2", "echo no such zone >&2", "exit 3")
    with pytest.raises(SolverError, match="ended with 3: no such zone"):
        await a_solver(exec.DRIVER, command=[program]).present([DNS])


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    program = script(tmp_path, "sleep 600 &", f"echo $! > {tmp_path}/pid", "wait")
    with pytest.raises(SolverError, match="takes longer than 1 s"):
        await a_solver(exec.DRIVER, command=[program], timeout_s=1).present([DNS])
    assert not runs((tmp_path / "pid").read_text().strip())


async def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(SolverError, match="can't be run: No such file"):
        await a_solver(exec.DRIVER, command=["/no/such/program"]).present([DNS])


async def test_a_value_that_another_job_needs_is_left(tmp_path: Path) -> None:
    other = a_record("a.example.org", "one", job="b")
    told = tmp_path / "told"
    program = script(tmp_path, f'echo "$@" >> {told}')
    context = a_context(stored=StoredRecords(DNS, other))
    await a_solver(exec.DRIVER, context, command=[program]).clean_up([DNS])
    assert not told.exists()


@dataclass
class HttpServer:
    """Answers each POST as `answer` says, by path."""

    port: int
    answer: Callable[[str], tuple[int, object]]
    asked: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = head[0].split()[1]
        self.asked.append((path, headers, json.loads(body) if body else None))
        status, answer = self.answer(path)
        text = json.dumps(answer)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n{text}".encode()
        )
        writer.close()


@asynccontextmanager
async def http_server(answer: Callable[[str], tuple[int, object]]) -> AsyncIterator[HttpServer]:
    server = HttpServer(free_port(), answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", server.port)
    try:
        yield server
    finally:
        listener.close()


async def test_a_service_is_told_name_and_value(tmp_path: Path) -> None:
    write_private(tmp_path / "password", b"geheim\n")
    settings = {"username": "us", "password_file": tmp_path / "password"}
    async with http_server(lambda _: (200, {})) as server:
        solver = a_solver(httpreq.DRIVER, a_context(dns=DELEGATED), endpoint=f"{server.url}/api", **settings)
        async with solver:
            await solver.present([DNS])
            await solver.clean_up([DNS])
    sent = {"fqdn": "a.acme.example.net.", "value": "one"}
    assert [(path, body) for path, _, body in server.asked] == [("/api/present", sent), ("/api/cleanup", sent)]
    authorization = {headers["authorization"] for _, headers, _ in server.asked}
    assert authorization == {f"Basic {base64.b64encode(b'us:geheim').decode()}"}


@pytest.mark.parametrize("driver", [httpreq.DRIVER, acme_dns.DRIVER])
def test_secrets_are_sent_in_plain_text_to_nobody_else(driver: Any) -> None:
    with pytest.raises(ValidationError, match="must be https"):
        a_solver(driver, endpoint="http://dns.example.net", url="http://dns.example.net", accounts_file="a")


async def test_a_service_that_refuses_is_told() -> None:
    async with http_server(lambda _: (422, {"why": "secret"})) as server:
        solver = a_solver(httpreq.DRIVER, endpoint=server.url)
        async with solver:
            with pytest.raises(SolverError, match=r"127\.0\.0\.1: present of .* was answered with 422$"):
                await solver.present([DNS])


async def test_a_service_that_is_away_is_told() -> None:
    solver = a_solver(httpreq.DRIVER, endpoint=f"http://127.0.0.1:{free_port()}")
    async with solver:
        with pytest.raises(SolverError, match="ConnectError"):
            await solver.present([DNS])


ACCOUNT = {
    "username": "eabcdb41",
    "password": "pbAXVjlIOE01xbut7YnAbkhMQIkcwoHO0ek2j4Q0",
    "fulldomain": "d420c923.acme.example.net",
    "subdomain": "d420c923",
    "allowfrom": [],
}


async def test_acme_dns_registers_a_name_once_and_says_which_cname_is_missing(tmp_path: Path) -> None:
    accounts, dns = tmp_path / "accounts.json", Aliases()
    async with http_server(lambda path: (201, ACCOUNT) if path == "/register" else (200, {"txt": "one"})) as server:
        solver = a_solver(acme_dns.DRIVER, a_context(dns=dns), url=server.url, accounts_file=accounts)
        async with solver:
            with pytest.raises(SolverError) as failure:
                await solver.present([DNS])
            assert str(failure.value) == (
                "the DNS owner must set: _acme-challenge.a.example.org. CNAME d420c923.acme.example.net."
            )
            assert accounts.stat().st_mode & 0o777 == 0o600
            assert json.loads(accounts.read_text())["a.example.org"]["subdomain"] == "d420c923"
            dns.aliases["_acme-challenge.a.example.org"] = "d420c923.acme.example.net"
            await solver.present([DNS, a_record("a.example.org", "two")])
            await solver.clean_up([DNS])
    assert [path for path, _, _ in server.asked] == ["/register", "/update", "/update"]
    _, headers, body = server.asked[-1]
    assert body == {"subdomain": "d420c923", "txt": "two"}
    assert (headers["x-api-user"], headers["x-api-key"]) == (ACCOUNT["username"], ACCOUNT["password"])


@pytest.mark.parametrize(("status", "answer", "told"), [(400, {}, "answered with 400"), (201, {}, "no account")])
async def test_acme_dns_that_registers_nobody_is_told(tmp_path: Path, status: int, answer: object, told: str) -> None:
    async with http_server(lambda _: (status, answer)) as server:
        solver = a_solver(acme_dns.DRIVER, url=server.url, accounts_file=tmp_path / "accounts.json")
        async with solver:
            with pytest.raises(SolverError, match=told):
                await solver.present([DNS])
    assert entries(tmp_path) == []
