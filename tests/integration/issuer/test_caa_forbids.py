"""CAA records that forbid the CA, seen from outside: no order, and the DNS owner is told."""

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from certcore.events import MustAct, RevisionFailed
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import a_scene, until
from tests.patience import HANG_S

pytestmark = pytest.mark.integration


async def test_nothing_is_ordered_where_caa_records_forbid_it(tmp_path: Path, tell: Tell) -> None:
    async with a_scene(tmp_path, tell=tell, bad_nonces_percent=0) as scene:
        async with httpx.AsyncClient(base_url=scene.pebble.challtestsrv_url, trust_env=False) as dns:
            policies = [{"tag": "issue", "value": "other.test"}]
            await dns.post("/add-caa", json={"host": "strict.example.org", "policies": policies})
        await scene.peer.order(an_order("strict", "www.strict.example.org"))
        failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["strict"]))["strict"]
        assert failed.must_act == MustAct.DNS_OWNER
        assert "CAA of strict.example.org lets other.test issue for www.strict.example.org" in str(failed)
        assert scene.logged("order_opened") == []

        # Another CA that is allowed is asked by the same records before the job would leave for it.
        await scene.peer.order(an_order("both", "www.strict.example.org", cas=("by-dns", "by-http")))
        await scene.peer.wait_for(RevisionFailed, certificate_ids=["both"])
        with closing(sqlite3.connect(scene.issuer.database_file, timeout=HANG_S)) as journal, journal:
            over = "2026-01-01 00:00:00.000000"
            journal.execute("UPDATE job SET wait_until = ?, due_at = ? WHERE name = 'both'", (over, over))
        await until(lambda: len(scene.peer.reports(RevisionFailed, "both")) == 2, what="it fails once more")
        told = scene.peer.reports(RevisionFailed, "both")[-1]
        assert "; not by-http: CAA of strict.example.org lets other.test issue" in told.reason
        assert scene.journal("SELECT ca FROM job WHERE name = 'both'") == [("by-dns",)]
