"""kill -9 at exact requests to the CA, before and after it acts: each write of the journal lies between two such."""

from pathlib import Path
from typing import Final

from certlocal.tools import Tell
from tests.acme_ca.calls import Endpoint
from tests.acme_ca.conduct import Conduct
from tests.acme_proofs.hosts import Hosts, dns_name, one_host, two_hosts
from tests.holds.figures import Figure

__all__ = ["POINTS", "kills_at_finalize", "kills_at_points", "taken_over"]

POINTS: Final = tuple(
    (endpoint, acts_first)
    for endpoint in (
        Endpoint.NEW_ACCOUNT,
        Endpoint.NEW_ORDER,
        Endpoint.AUTHORIZATION,
        Endpoint.CHALLENGE,
        Endpoint.ORDER,
        Endpoint.FINALIZE,
        Endpoint.CERTIFICATE,
    )
    for acts_first in (False, True)
)
"""Where and when a host is killed. Looks at the order come before and after its finalize."""


async def kills_at_points(
    folder: Path, *, seed: int, tell: Tell, points: int = len(POINTS), shared: bool = False
) -> list[Figure]:
    """Two hosts race for each job; whichever asks is killed at its point, and comes back a little later."""
    async with two_hosts(folder, seed=seed, tell=tell, shared=shared) as hosts:
        account, others = POINTS[:2], list(POINTS[2:])
        hosts.chance.shuffle(others)
        chosen = [*account, *others][:points]
        for number, (endpoint, acts_first) in enumerate(chosen):
            name = f"k{number}-{endpoint}-{'after' if acts_first else 'before'}"
            hosts.ca.books.conduct[dns_name(name)] = Conduct(validation_s=0.2, signing_looks=1)
            await _killed_once(hosts, name, endpoint, acts_first=acts_first)
        await hosts.issued()
        return hosts.figures(f"two hosts, {points} kill points")


async def _killed_once(hosts: Hosts, name: str, endpoint: Endpoint, *, acts_first: bool) -> None:
    if endpoint is Endpoint.NEW_ACCOUNT:
        # It is about no name: whoever makes the account first is killed.
        if hosts.ca.books.accounts:
            hosts.ca.books.forget_accounts()
        rule = hosts.kill_at(endpoint, name, acts_first=acts_first)
        rule.name = None
    else:
        # Looks at the order: any, before its finalize or after.
        rule = hosts.kill_at(endpoint, name, acts_first=acts_first)
        if endpoint is Endpoint.ORDER:
            rule.first = hosts.chance.choice((1, 2))
    before = hosts.kills
    await hosts.order(name)
    # Heard of twice, so that both may know.
    await hosts.peer.order(hosts.issue_order(name))
    await hosts.killed(before + 1)


async def taken_over(folder: Path, *, seed: int, tell: Tell, shared: bool = False) -> list[Figure]:
    """A host is killed at a point that the seed chooses and stays away: the other one does its work."""
    async with two_hosts(folder, seed=seed, tell=tell, shared=shared) as hosts:
        hosts.rest_s = 0.0
        hosts.stays_dead = True
        endpoint, acts_first = POINTS[2 + seed % (len(POINTS) - 2)]
        name = f"t-{endpoint}-{'after' if acts_first else 'before'}"
        await _killed_once(hosts, name, endpoint, acts_first=acts_first)
        await hosts.issued()
        return hosts.figures(f"taken over from {name[2:]}")


async def kills_at_finalize(folder: Path, *, seed: int, tell: Tell, kills: int) -> list[Figure]:
    """One host, killed at each finalize, before and after the CA took it."""
    async with one_host(folder, seed=seed, tell=tell) as hosts:
        hosts.rest_s = 0.0
        for number in range(kills):
            name = f"f{number}"
            hosts.ca.books.conduct[dns_name(name)] = Conduct(signing_looks=hosts.chance.choice((0, 1)))
            hosts.kill_at(Endpoint.FINALIZE, name, acts_first=hosts.chance.random() < 0.5)
            await hosts.order(name)
            # It is dead before it hears of the next: what it has heard and not kept comes again after a minute.
            await hosts.killed(number + 1)
        await hosts.issued()
        orders = sum(len(hosts.ca.books.orders_for(dns_name(name))) for name in hosts.ordered)
        more = Figure("kills at finalize: orders that were opened beyond one a job", orders - kills, 0, unit="")
        return [*hosts.figures("kills at finalize"), more]
