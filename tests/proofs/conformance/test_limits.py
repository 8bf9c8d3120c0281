"""A limit of hours is one of the whole CA: each test has an issuer of its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certcore.events import FailureCode, MustAct
from certlocal.tools import Tell
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint
from tests.acme_ca.running import running_ca
from tests.integration.issuer.scene import issuer_scene
from tests.proofs.conformance.stage import Stage

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("wait", ["7200", None])
async def test_a_limit_is_told_with_its_end_and_asks_nobody_to_act(
    tmp_path: Path, tell: Tell, wait: str | None
) -> None:
    async with running_ca(tmp_path, tell=tell) as served, issuer_scene(tmp_path, served) as scene:
        stage = Stage(scene, served.ca, "limited")
        told = (lambda _: wait) if wait else None
        stage.misbehave(acts.limited(acts.NEVER, wait=told), Endpoint.NEW_ORDER, times=None)
        await stage.order()
        failed = await stage.failed()
        assert (failed.code, failed.must_act) == (FailureCode.RATE_LIMITED, MustAct.NOBODY)
        assert failed.reason.startswith("rate_limited: ")
        assert failed.next_try is not None
        left = failed.next_try - datetime.now(UTC)
        assert left > (timedelta(minutes=118) if wait else timedelta(seconds=20))
        assert stage.count(Endpoint.NEW_ORDER) == 1
