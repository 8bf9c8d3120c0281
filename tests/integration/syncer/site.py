"""One site in a test: a syncer process, the broker and registry that it talks to, and what it reported."""

import asyncio
import json
import secrets
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import nats
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nats.aio.client import Client
from nats.aio.msg import Msg

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import headers_of
from certcore.events import DeliveryFailed, DeliverySucceeded, DeploymentOrdered, Event, catalogue
from certcore.inspection import check_pair, read_chain
from certcore.intent import Target
from certcore.sealing import RecipientKey
from certkit.background import end_tasks
from certkit.declare import declare
from certkit.topology import topology
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests.fork_server import fork_server
from tests.issuing import SITE, Issued, recipient_key
from tests.patience import HANG_S
from tests.ports import free_port
from tests.registry_standin import RegistryStandin, registry_standin
from tests.reports import read_reports

EventT = TypeVar("EventT", bound=Event)


async def until(condition: Callable[[], bool], what: str, *, timeout_s: float = HANG_S) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 # what is waited for happens in another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not seen in {timeout_s:g} s: {what}") from None


@dataclass(frozen=True)
class Span:
    name: str
    trace_id: str
    attributes: Mapping[str, object]

    @classmethod
    def of(cls, exported: Mapping[str, Any]) -> "Span":
        return cls(exported["name"], exported["context"]["trace_id"].removeprefix("0x"), exported["attributes"])


class Site:
    def __init__(
        self,
        *,
        folder: Path,
        bus_url: str,
        client: Client,
        registry: RegistryStandin,
        key: RecipientKey,
        clusters: Mapping[str, Path],
    ) -> None:
        self.folder = folder
        self.registry = registry
        self.key = key
        self.reported: list[tuple[Event, Mapping[str, str]]] = []
        self._bus_url = bus_url
        self._client = client
        self._clusters = dict(clusters)
        self._port = free_port()
        self._reading: asyncio.Task[None] | None = None
        self.process = ChildProcess(
            name="syncer",
            argv=[sys.executable, "-m", "syncer"],
            start=fork_server(),
            log_path=folder / "syncer.log",
            env={"CERTBUS_CONFIG_FILE": str(folder / "syncer.toml")},
            ports=(self._port,),
        )

    @property
    def log(self) -> str:
        return (self.folder / "syncer.log").read_text()

    @property
    def traces(self) -> str:
        return (self.folder / "traces.jsonl").read_text()

    @property
    def spans(self) -> list[Span]:
        return [Span.of(json.loads(line)) for line in self.traces.splitlines()]

    def store(self, name: str) -> Path:
        return self.folder / "stores" / name

    def configure(self, stores: Mapping[str, Sequence[str]]) -> None:
        """`stores` by name, each with its reload command, where it has one."""
        token_file = self.registry.settings(self.folder).token_file
        lines = [
            f'place = "{SITE}"',
            "reconcile_every_s = 0.5",
            "review_every_s = 2",
            "heartbeat_every_s = 60",
            f'bus = {{ url = "{self._bus_url}", identity = "{SITE}-syncer", plain_text = true }}',
            f"http = {{ port = {self._port}, plain_text = true }}",
            f'telemetry = {{ log_level = "debug", trace_file = "{self.folder / "traces.jsonl"}" }}',
            f'registry = {{ url = "{self.registry.url}", token_file = "{token_file}", plain_text = true }}',
            f'recipient = {{ name = "{self.key.name}", key_file = "{self.folder / "recipient.key"}" }}',
        ]
        for name, reload in stores.items():
            lines += [f"[targets.files.{name}]", f'directory = "{self.store(name)}"']
            lines += [f"reload = {json.dumps(list(reload))}"] if reload else []
        for name, kubeconfig in self._clusters.items():
            lines += [f"[targets.kubernetes.{name}]", f'kubeconfig = "{kubeconfig}"']
        (self.folder / "syncer.toml").write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        self.process.start()
        check = answers(f"http://127.0.0.1:{self._port}/readyz", instance=self.process.instance)
        await self.process.wait_ready(check, timeout_s=HANG_S)

    async def order(self, order: DeploymentOrdered) -> None:
        headers = headers_of(
            order, event_id=str(uuid.uuid4()), source="registry", time=system_clock(), about=order.certificate_id
        )
        if order.traceparent is not None:
            headers["traceparent"] = order.traceparent
        await self._client.jetstream().publish(
            subjects.deploy(SITE, "syncer", order.certificate_id),
            order.model_dump_json().encode(),
            stream=subjects.deploy_stream(SITE),
            headers=headers,
        )

    async def acknowledged(self) -> None:
        """Wait until no order is left that the syncer did not acknowledge."""
        async with asyncio.timeout(HANG_S):
            while await self._pending():  # noqa: ASYNC110 # as `until`
                await asyncio.sleep(0.02)

    def told(self, kind: type[EventT]) -> list[EventT]:
        return [event for event, _ in self.reported if isinstance(event, kind)]

    async def awaited(self, kind: type[EventT]) -> EventT:
        """The newest report of a kind."""
        await until(lambda: bool(self.told(kind)), f"{kind.__name__}\n{self.process.last_lines(30)}")
        return self.told(kind)[-1]

    async def metrics(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self._port}/metrics")).text

    async def hear_reports(self) -> None:
        """Make the streams of reports where they are missing, and hear all that is in them."""
        await declare(self._client.jetstream(), topology([SITE]), apply=True)
        if self._reading is None:
            self._reading = asyncio.create_task(read_reports(self._client.jetstream(), SITE, self.note))

    async def close(self) -> None:
        if self._reading is not None:
            await end_tasks([self._reading])

    async def lose_reports(self) -> None:
        """From now on, no stream takes them."""
        await self._client.jetstream().delete_stream(subjects.status_stream(SITE))

    async def note(self, message: Msg) -> None:
        headers = message.headers or {}
        self.reported.append((catalogue()[headers["ce-type"]].model_validate_json(message.data), headers))

    def assert_silent_about(self, *all_issued: Issued) -> None:
        """Neither log nor traces nor reports hold a key, in whole or in one of its lines."""
        reports = "".join(event.model_dump_json() for event, _ in self.reported)
        for text in (self.log, self.traces, reports):
            assert "PRIVATE KEY" not in text
            for issued in all_issued:
                for line in issued.key_pem.decode().splitlines()[1:-1]:
                    assert line not in text

    async def _pending(self) -> int:
        info = await self._client.jetstream().consumer_info(subjects.deploy_stream(SITE), f"{SITE}-syncer")
        return (info.num_pending or 0) + (info.num_ack_pending or 0)


class Lineage:
    """One certificate in a test, with an id, a name and a trace of its own."""

    def __init__(self, site: Site, *targets: Target) -> None:
        run = secrets.token_hex(4)
        self.id = f"crt-{run}"
        self.name = f"shop-{run}"
        self.trace_id = secrets.token_hex(16)
        self.targets: Sequence[Target] = targets
        self._site = site

    def want(self, issued: Issued, revision: int, *, generation: int | None = None) -> DeploymentOrdered:
        """What the registry wants from now on, without a word to the site."""
        return self._site.registry.want(
            issued.chain_pem.decode(),
            issued.key_pem.decode(),
            revision=revision,
            generation=generation,
            targets=self.targets,
            recipient=self._site.key,
            certificate_id=self.id,
            name=self.name,
            traceparent=f"00-{self.trace_id}-{secrets.token_hex(8)}-01",
        )

    async def issue(self, issued: Issued, revision: int, *, generation: int | None = None) -> DeploymentOrdered:
        order = self.want(issued, revision, generation=generation)
        await self._site.order(order)
        return order

    async def withdraw(self, generation: int) -> DeploymentOrdered:
        order = self._site.registry.withdraw(
            certificate_id=self.id, name=self.name, generation=generation, targets=self.targets
        )
        await self._site.order(order)
        return order

    def successes(self) -> list[DeliverySucceeded]:
        return [event for event in self._site.told(DeliverySucceeded) if event.certificate_id == self.id]

    def failures(self) -> list[DeliveryFailed]:
        return [event for event in self._site.told(DeliveryFailed) if event.certificate_id == self.id]

    async def delivered(self, revision: int, *, target: str = "host", repaired: bool = False) -> DeliverySucceeded:
        def found() -> list[DeliverySucceeded]:
            wanted = (revision, target, repaired)
            return [event for event in self.successes() if (event.revision, event.target, event.repaired) == wanted]

        await self._until(found, f"revision {revision} at {target}")
        return found()[-1]

    async def failed(self, revision: int, *, target: str = "host") -> DeliveryFailed:
        def found() -> list[DeliveryFailed]:
            return [event for event in self.failures() if (event.revision, event.target) == (revision, target)]

        await self._until(found, f"failure of revision {revision} at {target}")
        return found()[-1]

    def folder(self, store: str = "default") -> Path:
        return self._site.store(store) / self.name

    def served(self, store: str = "default") -> str:
        """The fingerprint of the files, after the checks that a server makes of the pair."""
        current = (self.folder(store) / "current").resolve()
        chain = read_chain((current / "tls.crt").read_bytes())
        check_pair(chain, (current / "tls.key").read_bytes())
        return chain[0].fingerprint_sha256

    def fetched(self) -> list[int]:
        """The revisions whose bundle was fetched."""
        return [revision for certificate_id, revision in self._site.registry.fetched if certificate_id == self.id]

    async def _until(self, found: Callable[[], Sequence[Event]], what: str) -> None:
        await until(lambda: bool(found()), f"{what}\n{self._site.process.last_lines(30)}")


@asynccontextmanager
async def site_of(bus_url: str, folder: Path, clusters: Mapping[str, Path] | None = None) -> AsyncIterator[Site]:
    """A site with one store, whose syncer is not started yet."""
    key = recipient_key()
    raw = key.private_key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    (folder / "recipient.key").write_bytes(raw)
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(registry_standin())
        client = await nats.connect(bus_url)
        stack.push_async_callback(client.close)
        site = Site(
            folder=folder, bus_url=bus_url, client=client, registry=registry, key=key, clusters=clusters or {}
        )
        site.configure({"default": ()})
        stack.push_async_callback(site.close)
        await site.hear_reports()
        stack.push_async_callback(site.process.stop)
        yield site
