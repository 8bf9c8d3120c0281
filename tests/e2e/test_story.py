"""The story on a running system, looked at from outside."""

import asyncio
import json
import os
import re
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from certcore.api import CertificateView
from certcore.ca_limits.forecast import ForecastAnswer
from certcore.certificate import CertificateSpec, Exposure, Proof
from certcore.events import AlertRaised, AlertResolved, CertificateRenewalDue, IssueCause
from certcore.identities import alerts_durable, owner_identity
from certcore.targets import FilesTarget
from certkit.background import end_tasks
from certlocal.delivered_pair import CHAIN
from certlocal.process import execute
from certlocal.services import INTERNAL_CA, SERVICES
from certlocal.story import Story
from certlocal.system import Listener, LocalSystem
from certlocal.trace_tree import read_trace
from tests.authority import Authority
from tests.e2e.key_scan import forms_of, scan
from tests.e2e.rounds import ask, in_files, renew, request, until, wait_live
from tests.e2e.running import running_system
from tests.patience import HANG_S
from tests.ports import free_port
from tests.tls_servers import tls_server

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

_NAMES = ("orders", "shop", "edge")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalSystem]:
    """Started as an operator does it: what /proc shows of the processes is looked at."""
    async with running_system(tmp_path_factory.mktemp("home"), start=execute) as local:
        yield local


async def test_every_promise_of_the_story_holds(system: LocalSystem) -> None:
    told: list[str] = []
    held = await Story(system, tell=told.append).play()
    print("\n".join(told))
    assert held, "\n".join(told)


async def test_the_names_that_can_be_left_out_are_those_that_are_started(system: LocalSystem) -> None:
    assert tuple(system.services) == SERVICES


async def test_a_system_that_was_just_started_has_no_alert_of_its_own(system: LocalSystem) -> None:
    assert await _alerts(system) == set()


async def _alerts(system: LocalSystem) -> set[tuple[str, str]]:
    """Reason and subject of each open alert about the system itself."""
    found = await ask(system, "admin", lambda registry: list(registry.alerts(state="open", owner="platform")))
    return {(alert.reason, alert.subject) for alert in found}


def _show(system: LocalSystem, name: str) -> CertificateView:
    """As a person would: by the command, in another process."""
    shown = subprocess.run(
        [sys.executable, "-m", "certbus", "cert", "show", name, "-o", "json"],
        env={**os.environ, "CERTBUS_HOME": str(system.home.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return CertificateView.model_validate(json.loads(shown.stdout))


def _fingerprint_by_openssl(url: str) -> str:
    parts = urlsplit(url)
    shaken = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{parts.port}", "-servername", str(parts.hostname)],
        input=b"",
        capture_output=True,
        timeout=HANG_S,
        check=False,
    )
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=shaken.stdout,
        capture_output=True,
        check=True,
    )
    return told.stdout.decode().partition("=")[2].strip().replace(":", "").lower()


@pytest.mark.parametrize("name", _NAMES)
async def test_openssl_sees_at_every_endpoint_what_the_registry_names(system: LocalSystem, name: str) -> None:
    view = _show(system, name)
    assert view.revision is not None
    assert view.state == "live"
    for endpoint in view.endpoints:
        assert _fingerprint_by_openssl(endpoint.url) == endpoint.served_fingerprint_sha256
        assert endpoint.served_fingerprint_sha256 == view.revision.fingerprint_sha256


async def test_one_trace_leads_from_the_request_to_the_handshake_of_each_site(system: LocalSystem) -> None:
    for name in ("orders", "shop"):
        view = await ask(system, "admin", lambda registry: registry.certificate(name))  # noqa: B023 # awaited at once
        spans = read_trace(system.home.path("traces"), view.trace_id or "")
        roots = [span for span in spans if span.parent_id is None]
        assert len(roots) == 1
        assert roots[0].service == "registry"
        by_id = {span.span_id: span for span in spans}
        shaken = [span for span in spans if span.name == "tls.handshake"]
        assert {span.attributes["certbus.url"] for span in shaken} == {endpoint.url for endpoint in view.endpoints}
        for span in shaken:
            above = span
            while above.parent_id is not None:
                above = by_id[above.parent_id]
            assert above is roots[0]


def _delivered_keys(system: LocalSystem) -> Iterable[bytes]:
    block = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n", re.DOTALL)
    for path in system.home.path("sites").rglob("tls.key"):
        yield path.read_bytes()
    for path in system.home.path("haproxy", "certificates").glob("*.pem"):
        yield from block.findall(path.read_bytes())


def _where_no_key_may_be(system: LocalSystem) -> list[Path]:
    names = ("nats", "registry", "issuer", "monitor", "logs", "traces", "pebble", "tokens", "applications")
    return [system.home.path(name) for name in names]


async def test_no_private_key_lies_in_stream_database_log_or_trace(system: LocalSystem, tmp_path: Path) -> None:
    keys = list(_delivered_keys(system))
    assert len(keys) >= 5
    folders = _where_no_key_may_be(system)
    assert all(folder.exists() for folder in folders)
    for key in keys:
        assert scan(folders, forms_of(key)) == []
    # The control: the same scan finds one that was planted beside the others.
    (tmp_path / "planted.log").write_bytes(b'{"event": "oops", "key": "' + keys[0].replace(b"\n", b"\\n") + b'"}')
    assert scan([*folders, tmp_path], forms_of(keys[0])) != []


async def test_no_process_has_a_key_in_its_arguments_or_environment(system: LocalSystem) -> None:
    for service in system.services.values():
        process = Path(f"/proc/{service.process.pid}")
        for name in ("cmdline", "environ"):
            content = (process / name).read_bytes()
            assert b"PRIVATE KEY" not in content
            assert b"cb_" not in content, "a token"


async def test_a_syncer_that_was_away_for_three_revisions_delivers_only_the_newest(system: LocalSystem) -> None:
    before = await ask(system, "admin", lambda registry: registry.certificate("orders"))
    assert before.revision is not None
    first = before.revision.number
    await system.hold("site2-syncer")
    store = system.delivered_files("site2", "orders").parent
    for revision in range(first + 1, first + 4):
        await ask(system, "admin", lambda registry: registry.renew("orders"))
        await _wait_issued(system, revision)
    assert {path.name for path in store.iterdir() if path.is_dir() and not path.is_symlink()} <= {
        f"revision-{number}" for number in range(first + 1)
    }
    await system.release("site2-syncer")
    await wait_live(system, "orders", first + 3)

    async def told() -> bool:
        return ("service_restarted", "site2/syncer") in await _alerts(system)

    await until(told, "the alert of its restart")
    present = {path.name for path in store.iterdir()}
    assert f"revision-{first + 3}" in present
    assert present.isdisjoint({f"revision-{first + 1}", f"revision-{first + 2}"})
    log = system.home.path("logs", "site2-syncer.log").read_text()
    for skipped in (first + 1, first + 2):
        assert not re.search(rf'"revision": {skipped}\b[^\n]*"delivered"', log)


async def _wait_issued(system: LocalSystem, revision: int) -> None:
    async def issued() -> bool:
        view = await ask(system, "admin", lambda registry: registry.certificate("orders"))
        return view.revision is not None and view.revision.number >= revision

    await until(issued, f"revision {revision} of orders")


async def test_a_renewal_asked_for_twice_is_one_revision(system: LocalSystem) -> None:
    before = await wait_live(system, "shop")
    assert before.revision is not None
    wanted = before.revision.number + 1
    answers = [await ask(system, "admin", lambda registry: registry.renew("shop")) for _ in range(3)]
    assert {answer.revision for answer in answers} == {wanted}
    view = await wait_live(system, "shop", wanted)
    assert view.revision is not None
    assert view.revision.number == wanted
    await renew(system, "shop", wanted)


async def test_an_endpoint_that_serves_something_else_is_told_to_its_owner_and_told_again_when_it_is_mended(
    system: LocalSystem,
) -> None:
    port = free_port()
    host = "alert.internal.example.test"
    listener: list[Listener] = [
        {"listen": f"127.0.0.1:{port}", "files": str(system.delivered_files("site1", "alert"))}
    ]
    application = await system.serve("alert", listener)
    await request(system, in_files("alert", host, {"site1": port}))
    await wait_live(system, "alert")
    heard: list[tuple[str, AlertRaised]] = []

    async def hear(message: Msg) -> None:
        heard.append(((message.headers or {})["ce-type"], AlertRaised.model_validate_json(message.data)))

    identity = owner_identity("team-shop")
    bus = await system.connect_bus(identity)
    alerts = await bus.jetstream().pull_subscribe("", alerts_durable("team-shop"), stream="ALERTS")

    async def keep_hearing() -> None:
        while True:
            with suppress(TimeoutError):
                for message in await alerts.fetch(1, timeout=5):
                    await hear(message)
                    await message.ack()

    hearing = asyncio.create_task(keep_hearing())

    async def told(event_type: str) -> bool:
        return any(kind == event_type and (alert.url or "").endswith(f":{port}") for kind, alert in heard)

    await application.stop()
    async with tls_server(Authority().issue(host), port=port):
        await until(lambda: told(AlertRaised.type), "the alert")
    application = await system.serve("alert", listener)
    await until(lambda: told(AlertResolved.type), "its end")
    await application.stop()
    await end_tasks([hearing])
    await bus.close()
    ours = [alert for _, alert in heard if (alert.url or "").endswith(f":{port}")]
    assert {alert.owner for alert in ours} == {"team-shop"}
    assert {alert.reason for alert in ours} == {"serves_other_than_wanted"}


async def test_a_window_that_the_ca_moved_into_the_past_is_a_renewal_that_says_so(system: LocalSystem) -> None:
    name, why = "recalled", "https://ca.test/incident"
    await request(
        system,
        CertificateSpec(
            name=name,
            dns_names=(f"{name}.internal.example.test",),
            exposure=Exposure.INTERNAL,
            targets=(FilesTarget(name="site1-host", site="site1"),),
            proof=Proof.NONE,
        ),
    )
    first = await wait_live(system, name)
    chain = system.delivered_files("site1", name).joinpath(CHAIN).read_text()
    past = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    answer = json.dumps({"suggestedWindow": past, "explanationURL": why})
    trust = ssl.create_default_context(cafile=system.pebble.ca_file)
    async with httpx.AsyncClient(trust_env=False, verify=trust) as http:
        url = f"{system.pebble.management_url}/set-renewal-info/"
        (await http.post(url, json={"certificate": chain, "ariResponse": answer})).raise_for_status()

    async def renewed() -> bool:
        # As if the Retry-After of what the CA may have said before were over.
        with closing(sqlite3.connect(system.home.path("issuer", "issuer.db"), timeout=HANG_S)) as journal, journal:
            journal.execute(
                "UPDATE renewal_window SET ask_at = '2020-01-01 00:00:00.000000' WHERE certificate_id = ?"
                " AND revision = 1 AND chosen > '2020-01-02'",
                (first.id,),
            )
        return bool(_renewals(system, first.id))

    await until(renewed, "the renewal")
    await wait_live(system, name, 2)
    [due] = _renewals(system, first.id)
    told = "suggested: the CA suggests a renewal between 2020-01-01T00:00Z and 2020-01-02T00:00Z, because "
    assert (due.order.revision, due.order.cause, due.reason) == (2, IssueCause.ARI, told + why)
    assert due.order.replaces is not None
    # No person asked for it, and whoever looks finds why.
    [entry] = await ask(system, "admin", lambda registry: list(registry.audit(about=name, action="renew")))
    assert (entry.actor, why in entry.detail) == ("registry", True)


async def test_by_what_the_issuer_tells_of_its_limits_an_operator_foresees(system: LocalSystem) -> None:
    question = {"orders": [{"id": "one", "ca": INTERNAL_CA, "dns_names": ["new.internal.example.test"]}]}
    async with httpx.AsyncClient(
        base_url=system.registry_url,
        headers={"authorization": f"Bearer {system.home.token('admin')}"},
        trust_env=False,
        verify=ssl.create_default_context(cafile=system.ca_file),
    ) as http:

        async def told() -> bool:
            return (await http.post("/v1/forecasts", json=question)).status_code != 409

        await until(told, "the issuer's first report")
        answer = (await http.post("/v1/forecasts", json=question)).raise_for_status()
    found = ForecastAnswer.model_validate_json(answer.content)
    # Of this CA nothing is counted: it goes at once.
    assert [(one.id, one.at, one.limit) for one in found.orders] == [("one", found.made_at, None)]


def _renewals(system: LocalSystem, certificate_id: str) -> list[CertificateRenewalDue]:
    with closing(sqlite3.connect(f"file:{system.home.path('registry', 'registry.db')}?mode=ro", uri=True)) as rows:
        found = rows.execute(
            "SELECT data FROM event WHERE about = ? AND type = ?", (certificate_id, CertificateRenewalDue.type)
        )
        return [CertificateRenewalDue.model_validate_json(data) for (data,) in found]
