"""`python -m issuer test NAME`: prove the configuration for a name, without an order at the CA that it names."""

import argparse
import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from certcore.certificate import Exposure
from certcore.clock import system_clock
from certcore.names import DnsName
from certkit.registry_client import RegistryClient
from certkit.settings import load_settings
from issuer.adapters.authoritative_dns import AuthoritativeDnsViews
from issuer.adapters.caa import ResolvedCaa
from issuer.adapters.dns_zones import zones_by_view
from issuer.adapters.stored_account import stored_account_url
from issuer.cas.acme.sibling import forgotten_ca, sibling_of
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.choice import CaPolicy
from issuer.domain.rehearsal import Step, exit_code, line, rehearsed_order, summary
from issuer.domain.solver import SolverContext
from issuer.handlers.entered_solvers import EnteredSolvers
from issuer.handlers.rehearsal import Rehearsal, RehearsedCa
from issuer.installed_solvers import built_solvers
from issuer.settings import Settings

__all__ = ["main"]

_PATIENCE_S: Final = 120.0
_EPILOG: Final = (
    "exit codes: 0 nothing failed (what couldn't be tried has a - before it), 1 a step failed, 2 wrong usage or a"
    " wrong setting, each of which is printed"
)


def main(arguments: Sequence[str], *, prog: str = "python -m issuer test") -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Prove this issuer's configuration for a name. The CA that would issue is asked for its directory"
        " only; a whole order is made at its sibling for tests, where it has one, with keys that nobody keeps.",
        epilog=_EPILOG,
    )
    parser.add_argument("name", type=_dns_name, help="a DNS name, a wildcard, or a zone")
    parser.add_argument("--ca", help="the CA of this name, instead of that of the policy")
    parser.add_argument(
        "--exposure", type=Exposure, choices=list(Exposure), help="by default internal for names that aren't public"
    )
    asked = parser.parse_args(arguments)
    settings = load_settings(Settings)
    # What went wrong stands in the steps.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(_rehearse(settings, asked.name, exposure=asked.exposure, ca=asked.ca))


async def _rehearse(settings: Settings, name: str, *, exposure: Exposure | None, ca: str | None) -> int:
    steps: list[Step] = []
    wanted = rehearsed_order(name, exposure=exposure, ca=ca)
    async with AsyncExitStack() as stack:
        rehearsal = await _made(settings, stack)
        async for step in rehearsal.steps(wanted):
            print(line(step), flush=True)  # noqa: T201 # the command's answer
            steps.append(step)
    print(summary(name, steps))  # noqa: T201 # as above
    return exit_code(steps)


async def _made(settings: Settings, stack: AsyncExitStack) -> Rehearsal:
    views = zones_by_view(settings.dns, now=time.monotonic)
    dns = AuthoritativeDnsViews(views, timeout_s=settings.dns.timeout_s)

    registry = await stack.enter_async_context(RegistryClient(settings.registry))

    async def no_others(_: ChallengeKind, __: str) -> Sequence[ChallengeRecord]:
        return ()

    def context(name: str) -> SolverContext:
        agent = f"certbus-issuer/{version('certbus-issuer')}"
        return SolverContext(
            name=name, user_agent=agent, records_at=no_others, dns=dns, sites=registry, clock=system_clock
        )

    built = built_solvers(settings.solvers, context)
    acme = {}
    for ca in settings.acme_cas:
        sibling = sibling_of(ca)
        acme[ca.name] = RehearsedCa(
            settings=ca,
            ca=await stack.enter_async_context(forgotten_ca(ca)),
            account_url=stored_account_url(settings.database_url, ca.name, ca.directory_url),
            sibling=await stack.enter_async_context(forgotten_ca(sibling)) if sibling is not None else None,
        )
    return Rehearsal(
        traits={ca.name: ca.traits for ca in settings.cas},
        policy=CaPolicy(**settings.policy.model_dump()),
        acme=acme.get,
        solvers=await stack.enter_async_context(EnteredSolvers({one.rule.solver: one.solver for one in built})),
        rules=[one.rule for one in built],
        kinds={name: str(of_solver["kind"]) for name, of_solver in settings.solvers.items()},
        dns=dns,
        caa=ResolvedCaa(next(iter(views.values())), now=time.monotonic),
        patience_s=_PATIENCE_S,
    )


def _dns_name(written: str) -> str:
    try:
        return TypeAdapter(DnsName).validate_python(written)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(
            f"{written[:80]!r} {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from None
