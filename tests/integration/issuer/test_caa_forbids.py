"""CAA records that forbid the CA, seen from outside: no order, and the DNS owner is told."""

from pathlib import Path

import httpx
import pytest

from certcore.events import MustAct, RevisionFailed
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import a_scene

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
