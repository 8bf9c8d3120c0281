"""kill -9 at moments that nobody chose: each job ends with one finalized order and one stored bundle.

Pebble can hang one order for ever (a read lock taken twice with a writer between). Such an order was signed, but
can't be had: the way on is a new order. It is told from a fault of the issuer by asking Pebble, which then lets
everybody wait. Seldom, it hangs wholly (a new order while an authorization is read); then only a restart helps.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from certcore.certificate import Exposure
from certcore.events import RevisionIssued
from certcore.placements import PLATFORM
from certlocal.tools import Tell
from issuer.adapters.journal_key import journal_key
from issuer.cas.acme.account_key import AccountSafe
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.settings import CaSettings
from issuer.domain.account import AccountRecord
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.issuer_process import pebble_settings
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.patience import HANG_S

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("CERTBUS_TEST_KILLS", "5"))
JOBS_PER_KILL = 5


async def test_a_killed_issuer_finalizes_one_order_for_each_job(tmp_path: Path, tell: Tell) -> None:
    seed = int(os.environ.get("CERTBUS_TEST_SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    tell(f"kills of the issuer: CERTBUS_TEST_SEED={seed}")
    names: list[str] = []
    states: Counter[str] = Counter()
    async with a_scene(tmp_path, tell=tell) as scene:
        for kill in range(KILLS):
            for number in range(JOBS_PER_KILL):
                names.append(f"k{kill}-{number}")
                await _order(scene, names[-1], chance)
            await _some_moment(scene, chance)
            scene.issuer.process.kill()
            await scene.issuer.process.wait(timeout_s=HANG_S)
            states.update(state for (state,) in scene.journal("SELECT state FROM job"))
            await scene.issuer.start()
        await _all_issued(scene, names, tell)
        hung = await _hung_orders(scene)
        tell(f"{len(names)} jobs, {KILLS} kills, states seen: {dict(states)}, orders hung by Pebble: {len(hung)}")
        for name in names:
            opened(scene.registry.issued[name, 1, PLATFORM], name, 1)
        assert scene.registry.differing == []
        finalized = Counter(scene.pebble.finalized_orders())
        assert max(finalized.values()) == 1
        wanted = {_order_id(url) for (url,) in scene.journal("SELECT order_url FROM job")}
        assert wanted <= set(finalized)
        assert set(finalized) - wanted <= hung
        assert len(wanted) == len(names)
        await until(lambda: scene.journal("SELECT * FROM challenge") == [], what="every challenge record is removed")


async def _some_moment(scene: Scene, chance: random.Random) -> None:
    """Anywhere between the first order and the last bundle, on a quick machine and on a slow one."""
    wanted = len(scene.registry.issued) + chance.randrange(JOBS_PER_KILL)
    await until(lambda: len(scene.registry.issued) >= wanted, what="some of the bundles")
    await asyncio.sleep(chance.uniform(0.0, 0.15))


async def _order(scene: Scene, name: str, chance: random.Random) -> None:
    kinds = (
        ((f"{name}.example.org",), Exposure.INTERNAL),
        ((f"{name}.example.org",), Exposure.PUBLIC),
        ((f"{name}.example.org", f"*.{name}.example.org"), Exposure.INTERNAL),
    )
    dns_names, exposure = chance.choice(kinds)
    await scene.peer.order(an_order(name, *dns_names, exposure=exposure))


async def _all_issued(scene: Scene, names: Collection[str], tell: Tell) -> None:
    try:
        await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    except AssertionError:
        async with _fresh_client(scene, "by-dns") as ca:
            try:
                await ca.open_order(("probe.example.org",), replaces=None, profile=None)
            except CaUnreachableError as error:
                tell(f"Pebble hangs wholly and is started again: {error}")
            else:
                raise
        await scene.pebble.ca.stop()
        await scene.pebble.ca.start()
        await scene.peer.wait_for(RevisionIssued, certificate_ids=names)


def _fresh_client(scene: Scene, name: str) -> AcmeCa:
    """With the issuer's own account."""
    (settings,) = (one for one in _cas(scene) if one.name == name)
    state = scene.issuer.state
    safe = AccountSafe(journal_key(None, state_folder=state, shared=False))
    return AcmeCa(settings=settings, accounts=_ReadBook(scene), safe=safe, state_folder=state)


def _order_id(url: str) -> str:
    return url.rsplit("/", 1)[-1]


async def _hung_orders(scene: Scene) -> set[str]:
    """Which of the orders that were given up are really dead: Pebble doesn't answer, or doesn't know them."""
    given_up = {line["order"]: line["ca"] for line in scene.logged("order_abandoned")}
    return {_order_id(url) for url, name in given_up.items() if await _hangs(scene, name, url)}


async def _hangs(scene: Scene, ca_name: str, url: str) -> bool:
    try:
        async with _fresh_client(scene, ca_name) as ca:
            await ca.order(url)
    except CaUnreachableError as error:
        return error.timed_out
    except AcmeProblemError as problem:
        return problem.status == 404
    return False


def _cas(scene: Scene) -> Iterable[CaSettings]:
    challenges = (("by-dns", ["dns-01"]), ("by-http", ["http-01", "dns-01"]))
    return [CaSettings.model_validate(one) for one in pebble_settings(scene.pebble, *challenges)]


class _ReadBook:
    """The accounts in the journal of the issuer, which is the only one that writes there."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None:
        rows = self._scene.journal("SELECT ca, directory_url, key_thumbprint, sealed_key, url FROM acme_account")
        return next((AccountRecord(*row) for row in rows if row[:2] == (ca, directory_url)), None)

    async def keep_account(self, record: AccountRecord) -> AccountRecord:
        return record

    async def set_account_url(self, *_: str) -> None:
        pass
