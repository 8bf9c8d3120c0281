"""`python -m issuer escrow` beside a real registry: what it seals again is delivered, and it leaks no key."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from certcore.bundles import SealedBundle
from certcore.sealing import generate_recipient_key
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests.e2e.key_scan import forms_of, scan
from tests.fork_server import fork_server
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.rotated_site import Site, a_site
from tests.integration.registry.stand_ins import StandIns
from tests.ports import free_port
from tests.registry_process import running_registry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@asynccontextmanager
async def an_escrow(folder: Path, site: Site) -> AsyncIterator[ChildProcess]:
    port, token = free_port(), folder / "token"
    token.write_text(site.escrow.token or "")
    settings = {
        "http": {"host": "127.0.0.1", "port": port, "plain_text": True},
        "registry": {"url": site.registry.url, "token_file": str(token), "plain_text": True},
        "telemetry": {"trace_file": str(folder / "traces.jsonl"), "log_level": "debug"},
        "state_folder": str(folder / "escrow"),
        "reseal_every_s": 0.2,
    }
    process = ChildProcess(
        name="escrow",
        argv=[sys.executable, "-m", "issuer", "escrow"],
        start=fork_server(),
        log_path=folder / "escrow.log",
        env={
            **{
                f"CERTBUS_ESCROW_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
                for name, value in settings.items()
            },
            "PYTHONDONTWRITEBYTECODE": "",
        },
        ports=(port,),
    )
    process.start()
    try:
        await process.wait_ready(answers(f"http://127.0.0.1:{port}/readyz", instance=process.instance))
        yield process
    finally:
        await process.stop()


async def asked(process: ChildProcess, path: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{process.ports[0]}{path}")).text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("escrow")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(folder: Path) -> AsyncIterator[Site]:
    async with (
        running_registry(renewal_sweep_every_s=3600.0) as registry,
        Bus.connect(registry.nats_url) as bus,
    ):
        found = await a_site(registry, await StandIns.start(registry, bus))
        yield replace(found, key_of_escrow=generate_recipient_key("escrow", folder / "escrow" / "escrow.key"))


async def test_a_rotated_key_is_delivered_without_a_new_revision(site: Site, folder: Path) -> None:
    certificate, issued = await site.live()
    async with an_escrow(folder, site) as process:
        await site.rotate(replace=True)
        new = site.key

        async def opened() -> bool:
            answer = await site.syncer.get(f"/v1/bundles/{certificate.id}/1")
            bundle = SealedBundle.model_validate_json(answer.content)
            return bundle.key is not None and bundle.key.key_id == new.key_id

        await eventually(opened, what="the key is sealed to the new one")
        answer = await site.syncer.get(f"/v1/bundles/{certificate.id}/1")
        bundle = SealedBundle.model_validate_json(answer.content)
        assert bundle.open(new).key_pem == issued.key_pem.encode()
        [placement] = (await site.ordered(certificate)).placements
        assert (placement.revision, placement.bundle_sha256) == (1, bundle.sha256())
        assert "certbus_escrow_resealed_total 1.0" in await asked(process, "/metrics")
        assert await asked(process, "/nothing") == "not found"
    found = site.registry.process.rows("SELECT ordered FROM certificate WHERE id = ?", certificate.id)
    assert found == [{"ordered": 1}]
    # Debug lines of libraries are the likeliest place for a leak.
    needles = forms_of(issued.key_pem.encode())
    assert scan([folder, site.registry.process.folder], needles) == []
    control = folder / "planted"
    control.write_text(issued.key_pem)
    assert scan([folder], needles)
    control.unlink()


async def test_a_copy_that_it_can_not_open_is_told_and_holds_no_other_up(site: Site, folder: Path) -> None:
    foreign = replace(site, key_of_escrow=generate_recipient_key("escrow", folder / "another.key"))
    sick, _ = await foreign.live()
    well, _ = await site.live()
    async with an_escrow(folder, site) as process:
        await site.rotate(replace=True)

        async def only_the_sick_one_is_left() -> bool:
            return not await site.listed(well) and len(await site.listed(sick)) == 1

        await eventually(only_the_sick_one_is_left, what="the other one is sealed again")

        async def told() -> bool:
            text = await asked(process, "/readyz")
            return "1 can't be sealed again" in text and sick.id in text

        await eventually(told, what="it is told")
