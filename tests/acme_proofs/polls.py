"""A bad answer into the looks at every order of a batch."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from certlocal.tools import Tell
from tests.acme_ca import acts
from tests.acme_ca.calls import Call, Endpoint, Reply
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.script import Act, Proceed
from tests.acme_proofs.hosts import Hosts, dns_name, one_host
from tests.holds.figures import Figure
from tests.integration.issuer.scene import until

__all__ = ["one_limit", "slow_new_order", "spoiled_polls"]

_BAD: Final[tuple[Act, ...]] = (
    acts.refuse("malformed", 404),
    acts.refuse("unauthorized", 403),
    acts.html(404),
    acts.html(403),
    acts.html(200),
    acts.html(503, wait=lambda: "1"),
)


def _one_of(bad: tuple[Act, ...], chance: random.Random) -> Act:
    async def act(call: Call, proceed: Proceed) -> Reply:
        return await chance.choice(bad)(call, proceed)

    return act


async def spoiled_polls(folder: Path, *, seed: int, tell: Tell, jobs: int) -> list[Figure]:
    """404, 403 or HTML once before each order's finalize and once after it."""
    async with one_host(folder, seed=seed, tell=tell) as hosts:
        names = [f"p{number}" for number in range(jobs)]
        for name in names:
            hosts.ca.books.conduct[dns_name(name)] = Conduct(signing_looks=2)
        rules = [
            hosts.ca.script.add(_one_of(_BAD, hosts.chance), Endpoint.ORDER, per_order=True, when=when)
            for when in (_finalized(hosts, wanted=False), _finalized(hosts, wanted=True))
        ]
        began = time.monotonic()
        for name in names:
            await hosts.order(name)
        await hosts.issued()
        taken = time.monotonic() - began
        orders = len(hosts.ca.books.orders)
        what = "404, 403 or HTML into the looks at each order"
        return [
            *hosts.figures(what),
            Figure(f"{what}: orders opened beyond one a job", orders - jobs, 0, unit=""),
            Figure(f"{what}: bad answers that were given", sum(rule.hits for rule in rules), unit=""),
            Figure(f"{what}: until all are issued", taken),
        ]


def _finalized(hosts: Hosts, *, wanted: bool) -> Callable[[Call], bool]:
    def when(call: Call) -> bool:
        order = hosts.ca.books.orders.get(call.order or "")
        return order is not None and (order.finalized_at is not None) is wanted

    return when


async def one_limit(folder: Path, *, seed: int, tell: Tell, jobs: int, for_s: float) -> list[Figure]:
    """A 429 with its time, for a batch that is ordered at once."""
    async with one_host(folder, seed=seed, tell=tell) as hosts:
        limit = acts.limited(for_s, wait=lambda left: f"{left:.0f}")
        rule = hosts.ca.script.add(limit, Endpoint.NEW_ORDER, times=None)
        for number in range(jobs):
            await hosts.order(f"l{number}")
        await until(lambda: rule.hits, what="the CA limits")
        await hosts.issued()
        asked = hosts.ca.asked(Endpoint.NEW_ORDER)
        # The time is told in whole seconds: what comes half a second early was told so.
        early = sum(one.at - asked[0].at < for_s - 0.6 for one in asked)
        what = f"one 429 for {for_s:g} s"
        return [
            *hosts.figures(what),
            Figure(f"{what}: newOrders until its time", early, 3, unit=""),
            Figure(f"{what}: newOrders in all beyond one a job", len(asked) - jobs, unit=""),
        ]


async def slow_new_order(folder: Path, *, seed: int, tell: Tell, seconds: float) -> list[Figure]:
    async with one_host(folder, seed=seed, tell=tell) as hosts:
        hosts.ca.script.add(acts.slow(seconds), Endpoint.NEW_ORDER)
        began = time.monotonic()
        await hosts.order("slow")
        await hosts.issued()
        what = f"a newOrder of {seconds:g} s"
        return [
            *hosts.figures(what),
            Figure(f"{what}: orders opened", len(hosts.ca.books.orders), 1, unit=""),
            Figure(f"{what}: until it is issued", time.monotonic() - began),
        ]
