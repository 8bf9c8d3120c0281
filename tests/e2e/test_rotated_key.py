"""A site's key is replaced while everything runs: the escrow seals again, the syncer delivers, and no CA is asked."""

import asyncio
import time
from pathlib import Path

import pytest

from certbus.client import Registry
from certcore.api import CertificateState
from certcore.enrolment import RecipientEnrolment, SiteEnrolment
from certcore.identities import recipient_name
from certcore.sealing import generate_recipient_key
from certlocal.requests import orders_request
from certlocal.system import LocalSystem
from tests.e2e.running import running_system
from tests.fork_server import fork_server
from tests.patience import HANG_S

pytestmark = pytest.mark.e2e

SITE = "site1"


async def reached(system: LocalSystem, name: str, generation: int) -> None:
    """Wait until everything is delivered and seen served, at the site in this generation or a later one."""
    deadline = time.monotonic() + HANG_S
    while True:
        with system.connect("alice") as registry:
            view = registry.certificate(name)
        targets = {(item.site, item.state) for item in view.targets}
        ours = [item.generation for item in view.targets if item.site == SITE]
        if (
            view.state is CertificateState.LIVE
            and min(ours) >= generation
            and {state for _, state in targets} == {"verified"}
        ):
            assert view.revision is not None
            assert view.revision.number == 1
            return
        assert time.monotonic() < deadline, (view.state, view.reason, view.targets)
        await asyncio.sleep(0.2)


def replace_key(registry: Registry, key_file: Path) -> None:
    key_file.rename(key_file.with_suffix(".before"))
    key = generate_recipient_key(recipient_name(SITE, "syncer"), key_file)
    enrolment = RecipientEnrolment(service="syncer", public_key=key.public_key)
    registry.enrol_site(SITE, SiteEnrolment(recipients=(enrolment,), replace=True))


async def test_a_site_with_a_new_key_gets_what_it_had_and_nothing_is_issued(tmp_path: Path) -> None:
    async with running_system(tmp_path, start=fork_server()) as system:
        # Without its private half the issuer has nothing that opens a key.
        assert (tmp_path / "escrow" / "escrow.key").exists()
        assert list((tmp_path / "issuer").glob("*.key")) in ([], [tmp_path / "issuer" / "journal.key"])
        with system.connect("alice") as registry:
            name = registry.create_request(orders_request(system.places)).name
        await reached(system, name, 1)
        finalized = system.pebble.finalized_orders()
        with system.connect() as registry:
            await asyncio.to_thread(replace_key, registry, system.home.path("sites", SITE, "syncer.key"))
        await system.kill(f"{SITE}-syncer")
        await reached(system, name, 2)
        assert system.pebble.finalized_orders() == finalized
