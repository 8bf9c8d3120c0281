"""The issuer as a process, between a real broker and a real Pebble that refuses 15 % of all nonces."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import httpx
import pytest
import pytest_asyncio

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events import FailureCode, MustAct, Recipient, RevisionFailed, RevisionIssued, RevisionStarted
from certcore.inspection import read_chain
from certcore.placements import PLATFORM
from certlocal.errors import ProcessFailedError
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.integration.issuer.txt_records import txt_values

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[Scene]:
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell) as ready:
        yield ready


@pytest.fixture
def finalized(scene: Scene) -> Callable[[], list[str]]:
    """The orders that Pebble finalized since the test began."""
    before = len(scene.pebble.finalized_orders())
    return lambda: scene.pebble.finalized_orders()[before:]


async def test_every_kind_of_certificate_is_issued_once_and_opens_for_its_recipients(
    scene: Scene, finalized: Callable[[], list[str]]
) -> None:
    orders = [
        an_order("plain-dns", "plain.example.org"),
        an_order("plain-http", "web.example.org", exposure=Exposure.PUBLIC),
        an_order("wild", "wild.example.org", "*.wild.example.org"),
        an_order("wild-public", "*.pub.example.org", "pub.example.org", exposure=Exposure.PUBLIC),
        an_order("many", *(f"n{number}.many.example.org" for number in range(30)), exposure=Exposure.PUBLIC),
        an_order("named", "named.example.org", issuer="by-http"),
        an_order("ec384", "ec384.example.org", key_algorithm=KeyAlgorithm.EC_P384),
        an_order("rsa2048", "rsa2048.example.org", key_algorithm=KeyAlgorithm.RSA_2048),
        an_order("rsa3072", "rsa3072.example.org", key_algorithm=KeyAlgorithm.RSA_3072),
    ]
    for order in orders:
        await scene.peer.order(order)
    issued = await scene.peer.wait_for(RevisionIssued, certificate_ids=[order.certificate_id for order in orders])
    for order in orders:
        for bundle in opened(scene.registry.issued[order.certificate_id, 1, PLATFORM], order.certificate_id, 1):
            assert set(bundle.leaf.dns_names) == set(order.dns_names)
            assert bundle.leaf.fingerprint_sha256 == issued[order.certificate_id].fingerprint_sha256
    methods = {certificate: event.validation_method for certificate, event in issued.items()}
    assert methods["plain-dns"] == methods["wild"] == "dns-01"
    assert methods["plain-http"] == methods["named"] == methods["many"] == "http-01"
    assert methods["wild-public"] == "dns-01,http-01"
    assert {issued[certificate].ca for certificate in ("plain-dns", "wild")} == {"by-dns"}
    assert all(event.ari_id for event in issued.values())
    assert len(finalized()) == len(set(finalized())) == len(orders)
    for order in orders:
        assert len(scene.peer.reports(RevisionStarted, order.certificate_id)) == 1
        assert scene.peer.reports(RevisionFailed, order.certificate_id) == []
    assert await txt_values(scene.pebble.dns, "_acme-challenge.wild.example.org") == []


async def test_an_order_that_comes_again_is_not_issued_again(
    scene: Scene, finalized: Callable[[], list[str]]
) -> None:
    order = an_order("twice", "twice.example.org")
    await asyncio.gather(*(scene.peer.order(order) for _ in range(5)))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["twice"])
    await scene.peer.order(order)
    await until(
        lambda: [line for line in scene.logged("issue_order_repeated") if line["reason"] == "told_again"],
        what="the repeated order is taken",
    )
    # The stream keeps one report of each, however often it is told.
    assert len(scene.peer.reports(RevisionIssued, "twice")) == len(scene.peer.reports(RevisionStarted, "twice")) == 1
    assert len(finalized()) == 1


async def test_a_renewal_gets_a_new_key_and_tells_the_ca_what_it_replaces(scene: Scene) -> None:
    await scene.peer.order(an_order("shop", "shop.example.org"))
    first = (await scene.peer.wait_for(RevisionIssued, certificate_ids=["shop"]))["shop"]
    await scene.peer.order(an_order("shop", "shop.example.org", revision=2, replaces=first.ari_id))
    await until(lambda: ("shop", 2, PLATFORM) in scene.registry.issued, what="the second revision")
    keys = {
        read_chain(scene.registry.issued["shop", revision, PLATFORM].chain_pem.encode())[0].spki_sha256
        for revision in (1, 2)
    }
    assert len(keys) == 2
    assert "is a replacement of" in scene.pebble.log_path.read_text()
    # Replaced once already, it can't be replaced again: that is no reason not to issue.
    await scene.peer.order(an_order("shop", "shop.example.org", revision=3, replaces=first.ari_id))
    await until(lambda: ("shop", 3, PLATFORM) in scene.registry.issued, what="the third revision")
    assert scene.logged("replacement_not_taken")


async def test_a_failed_validation_is_reported_with_its_reason_and_tried_when_asked(
    scene: Scene, finalized: Callable[[], list[str]]
) -> None:
    await _break_dns(scene, "sick.example.org", broken=True)
    await scene.peer.order(an_order("sick", "sick.example.org"))
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["sick"]))["sick"]
    assert failed.reason.startswith("order_invalid: ")
    assert (failed.code, failed.must_act) == (FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER)
    assert failed.next_try is not None
    await _break_dns(scene, "sick.example.org", broken=False)
    await scene.peer.order(an_order("sick", "sick.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["sick"])
    assert len(finalized()) == 1


async def _break_dns(scene: Scene, name: str, *, broken: bool) -> None:
    path = "set-servfail" if broken else "clear-servfail"
    async with httpx.AsyncClient(base_url=scene.pebble.challtestsrv_url, trust_env=False) as client:
        answer = await client.post(f"/{path}", json={"host": f"_acme-challenge.{name}."})
    answer.raise_for_status()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"issuer": "nowhere"}, "unknown_ca: no CA named nowhere"),
        ({"recipients": (Recipient(name="site1-syncer", public_key="bm90IGEga2V5"),)}, "recipient_unfit: "),
    ],
)
async def test_what_only_a_person_can_mend_is_reported_without_a_next_try(
    scene: Scene, finalized: Callable[[], list[str]], fields: dict[str, object], reason: str
) -> None:
    name = reason.partition(":")[0].replace("_", "-")
    await scene.peer.order(an_order(name, f"{name}.example.org", **fields))  # type: ignore[arg-type] # a row each
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=[name]))[name]
    assert failed.reason.startswith(reason)
    assert (failed.code, failed.must_act) == (FailureCode.CONFIGURATION, MustAct.OPERATOR)
    assert failed.next_try is None
    assert finalized() == []


async def test_a_registry_that_is_away_gets_the_bundle_when_it_is_back(
    scene: Scene, finalized: Callable[[], list[str]]
) -> None:
    scene.registry.down = True
    await scene.peer.order(an_order("late", "late.example.org"))
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["late"]))["late"]
    assert failed.reason.startswith("registry_unreachable: ")
    assert scene.peer.reports(RevisionIssued, "late") == []
    scene.registry.down = False
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["late"])
    assert len(finalized()) == 1


async def test_a_bundle_that_the_registry_refuses_is_reported_and_not_issued_again(
    scene: Scene, finalized: Callable[[], list[str]]
) -> None:
    scene.registry.refuses_bundles = True
    await scene.peer.order(an_order("refused", "refused.example.org"))
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["refused"]))["refused"]
    assert failed.reason.startswith("registry_refused: ")
    scene.registry.refuses_bundles = False
    await scene.peer.order(an_order("refused", "refused.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["refused"])
    assert len(finalized()) == 1


async def test_a_ca_that_lost_its_memory_is_ordered_from_anew(
    scene: Scene, finalized: Callable[[], list[str]]
) -> None:
    scene.registry.down = True
    await scene.peer.order(an_order("before", "before.example.org"))
    await scene.peer.wait_for(RevisionFailed, certificate_ids=["before"])
    account = _accounts(scene)[-1]
    await scene.pebble.ca.stop()
    await scene.peer.order(an_order("during", "during.example.org"))
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["during"]))["during"]
    assert failed.reason.startswith("ca_unreachable: ")
    await scene.pebble.ca.start()
    scene.registry.down = False
    await scene.peer.order(an_order("after", "after.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["before", "during", "after"])
    assert _accounts(scene)[-1] != account
    # What was signed before is not signed again.
    assert len(finalized()) == len(set(finalized())) == 3


async def test_an_open_order_that_the_ca_forgot_is_replaced(scene: Scene, finalized: Callable[[], list[str]]) -> None:
    await scene.pebble.challenge_dns.stop()
    await scene.peer.order(an_order("midway", "midway.example.org"))
    await until(
        lambda: [line for line in scene.logged("job_failed") if line["certificate_id"] == "midway"],
        what="the order is open, and nothing can be proven",
    )
    await scene.pebble.ca.stop()
    await scene.pebble.ca.start()
    await scene.pebble.challenge_dns.start()
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["midway"])
    (abandoned,) = (line for line in scene.logged("order_abandoned") if line["certificate_id"] == "midway")
    assert abandoned["reason"] == "order_lost"
    assert len(finalized()) == 1


def _accounts(scene: Scene) -> list[object]:
    return [line["account"] for line in scene.logged("account_registered")]


async def test_an_account_whose_url_was_never_stored_is_found_by_its_key(scene: Scene) -> None:
    await scene.peer.order(an_order("one", "one.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["one"])
    known = _accounts(scene)
    await scene.issuer.stop()
    with closing(sqlite3.connect(scene.issuer.database_file)) as database, database:
        database.execute("UPDATE acme_account SET url = NULL")
    await scene.issuer.start()
    await scene.peer.order(an_order("two", "two.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["two"])
    assert len(_accounts(scene)) == len(known) + 1
    assert _accounts(scene)[-1] in known


async def test_one_trace_leads_from_the_order_through_every_step_to_the_report(scene: Scene) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    await scene.peer.order(an_order("traced", "traced.example.org"), traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["traced"])
    headers = [message.headers or {} for message in scene.peer.messages]
    (report,) = (one for one in headers if re.fullmatch(r"issued/[\d.]+/traced/1/platform", one["ce-id"]))
    assert report["traceparent"].split("-")[1] == trace_id

    def names() -> set[str]:
        spans = [json.loads(line) for line in scene.issuer.trace_file.read_text().splitlines()]
        return {span["name"] for span in spans if span["context"]["trace_id"] == f"0x{trace_id}"}

    steps = {"make_key", "open_order", "collect_challenges", "prove_control", "finalize", "store_bundle", "report"}
    wanted = {"acme.order", *(f"acme.{step}" for step in steps)}
    await until(lambda: wanted <= names(), what=f"spans {sorted(wanted)}")


async def test_a_report_that_is_taken_with_the_bundle_is_not_published(scene: Scene) -> None:
    def stored() -> bool:
        return any(line["certificate_id"] == "at-once" for line in scene.logged("bundle_stored"))

    scene.registry.takes_reports = True
    try:
        await scene.peer.order(an_order("at-once", "at-once.example.org"))
        await until(stored, what="the bundle is stored")
    finally:
        scene.registry.takes_reports = False
    report = scene.registry.issued["at-once", 1, PLATFORM].report
    assert report is not None
    assert (report.ca, report.validation_method, bool(report.ari_id)) == ("by-dns", "dns-01", True)
    # The stream keeps the order: what comes after would come behind it.
    await scene.peer.order(an_order("by-event", "by-event.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["by-event"])
    assert scene.peer.reports(RevisionIssued, "at-once") == []


async def test_a_stop_is_orderly_and_a_start_goes_on(scene: Scene, finalized: Callable[[], list[str]]) -> None:
    names = [f"c{number}" for number in range(12)]
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org"))
    await until(lambda: any((name, 1, PLATFORM) in scene.registry.issued for name in names), what="the first bundle")
    await scene.issuer.stop()
    assert scene.issuer.process.returncode in {0, -15}
    assert "Traceback" not in scene.issuer.process.log_path.read_text()
    await scene.issuer.start()
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    assert len(finalized()) == len(names)


async def test_an_issuer_with_another_journal_key_does_not_start(scene: Scene) -> None:
    await scene.issuer.stop()
    key_file = scene.issuer.state / "journal.key"
    right = key_file.read_bytes()
    key_file.write_text("A" * 43)
    try:
        with pytest.raises(ProcessFailedError):
            await scene.issuer.start()
        assert "journal_key_file" in scene.issuer.process.log_path.read_text()
    finally:
        key_file.write_bytes(right)
    await scene.issuer.start()
