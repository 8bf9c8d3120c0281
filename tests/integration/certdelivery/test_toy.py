"""A kind of target from a package outside of this repository: nothing of ours knows its name."""

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
import pytest_asyncio

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import headers_of
from certcore.events import DeliverySucceeded, DeliveryWithdrawn, Event, SiteHeartbeat
from certcore.identities import HUB
from certcore.inspection import check_pair, read_chain
from certcore.intent import Target
from certcore.plugins import load_target_kinds
from certcore.sealing import RecipientKey, generate_recipient_key
from certdelivery.drivers import load_drivers, setting_faults
from certlocal.process import ChildProcess
from tests import servers
from tests.fork_server import fork_server
from tests.integration.certdelivery.installed_toy import TOY, install
from tests.issuing import Authority
from tests.ports import free_port
from tests.registry_standin import RegistryStandin, registry_standin
from tests.stream_reader import StreamReader, stream_reader

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
ISSUED = Authority().issue()
TARGET = Target.model_validate({"name": "box", "kind": "drop", "box": "default"})


@dataclass
class Hub:
    """The pusher of what belongs to no site."""

    process: ChildProcess
    registry: RegistryStandin
    reports: StreamReader
    recipient: RecipientKey
    bus_url: str
    folder: Path

    async def publish(self, event: Event) -> None:
        client = await nats.connect(self.bus_url)
        headers = headers_of(event, event_id=f"e-{id(event)}", source="/test", time=system_clock(), about="c1")
        body = event.model_dump_json().encode()
        await client.jetstream().publish(subjects.deploy(HUB, "pusher", "c1"), body, headers=headers)
        await client.close()


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with (
        servers.broker(sites=()) as broker,
        registry_standin() as registry,
        stream_reader(broker.url, f"certs.*.{HUB}.pusher.>") as reports,
    ):
        (tmp_path / "site-packages").mkdir()
        (tmp_path / "drops").mkdir()
        recipient = generate_recipient_key("hub-pusher", tmp_path / "recipient.key")
        (tmp_path / "pusher.toml").write_text(
            f"""
place = "{HUB}"
reconcile_every_s = 0.5
heartbeat_every_s = 0.5
bus = {{ url = "{broker.url}", identity = "hub-pusher", plain_text = true }}
http = {{ port = {free_port()}, plain_text = true }}
registry = {{ url = "{registry.url}", token_file = "{registry.settings(tmp_path).token_file}", plain_text = true }}
recipient = {{ name = "hub-pusher", key_file = "{tmp_path}/recipient.key" }}

[targets.drop.default]
folder = "{tmp_path}/drops"
"""
        )
        process = ChildProcess(
            name="cdn-pusher",
            argv=[sys.executable, "-m", "cdn_pusher"],
            start=fork_server(),
            log_path=tmp_path / "pusher.log",
            env={
                "CERTBUS_CONFIG_FILE": str(tmp_path / "pusher.toml"),
                "PYTHONPATH": str(install(tmp_path / "site-packages")),
            },
        )
        try:
            yield Hub(process, registry, reports, recipient, broker.url, tmp_path / "drops")
        finally:
            await process.stop()


def test_its_kind_and_its_driver_are_found_once_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "drop" not in load_target_kinds()
    monkeypatch.syspath_prepend(str(install(tmp_path)))
    kind = load_target_kinds()["drop"]
    assert (kind.service, kind.at_site) == ("pusher", False)
    assert set(load_drivers("pusher")) == {"drop", "haproxy"}
    assert "drop" not in load_drivers("syncer")
    (fault,) = setting_faults("pusher", {"drop": {"default": {}}})
    assert fault.field == ("targets", "drop", "default", "folder")


async def test_it_gets_a_certificate_keeps_it_reports_and_gives_it_back(hub: Hub) -> None:
    hub.process.start()
    beat, _ = await hub.reports.next(SiteHeartbeat)
    assert (beat.site, beat.kinds) == (HUB, ("drop", "haproxy"))

    order = hub.registry.want(
        ISSUED.chain_pem.decode(),
        ISSUED.key_pem.decode(),
        certificate_id="c1",
        name="shop",
        revision=1,
        recipient=hub.recipient,
        targets=[TARGET],
    )
    await hub.publish(order)
    told, message = await hub.reports.next(DeliverySucceeded)
    assert (told.target, told.generation, told.revision) == ("box", 1, 1)
    assert message.subject == "certs.status.hub.pusher.delivery_succeeded.c1"
    dropped = (hub.folder / "shop.pem").read_bytes()
    chain = read_chain(dropped)
    check_pair(chain, dropped[dropped.index(b"-----BEGIN PRIVATE") :])
    assert chain[0].fingerprint_sha256 == ISSUED.leaf.fingerprint_sha256

    (hub.folder / "shop.pem").unlink()
    told, _ = await hub.reports.next(DeliverySucceeded, where=lambda event: event.repaired)
    assert (hub.folder / "shop.pem").read_bytes() == dropped

    await hub.publish(hub.registry.withdraw(certificate_id="c1", name="shop", generation=2, targets=[TARGET]))
    gone, _ = await hub.reports.next(DeliveryWithdrawn)
    assert (gone.target, gone.generation) == ("box", 2)
    assert not (hub.folder / "shop.pem").exists()


def test_no_file_of_ours_knows_it() -> None:
    listed = subprocess.run(
        ["git", "grep", "-l", "toy_drop", "--", "libs", "services"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout == ""


def test_the_document_shows_the_toy_as_it_is() -> None:
    document = (ROOT / "docs" / "adding-a-target.md").read_text()
    for file, language in (
        ("pyproject.toml", "toml"),
        ("toy_drop/kind.py", "python"),
    ):
        assert f"```{language}\n{(TOY / file).read_text()}```\n" in document, file
    assert f"](../{(TOY / 'toy_drop' / 'driver.py').relative_to(ROOT)})" in document
