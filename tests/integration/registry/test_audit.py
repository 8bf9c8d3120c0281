"""The audit over HTTP and by the command, against a registry that runs."""

import json
from pathlib import Path

import pytest

from certbus.exit_codes import ExitCode
from tests.integration.certbus.command import Command, certbus
from tests.integration.registry.bodies import a_body
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_it_is_listed_exported_and_proven_without_a_server(
    registry: RunningRegistry, ana: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CERTBUS_URL": registry.url,
        "CERTBUS_TOKEN_FILE": str(registry.process.admin_token_file),
        "CERTBUS_PLAIN_TEXT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    token = tmp_path / "ana"
    token.write_text(ana.token or "")
    asked = a_body()
    assert (await ana.post("/v1/requests", json=asked)).status_code == 202
    listed = await certbus("audit", "list", "--object", asked["name"], "--since", "1h", "-o", "json")
    assert [(item["actor"], item["action"]) for item in listed.json["items"]] == [("ana", "request")]
    shown = await certbus("audit", "list", "--limit", "1")
    assert len(shown.out.splitlines()) == 2
    assert (await certbus("audit", "list", "--token-file", str(token))).code == ExitCode.NOT_ALLOWED
    assert (await certbus("audit", "verify", "--token-file", str(token))).code == ExitCode.NOT_ALLOWED

    fetched = await certbus("audit", "verify", "-o", "json")
    assert (fetched.code, fetched.json["findings"]) == (ExitCode.OK, [])
    exported = await (await Command.start("audit", "export")).ended()
    whole, edited = tmp_path / "whole", tmp_path / "edited"
    whole.write_text(exported.out)
    assert exported.out.count('"actor":"ana"') > 0
    edited.write_text(exported.out.replace('"actor":"ana"', '"actor":"ben"', 1))
    again = await certbus("audit", "verify", str(whole), "--url", "http://127.0.0.1:1")
    assert (again.code, again.err) == (ExitCode.OK, "whole: no entry is missing or changed\n")
    found = await certbus("audit", "verify", str(edited))
    assert found.code == ExitCode.FAILED
    assert "edited" in found.out
    # Anchors that lie elsewhere.
    strange = an_anchor(exported.out) | {"database_id": "another"}
    anchors = tmp_path / "anchor.json"
    anchors.write_text(json.dumps(strange))
    other = await certbus("audit", "verify", str(whole), "--anchors", str(anchors))
    assert (other.code, "other_database" in other.out) == (ExitCode.FAILED, True)
    assert (
        await certbus("audit", "verify", str(whole), "--anchors", str(tmp_path / "none"))
    ).code == ExitCode.INVALID


def an_anchor(exported: str) -> dict[str, object]:
    """An anchor of these heads, as a registry's file has it."""
    lines = [json.loads(line) for line in exported.splitlines()]
    anchor = {"database_id": lines[0]["database_id"], "epoch": 0, "event_sequence": 1, "audit_sequence": 1}
    return anchor | {"anchored_at": "2026-03-01T12:00:00Z", "audit_heads": lines[-1]["heads"]}
