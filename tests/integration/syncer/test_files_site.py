"""A syncer process of a host that has files only, with a real broker; one process for all of these tests."""

import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from certcore.events import (
    CONTRACT,
    DeliveryReason,
    DeliverySucceeded,
    DeliveryWithdrawn,
    SiteHeartbeat,
    SiteReviewed,
)
from tests import servers
from tests.integration.syncer.site import Lineage, Site, site_of, until
from tests.issuing import SITE, Authority, files_target, kubernetes_target, target
from tests.standin_review import Review

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

AUTHORITY = Authority()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    async with servers.broker(sites=["site1"]) as broker, site_of(broker.url, folder) as site:
        # It prints the key, as a badly made command might.
        script = "import glob, os, sys; [print(open(key).read(), flush=True) for key in glob.glob(sys.argv[1])]; "
        script += "sys.exit(not os.path.exists(sys.argv[2]))"
        keys = site.store("reloaded") / "*" / "current" / "tls.key"
        site.configure({"default": (), "reloaded": (sys.executable, "-c", script, str(keys), str(folder / "gate"))})
        await site.start()
        yield site


async def test_an_order_is_delivered_acknowledged_told_and_traced(site: Site) -> None:
    shop, issued = Lineage(site, files_target()), AUTHORITY.issue()
    await shop.issue(issued, 1)
    told = await shop.delivered(1)
    assert told.fingerprint_sha256 == issued.leaf.fingerprint_sha256
    assert shop.served() == issued.leaf.fingerprint_sha256
    await site.acknowledged()
    (delivery,) = [span for span in site.spans if span.name == "deliver" and span.trace_id == shop.trace_id]
    assert delivery.attributes == {
        "certbus.place": SITE,
        "certbus.kind": "files",
        "certbus.destination": "default",
        "certbus.certificate": shop.name,
        "certbus.target": "host",
        "certbus.generation": 1,
        "certbus.revision": 1,
        "certbus.variant": "platform",
        "certbus.writes": 1,
    }
    traceparents = [headers["traceparent"] for event, headers in site.reported if event is told]
    assert traceparents[0].split("-")[1] == shop.trace_id
    assert 'certbus_delivery_writes_total{kind="files",reason="missing"}' in await site.metrics()


async def test_a_host_without_clusters_reports_that_it_lives_and_an_empty_review(site: Site) -> None:
    heartbeat = await site.awaited(SiteHeartbeat)
    assert (heartbeat.site, heartbeat.service, heartbeat.clusters) == (SITE, "syncer", ())
    assert (heartbeat.kinds, heartbeat.contract) == (("files", "kubernetes"), CONTRACT)
    review = site.registry.review
    assert review is not None
    await until(lambda: review.digest is not None, "a review")
    assert review.secrets == {}
    assert site.told(SiteReviewed) == []


async def test_a_registry_of_the_version_before_hears_the_review_as_an_event(site: Site) -> None:
    site.registry.review = None
    assert (await site.awaited(SiteReviewed)).secrets == ()
    assert "review_published_for_older_registry" in site.log
    site.registry.review = Review()


async def test_a_lost_file_is_back_with_the_next_round_and_told_as_repaired(site: Site) -> None:
    shop, issued = Lineage(site, files_target()), AUTHORITY.issue()
    await shop.issue(issued, 1)
    await shop.delivered(1)
    (shop.folder() / "current").unlink()
    await shop.delivered(1, repaired=True)
    assert shop.served() == issued.leaf.fingerprint_sha256
    # Without the registry too: the sealed bundle was kept.
    site.registry.down = True
    try:
        (shop.folder() / "current" / "tls.key").write_text("not a key")
        await until(lambda: len(shop.successes()) == 3, "the second repair")
    finally:
        site.registry.down = False
    assert shop.served() == issued.leaf.fingerprint_sha256
    assert shop.fetched() == [1]


async def test_an_order_that_no_event_announced_is_found_by_the_round(site: Site) -> None:
    shop, issued = Lineage(site, files_target()), AUTHORITY.issue()
    shop.want(issued, 1)
    await shop.delivered(1)
    assert shop.served() == issued.leaf.fingerprint_sha256
    assert [span.name for span in site.spans if span.trace_id == shop.trace_id].count("deliver") == 1


async def test_places_that_the_site_does_not_have_are_told_at_once(site: Site) -> None:
    shop = Lineage(
        site,
        files_target(),
        files_target(name="elsewhere", store="none"),
        kubernetes_target("shop", clusters=("red",)),
        target("haproxy", "lb"),
    )
    await shop.issue(AUTHORITY.issue(), 1)
    await shop.delivered(1)
    reasons = {
        "elsewhere": DeliveryReason.UNKNOWN_PLACE,
        "web": DeliveryReason.UNKNOWN_PLACE,
        "lb": DeliveryReason.UNKNOWN_KIND,
    }
    for name, reason in reasons.items():
        told = await shop.failed(1, target=name)
        assert told.reason is reason
        assert told.next_try is None
    assert "red" in (await shop.failed(1, target="web")).detail
    assert len(shop.failures()) == 3


async def test_a_bundle_that_is_missing_or_wrong_fails_with_its_reason_and_heals(site: Site) -> None:
    shop, issued, other = Lineage(site, files_target()), AUTHORITY.issue(), AUTHORITY.issue()
    order = shop.want(issued, 1)
    right = site.registry.bundles.pop((shop.id, 1, "platform"))
    await site.order(order)
    told = await shop.failed(1)
    assert told.reason is DeliveryReason.BUNDLE_UNAVAILABLE
    assert told.next_try is not None
    site.registry.bundles[shop.id, 1, "platform"] = other.sealed(1, site.key, certificate_id=shop.id)
    await until(lambda: shop.failures()[-1].reason is DeliveryReason.BUNDLE_INVALID, "the wrong bundle is refused")
    assert not shop.folder().exists()
    site.registry.bundles[shop.id, 1, "platform"] = right
    await shop.delivered(1)
    assert shop.served() == issued.leaf.fingerprint_sha256


async def test_a_bundle_that_is_sealed_to_somebody_else_is_refused(site: Site) -> None:
    shop, issued = Lineage(site, files_target()), AUTHORITY.issue()
    order = shop.want(issued, 1)
    sealed = issued.sealed(2, site.key, certificate_id=shop.id).model_copy(update={"revision": 1})
    site.registry.bundles[shop.id, 1, "platform"] = sealed
    (placement,) = order.placements
    placement = placement.model_copy(update={"bundle_sha256": sealed.sha256()})
    changed = order.model_copy(update={"placements": (placement,)})
    site.registry.orders[shop.id] = changed
    await site.order(changed)
    told = await shop.failed(1)
    assert told.reason is DeliveryReason.BUNDLE_INVALID
    assert "can't be opened" in told.detail


async def test_a_failing_reload_is_told_and_the_revision_before_stays(site: Site) -> None:
    gate = site.folder / "gate"
    gate.touch()
    shop = Lineage(site, files_target(store="reloaded"))
    first, second = AUTHORITY.issue(), AUTHORITY.issue()
    await shop.issue(first, 1)
    await shop.delivered(1)
    gate.unlink()
    await shop.issue(second, 2)
    told = await shop.failed(2)
    assert told.reason is DeliveryReason.RELOAD_FAILED
    assert "ended with code 1" in told.detail
    gate.touch()
    await shop.delivered(2)
    assert shop.served("reloaded") == second.leaf.fingerprint_sha256
    site.assert_silent_about(first, second)


async def test_a_certificate_that_is_no_longer_ordered_stays_where_it_lies(site: Site) -> None:
    shop, issued = Lineage(site, files_target()), AUTHORITY.issue()
    await shop.issue(issued, 1)
    await shop.delivered(1)
    del site.registry.orders[shop.id]
    await until(lambda: any("order_gone" in line and shop.name in line for line in site.log.splitlines()), "gone")
    assert shop.served() == issued.leaf.fingerprint_sha256


async def test_a_rollback_is_carried_out_by_a_running_and_by_a_restarted_syncer(site: Site) -> None:
    shop, first, second = Lineage(site, files_target()), AUTHORITY.issue(), AUTHORITY.issue()
    await shop.issue(first, 2)
    await shop.delivered(2)
    stale = await shop.issue(second, 3)
    await shop.delivered(3)
    await shop.issue(first, 2, generation=4)
    await until(lambda: shop.successes()[-1].generation == 4, "the rollback")
    assert shop.served() == first.leaf.fingerprint_sha256
    await site.order(stale)
    await site.acknowledged()
    assert shop.served() == first.leaf.fingerprint_sha256

    await shop.issue(second, 3, generation=5)
    await until(lambda: shop.successes()[-1].generation == 5, "forward again")
    site.process.kill()
    shop.want(first, 2, generation=6)
    await site.start()
    await until(lambda: shop.successes()[-1].generation == 6, "the rollback after a restart")
    assert shop.served() == first.leaf.fingerprint_sha256


async def test_a_withdrawn_certificate_is_removed_and_told(site: Site) -> None:
    shop = Lineage(site, files_target())
    await shop.issue(AUTHORITY.issue(), 1)
    await shop.delivered(1)
    await shop.withdraw(2)
    told = DeliveryWithdrawn(certificate_id=shop.id, target="host", generation=2)
    await until(lambda: told in site.told(DeliveryWithdrawn), "the withdrawal")
    assert not shop.folder().exists()


async def test_an_order_that_would_leave_the_store_is_refused_and_nothing_is_written(site: Site) -> None:
    shop = Lineage(site, files_target())
    shop.name = "../../escaped"
    await shop.issue(AUTHORITY.issue(), 1)
    told = await shop.failed(1)
    assert told.reason is DeliveryReason.UNREADABLE_ORDER
    assert not list(site.folder.parent.rglob("escaped"))
    assert shop.fetched() == []
    del site.registry.orders[shop.id]


async def test_many_certificates_at_once_all_arrive(site: Site) -> None:
    shops = [(Lineage(site, files_target()), AUTHORITY.issue()) for _ in range(25)]
    for shop, issued in shops:
        await shop.issue(issued, 1)
    for shop, issued in shops:
        await shop.delivered(1)
        assert shop.served() == issued.leaf.fingerprint_sha256
        assert shop.fetched() == [1]
    assert {event.certificate_id for event in site.told(DeliverySucceeded)} >= {shop.id for shop, _ in shops}
