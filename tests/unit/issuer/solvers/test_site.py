"""http-01 at sites: every site is asked, and the CA only when every one answers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from certcore.challenges import ChallengeOrder, ChallengeState
from certcore.errors import PermanentError, TransientError
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import SolverError
from issuer.domain.job import JobId
from issuer.solvers.site import DRIVER, SiteSettings, SiteSolver

NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


def record(number: int = 1, *, host: str = "shop.example.org", value: str = "") -> ChallengeRecord:
    token = f"{number:040d}"
    return ChallengeRecord(
        job=JobId("c1", 1, "platform"),
        kind=ChallengeKind.HTTP_01,
        url=f"https://ca.test/{number}",
        identifier=host,
        record_name=token,
        record_value=value or f"{token}.{'k' * 43}",
    )


@dataclass
class Sites:
    """A registry: what is wanted by site and token, and what each site says of it."""

    orders: dict[tuple[str, str], ChallengeOrder] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, Exception] = field(default_factory=dict)
    put: int = 0

    async def show_challenge(self, site: str, token: str, order: ChallengeOrder) -> None:
        if site in self.refuses:
            raise self.refuses[site]
        self.put += 1
        self.orders[site, token] = order

    async def challenge(self, site: str, token: str) -> ChallengeState | None:
        order = self.orders.get((site, token))
        if order is None:
            return None
        problem = self.says.get(site, "")
        return ChallengeState(shown=not problem, detail=problem, expires_at=order.expires_at)

    async def remove_challenge(self, site: str, token: str) -> None:
        if site in self.refuses:
            raise self.refuses[site]
        self.orders.pop((site, token), None)


@dataclass
class Scene:
    sites: Sites = field(default_factory=Sites)
    now: datetime = NOON

    @property
    def solver(self) -> SiteSolver:
        return SiteSolver(
            sites=("fra1", "ams1", "fra1"), challenges=self.sites, clock=lambda: self.now, shown_for=2 * HOUR
        )


async def test_every_site_is_asked_once_and_seen_is_what_every_site_answers() -> None:
    here, records = Scene(), [record(1), record(2, host="www.example.org")]
    solver = here.solver
    await solver.present(records)
    assert {site for site, _ in here.sites.orders} == {"fra1", "ams1"}
    assert here.sites.put == 4
    order = here.sites.orders["fra1", records[1].record_name]
    assert (order.host, order.key_authorization) == ("www.example.org", records[1].record_value)
    assert order.expires_at == NOON + 2 * HOUR
    assert (await solver.propagated(records)).seen
    await solver.clean_up(records)
    assert here.sites.orders == {}
    await solver.clean_up(records)


async def test_the_site_that_lacks_it_is_named_with_what_it_says_and_looked_at_less_and_less() -> None:
    here, records = Scene(), [record(1), record(2, host="www.example.org")]
    solver = here.solver
    await solver.present(records)
    here.sites.says["ams1"] = "its syncer is silent since 2026-11-20T11:00:00Z"
    looks = [await solver.propagated(records) for _ in range(12)]
    assert {look.seen for look in looks} == {False}
    assert looks[0].detail == (
        "ams1 doesn't answer yet (its syncer is silent since 2026-11-20T11:00:00Z) for shop.example.org,"
        " www.example.org"
    )
    waits = [look.look_again.total_seconds() for look in looks]
    assert (waits[0], waits[-1], waits) == (1.0, 60.0, sorted(waits))
    here.sites.says.clear()
    assert (await solver.propagated(records)).seen
    here.sites.says["ams1"] = "gone"
    assert (await solver.propagated(records)).look_again == timedelta(seconds=1)


async def test_what_the_registry_lost_is_ordered_again() -> None:
    here = Scene()
    solver = here.solver
    await solver.present([record()])
    del here.sites.orders["ams1", record().record_name]
    look = await solver.propagated([record()])
    assert (look.seen, look.detail) == (
        False,
        "ams1 doesn't answer yet (was not told of it, and is told now) for shop.example.org",
    )
    assert (await solver.propagated([record()])).seen


async def test_a_long_wait_outlives_no_answer() -> None:
    here = Scene()
    solver = here.solver
    await solver.present([record()])
    here.now = NOON + HOUR
    assert (await solver.propagated([record()])).seen
    assert here.sites.put == 2
    here.now += timedelta(seconds=1)
    assert (await solver.propagated([record()])).seen
    assert here.sites.put == 4
    assert here.sites.orders["fra1", record().record_name].expires_at == here.now + 2 * HOUR


@pytest.mark.parametrize(
    "refusal", [PermanentError("registry: PUT answered 409: update it"), TransientError("registry: away")]
)
async def test_a_refusal_is_told_and_the_other_sites_are_asked_all_the_same(refusal: Exception) -> None:
    here = Scene()
    here.sites.refuses["fra1"] = refusal
    with pytest.raises(SolverError, match=str(refusal)):
        await here.solver.present([record()])
    assert {site for site, _ in here.sites.orders} == {"ams1"}
    with pytest.raises(SolverError, match=str(refusal)):
        await here.solver.clean_up([record()])
    assert here.sites.orders == {}


@pytest.mark.parametrize(
    ("wrong", "field"), [(record(value="x"), "key_authorization"), (record(host="192.0.2.1"), "host")]
)
async def test_what_no_site_could_answer_is_told(wrong: ChallengeRecord, field: str) -> None:
    with pytest.raises(SolverError, match=f"can't be proven at a site: {field}"):
        await Scene().solver.present([wrong])


def test_it_proves_http_01_and_needs_a_site() -> None:
    settings = SiteSettings.model_validate({"kind": "site", "sites": ["fra1"]})
    assert DRIVER.proves(settings) is ChallengeKind.HTTP_01
    for sites in ([], ["FRA1"], ["a b"]):
        with pytest.raises(ValueError, match="sites"):
            SiteSettings.model_validate({"kind": "site", "sites": sites})
