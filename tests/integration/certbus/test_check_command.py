from pathlib import Path

import pytest

from certbus.exit_codes import ExitCode
from tests.authority import Authority
from tests.integration.certbus.command import certbus
from tests.ports import free_port
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration


async def test_a_check_tells_what_is_served_and_whether_it_is_well(tmp_path: Path) -> None:
    authority, roots = Authority(), tmp_path / "roots.pem"
    roots.write_text(authority.root_pem)
    issued = authority.issue("localhost")
    async with tls_server(issued) as server:
        words = ["check", f"127.0.0.1:{server.port}", "--ca-file", str(roots), "-o", "json"]
        checked = await certbus(*words)
        table = await certbus(*words[:-2])
    (found,) = checked.json
    assert (found["serial"], found["finding"]) == (issued.serial, "wrong_host")
    assert found["fingerprint_sha256"] == issued.fingerprint
    assert (checked.code, table.code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "wrong_host" in table.out


async def test_a_check_of_what_is_not_there_fails_and_wrong_usage_is_told_apart(tmp_path: Path) -> None:
    port = free_port()
    assert (await certbus("check", f"127.0.0.1:{port}")).code == ExitCode.FAILED
    for words in (["a b"], ["a:b"], ["localhost", "--ca-file", str(tmp_path / "none")], ["a", "--min-days", "-1"]):
        wrong = await certbus("check", *words)
        assert (wrong.code, wrong.out) == (ExitCode.INVALID, "")
