"""Where private keys could leak to: the journal, the log, the traces and the broker hold none.

Each key is opened as a recipient opens it, so what is looked for is the very key that was issued.
"""

import base64
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import TypeAdapter

from certcore.bundles import SealedKey
from certcore.certificate import Exposure
from certcore.events import RevisionIssued
from certcore.placements import PLATFORM
from certcore.sealing import SealContext, open_sealed
from certlocal.tools import Tell
from tests.e2e.key_scan import forms_of, scan
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import Scene, a_scene
from tests.integration.issuer.thief import Loot, steal

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NAMES = ("internal", "public")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[Scene]:
    # Debug lines of libraries are the likeliest place for a leak.
    folder = tmp_path_factory.mktemp("issuer")
    async with a_scene(folder, tell=tell, log_level="debug") as ready:
        for name, exposure in zip(NAMES, (Exposure.INTERNAL, Exposure.PUBLIC), strict=True):
            await ready.peer.order(an_order(name, f"{name}.example.org", exposure=exposure))
        await ready.peer.wait_for(RevisionIssued, certificate_ids=NAMES)
        yield ready


async def test_no_key_is_in_the_journal_the_log_the_traces_or_the_broker(scene: Scene) -> None:
    places = [scene.issuer.folder, scene.broker.store]
    for name in NAMES:
        key_pem = opened(scene.registry.issued[name, 1, PLATFORM], name, 1)[0].key_pem
        assert key_pem is not None
        needles = forms_of(key_pem)
        assert scan(places, needles) == []
        control = scene.issuer.folder / "planted"
        control.write_bytes(b"something before " + key_pem + b" and after")
        assert scan(places, needles)
        control.unlink()


async def test_the_journal_holds_sealed_copies_that_escrow_can_open(scene: Scene) -> None:
    escrow = scene.issuer.escrow
    (row,) = scene.journal("SELECT sealed_keys FROM job WHERE certificate_id = 'internal'")
    sealed = {key.recipient: key for key in TypeAdapter(list[SealedKey]).validate_json(row[0])}
    assert set(sealed) == {"site1-syncer", "site1-pusher", "escrow"}
    context = SealContext("escrow", "internal", 1, PLATFORM)
    pem = open_sealed(sealed["escrow"].raw(), key=escrow, context=context, sealed_to=sealed["escrow"].key_id)
    assert pem == opened(scene.registry.issued["internal", 1, PLATFORM], "internal", 1)[0].key_pem


async def test_the_registry_gets_the_escrow_s_copy_apart_from_those_that_it_serves(scene: Scene) -> None:
    for bundle in scene.registry.issued.values():
        assert {key.recipient for key in bundle.keys} == {"site1-syncer", "site1-pusher"}
        assert bundle.escrow is not None
        assert (bundle.escrow.recipient, bundle.escrow.key_id) == ("escrow", scene.issuer.escrow.key_id)


def loot_of(scene: Scene) -> Loot:
    settings = [value.encode() for value in scene.issuer.process.env.values()]
    return steal(scene.issuer.state, scene.issuer.database_file, *settings)


async def test_who_steals_the_issuer_s_host_opens_no_key(scene: Scene) -> None:
    loot = loot_of(scene)
    recipients = {"site1-syncer", "site1-pusher", "escrow"}
    assert {(item.certificate_id, item.key.recipient) for item in loot.sealed} >= {
        (name, recipient) for name in NAMES for recipient in recipients
    }
    # The key that seals the accounts is among what was found: the thief knows how to look.
    journal_key = (scene.issuer.state / "journal.key").read_bytes().strip()
    assert base64.urlsafe_b64decode(journal_key + b"=" * (-len(journal_key) % 4)) in loot.secrets
    assert loot.opened() == []


@pytest.mark.parametrize("form", ["raw", "base64", "hex", "pem"])
async def test_with_the_escrow_s_key_the_thief_would_open_all_of_them(scene: Scene, form: str) -> None:
    key = scene.issuer.escrow.private_key
    raw = key.private_bytes_raw()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    forms = {"raw": raw, "base64": b"key = " + base64.b64encode(raw), "hex": raw.hex().encode(), "pem": b"\n" + pem}
    planted = scene.issuer.state / "planted"
    planted.write_bytes(forms[form])
    try:
        opened = loot_of(scene).opened()
    finally:
        planted.unlink()
    assert {(item.certificate_id, item.key.recipient) for item in opened} == {(name, "escrow") for name in NAMES}


async def test_what_the_issuer_keeps_only_the_issuer_can_read(scene: Scene) -> None:
    files = [path for path in scene.issuer.state.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"worker"}
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert oct(scene.issuer.state.stat().st_mode & 0o777) == "0o700"
