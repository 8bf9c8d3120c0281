"""What the broker held is gone, damaged, or was never there: what waits must reach its end all the same."""

import asyncio
from collections import Counter
from collections.abc import Callable

from certbus.client import Registry
from certcore import subjects
from certcore.api import CertificateState, CertificateSummary
from certcore.enrolment import RecipientEnrolment, SiteEnrolment
from certcore.identities import OPERATOR, recipient_name
from certcore.sealing import generate_recipient_key
from certlocal.services import SITES
from tests.e2e.rounds import until
from tests.holds import broker
from tests.holds.faces import readiness
from tests.holds.figures import Figure
from tests.holds.fleet import Fleet
from tests.patience import HANG_S

__all__ = ["missing_stream", "rotten_store", "wiped_store"]

_NEW_SITE = "site3"


async def wiped_store(fleet: Fleet, *, count: int) -> list[Figure]:
    """Approved certificates wait for an issuer that is away; meanwhile the broker loses everything."""
    names = await _waiting_for_the_issuer(fleet, "wiped", count)
    await broker.lose_store(fleet.system)
    await broker.declare_again(fleet)
    releasing = asyncio.create_task(fleet.system.release("issuer"))
    took = await fleet.live(names)
    await releasing
    await fleet.one_order_each()
    return [Figure(f"broker's store wiped while {count} approved certificates waited: all live", took, 60.0)]


async def rotten_store(fleet: Fleet, *, count: int, seed: int) -> list[Figure]:
    """As `wiped_store`, with flipped bits instead."""
    names = await _waiting_for_the_issuer(fleet, f"rotten-{seed}", count)
    streams = (subjects.CERTS, *map(subjects.deploy_stream, SITES), *map(subjects.last_stream, SITES))
    hit = await broker.rot(fleet.system, seed, *streams)
    print("  flipped: " + "; ".join(hit))
    assert hit, "no stream has a block"
    await broker.declare_again(fleet)
    releasing = asyncio.create_task(fleet.system.release("issuer"))
    took = await fleet.live(names)
    await releasing
    await fleet.one_order_each()
    # The next ones, too, are neither lost nor stuck behind what was.
    later = [f"after-rot-{seed}-{number}" for number in range(min(count, 10))]
    await fleet.request_all(later)
    after = await fleet.live(later)
    await fleet.one_order_each()
    return [
        Figure(f"a bit flipped in {len(hit)} streams while {count} waited: all live", took, 60.0),
        Figure(f"{len(later)} asked for after that: all live", after),
    ]


async def missing_stream(fleet: Fleet, *, count: int) -> list[Figure]:
    """A site is enrolled, and nobody declared its streams: others notice nothing, and it is named."""
    before = await _one_after_the_other(fleet, "alone", count)
    name = recipient_name(_NEW_SITE, "syncer")
    key = generate_recipient_key(name, fleet.system.home.path("sites", _NEW_SITE, "syncer.key"))
    enrolment = SiteEnrolment(
        recipients=(RecipientEnrolment.model_validate({"service": "syncer", "public_key": key.public_key}),)
    )
    await fleet.ask("admin", _enrolling(enrolment))
    fleet.ports = {**fleet.ports, _NEW_SITE: fleet.ports[SITES[0]]}
    stuck = [f"stuck-{number}" for number in range(3)]
    for each in stuck:
        await fleet.request(each, _NEW_SITE)
    await fleet.reached(stuck, _is_issued, "issued")
    beside = await _one_after_the_other(fleet, "beside", count)

    async def named() -> bool:
        # It is told, and keeps nobody else from the registry.
        _, told = await readiness(fleet.system, "registry")
        return subjects.deploy_stream(_NEW_SITE) in told

    await until(named, "the registry's readiness names the stream")
    fleet.sites.append(_NEW_SITE)
    await broker.declare_again(fleet)

    async def ordered() -> bool:
        async with broker.connected(fleet.system, OPERATOR) as client:
            info = await client.jetstream().stream_info(subjects.deploy_stream(_NEW_SITE))
        return info.state.messages >= len(stuck)

    await until(ordered, "what waited for the stream is published")

    async def ready() -> bool:
        return (await readiness(fleet.system, "registry"))[0] == 200 and not await named()

    await until(ready, "the registry has no more to say of the stream")
    # Nobody serves there: these never become live.
    fleet.names = [each for each in fleet.names if each not in stuck]
    await fleet.one_order_each()
    return [
        Figure(
            f"a site without its stream: another's request is so much later (mean of {count})", beside - before, 1.0
        ),
        Figure("  from request to live without that site", before),
    ]


async def _waiting_for_the_issuer(fleet: Fleet, prefix: str, count: int) -> list[str]:
    """Approved and announced; nobody issues them, for the issuer is away."""
    await fleet.system.hold("issuer")
    approved = subjects.events("certbus.certificate.approved.v1")
    announced = await _messages(fleet, approved)
    names = [f"{prefix}-{number}" for number in range(count)]
    await fleet.request_all(names)

    async def all_announced() -> bool:
        return await _messages(fleet, approved) >= announced + count

    await until(all_announced, f"{count} events of approval")
    print(f"  {count} wait: {Counter(item.state for name, item in (await fleet.states()).items() if name in names)}")
    return names


async def _messages(fleet: Fleet, subject: str) -> int:
    async with broker.connected(fleet.system, OPERATOR) as client:
        # The broker's disk may be busy with something else.
        info = await client.jetstream(timeout=HANG_S).stream_info(subjects.CERTS, subjects_filter=subject)
    return sum((info.state.subjects or {}).values())


async def _one_after_the_other(fleet: Fleet, prefix: str, count: int) -> float:
    """The mean of the seconds from request to live."""
    took = []
    for number in range(count):
        name = f"{prefix}-{number}"
        await fleet.request(name, SITES[0])
        took.append(await fleet.one_live(name))
    return sum(took) / len(took)


def _enrolling(enrolment: SiteEnrolment) -> Callable[[Registry], None]:
    return lambda registry: registry.enrol_site(_NEW_SITE, enrolment)


def _is_issued(item: CertificateSummary) -> bool:
    return item.state not in {CertificateState.REQUESTED, CertificateState.APPROVED, CertificateState.ISSUING}
