"""A syncer that was away, and one whose registry or broker is."""

import signal
from pathlib import Path

import pytest

from certcore.events import DeliveryReason
from tests.integration.syncer.site import Lineage, site_of, until
from tests.issuing import Authority, files_target

pytestmark = pytest.mark.integration

AUTHORITY = Authority()


async def test_after_three_revisions_were_missed_only_the_newest_is_delivered(
    declared_bus: str, tmp_path: Path
) -> None:
    async with site_of(declared_bus, tmp_path) as site:
        await site.start()
        shop = Lineage(site, files_target())
        await shop.issue(AUTHORITY.issue(), 1)
        await shop.delivered(1)
        await site.process.stop()
        # Uvicorn passes the signal on after it drained.
        assert site.process.returncode in {0, -signal.SIGTERM}
        newest = AUTHORITY.issue()
        missed = [await shop.issue(AUTHORITY.issue(), revision) for revision in (2, 3)]
        missed.append(await shop.issue(newest, 4))
        await site.start()
        told = await shop.delivered(4)
        assert told.fingerprint_sha256 == newest.leaf.fingerprint_sha256
        # And what comes late or once more changes nothing.
        for order in (missed[0], missed[2], missed[1]):
            await site.order(order)
            await site.acknowledged()
        assert site.log.count("order_ignored") == 2
        # What it is ordered once more it tells once more.
        assert {event.revision for event in shop.successes()[1:]} == {4}
        assert shop.fetched() == [1, 4]
        folders = sorted(path.name for path in shop.folder().iterdir() if path.suffix != ".generation")
        assert folders == ["current", "revision-1", "revision-4"]
        assert shop.served() == newest.leaf.fingerprint_sha256

        # Killed and started again, it tells what lies there and writes nothing.
        inode = (shop.folder() / "current" / "tls.key").stat().st_ino
        site.process.kill()
        told_before = len(shop.successes())
        await site.start()
        await until(lambda: len(shop.successes()) > told_before, "the report of a new process")
        assert (shop.folder() / "current" / "tls.key").stat().st_ino == inode
        assert shop.fetched() == [1, 4]
        assert "Traceback" not in site.log


async def test_without_a_registry_it_says_that_it_is_not_ready_and_catches_up_later(
    declared_bus: str, tmp_path: Path
) -> None:
    async with site_of(declared_bus, tmp_path) as site:
        site.registry.down = True
        site.process.start()
        await until(lambda: "round_failed" in site.log, "the first round")
        shop = Lineage(site, files_target())
        await shop.issue(AUTHORITY.issue(), 1)
        told = await shop.failed(1)
        assert told.reason is DeliveryReason.BUNDLE_UNAVAILABLE
        site.registry.down = False
        await site.start()
        await shop.delivered(1)


async def test_a_report_that_the_broker_did_not_take_is_told_with_a_later_round(
    declared_bus: str, tmp_path: Path
) -> None:
    async with site_of(declared_bus, tmp_path) as site:
        await site.start()
        await site.lose_reports()
        shop, issued = Lineage(site, files_target()), AUTHORITY.issue()
        await shop.issue(issued, 1)
        await until(lambda: "report_not_stored" in site.log, "a report that was not stored")
        assert shop.served() == issued.leaf.fingerprint_sha256
        await site.hear_reports()
        await shop.delivered(1)
