"""No private key is where the registry keeps, says or logs anything, however it was sent there."""

import base64
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from certcore.bundles import SealedKey
from tests.authority import Authority
from tests.e2e.key_scan import forms_of, scan
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import Bus
from tests.integration.registry.stand_ins import StandIns
from tests.integration.registry.world import schema
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

JSON = {"content-type": "application/json"}


async def test_no_key_is_stored_said_or_logged(
    registry: RunningRegistry, bus: Bus, ana: Person, ben: Person, tmp_path: Path
) -> None:
    services = await StandIns.start(registry, bus)
    certificate = await services.requested()
    issued = await services.make_live(certificate)
    key = issued.key_pem
    forms = forms_of(key.encode())

    # A key at every place where a mistake could put one.
    other = await services.requested()
    leaf = services.authority.issue(*other.dns_names)
    sealed = services.sealed(other, 1, key)
    plain = [SealedKey.of(sealed[0].recipient, key.encode(), sealed[0].key_id)]
    assert (await services.put(other.id, 1, leaf.chain_pem, plain)).status_code == 422
    assert (await services.put(other.id, 1, leaf.chain_pem + key, sealed)).status_code == 422
    assert (await services.put(other.id, 1, key, sealed)).status_code == 422
    extra = {"chain_pem": leaf.chain_pem, "keys": [], "key_pem": key}
    # Somebody newer may send more: what is unknown is not kept.
    assert (await services.issuer.put(f"/v1/bundles/{other.id}/1", json=extra)).status_code == 409
    for body in (
        {**a_body(), "name": key},
        {**a_body(), "key": key},
        {**a_body(), key: 1},
        {**a_body(), "owner": key},
    ):
        assert (await ana.post("/v1/requests", content=encoded(body), headers=JSON)).status_code == 422
        assert (await bus.asked(encoded(body))).fields
    waiting = (await ana.post("/v1/requests", json=a_body(exposure="public"))).json()["id"]
    for step in ("approve", "deny"):
        assert (await ben.post(f"/v1/requests/{waiting}/{step}", json={"reason": key})).status_code == 422
    stranger = await registry.nobody.get("/v1/sites", headers={"authorization": f"Bearer {key.replace(chr(10), '')}"})
    assert stranger.status_code == 401

    # The request stream holds what others published; everything that the registry keeps and says is clean.
    said = tmp_path / "said"
    said.mkdir()
    for stream in ("CERTS", "ANSWERS_shop", "DEPLOY_site1", "DEPLOY_site2", "ALERTS", "DLQ_hub"):
        content = b"".join(
            (message.data or b"") + str(message.headers).encode() for message in await bus.messages(stream)
        )
        (said / stream).write_bytes(content)
    registry.process.copy_database(said / "rows")
    assert scan([registry.process.folder, said], forms) == []
    [row] = registry.process.rows("SELECT sealed FROM bundle WHERE certificate_id = ?", certificate.id)
    assert len(row["sealed"]) > len(key)


async def test_a_key_in_the_database_would_be_found(tmp_path: Path) -> None:
    """The control: each form is planted into a row, as SQLite stores it."""
    empty = await schema(tmp_path)
    key = Authority().issue("planted.example.test").key_pem.encode()
    forms = forms_of(key)
    planted = {
        "pem": key,
        "base64 of pem": base64.b64encode(key),
        "der": forms["der-pkcs8"],
        "base64 of der": base64.b64encode(forms["der-pkcs8"]),
        "hex of the number": forms["scalar"].hex().encode(),
    }
    for what, content in planted.items():
        folder = tmp_path / what
        folder.mkdir()
        copy = folder / "registry.db"
        shutil.copy(empty, copy)
        assert scan([folder], forms) == []
        with closing(sqlite3.connect(copy)) as target, target:
            target.execute(
                "INSERT INTO audit (time, actor, action, object, detail, chain, number, way, roles, hash)"
                " VALUES ('2026', 'x', 'x', 'x', ?, 9, 1, '', '', '')",
                (content,),
            )
        assert scan([folder], forms), what
        shutil.rmtree(folder)
