"""The sweep: it orders what is due, once, and nothing else."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from certcore.api import CertificateState, CertificateView
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

OLD = timedelta(days=25)
"""Of 30 days: past two thirds."""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def services(mortal: RunningRegistry) -> AsyncIterator[StandIns]:
    async with Bus.connect(mortal.nats_url) as bus:
        yield await StandIns.start(mortal, bus)


async def renewing(services: StandIns, certificate: CertificateView) -> CertificateView:
    async def look() -> CertificateView | None:
        present = await services.shown(certificate.name)
        return present if present.state is CertificateState.RENEWING else None

    return await eventually(look, what=f"{certificate.name} is renewed")


def orders(services: StandIns, certificate: CertificateView) -> int:
    return len(
        services.registry.process.rows(
            "SELECT id FROM event WHERE about = ? AND type = 'certbus.certificate.renewal_due.v1'", certificate.id
        )
    )


async def another_sweep(services: StandIns) -> None:
    """When one that is due was found, everything before it was looked at too."""
    due = await services.requested()
    await services.make_live(due, age=OLD)
    await renewing(services, due)


async def test_what_is_due_is_ordered_once_and_under_a_trace_of_its_own(services: StandIns) -> None:
    certificate = await services.requested()
    await services.make_live(certificate, age=OLD)
    present = await renewing(services, certificate)
    assert present.reason == "revision 2 ordered: due"
    assert present.trace_id not in {None, certificate.trace_id}
    await another_sweep(services)
    await another_sweep(services)
    assert orders(services, certificate) == 1

    await services.make_live(certificate, 2)
    await another_sweep(services)
    present = await services.shown(certificate.name)
    assert (present.state, present.wanted_revision) == (CertificateState.LIVE, 2)
    assert orders(services, certificate) == 1


async def test_what_is_not_due_or_not_approved_any_more_is_left_alone(services: StandIns) -> None:
    fresh, changed = await services.requested(), await services.requested()
    await services.make_live(fresh)
    process = services.registry.process
    process.change("UPDATE approval SET spec_hash = 'changed' WHERE certificate_id = ?", changed.id)
    await services.make_live(changed, age=OLD)
    await another_sweep(services)
    for certificate in (fresh, changed):
        assert (await services.shown(certificate.name)).state is CertificateState.LIVE
        assert orders(services, certificate) == 0
    refused = await services.asker.post(f"/v1/certificates/{changed.name}/renew")
    assert (refused.status_code, "not approved" in refused.json()["detail"]) == (409, True)


async def test_what_never_became_live_is_renewed_too(services: StandIns) -> None:
    certificate = await services.requested()
    await services.issue(certificate, age=OLD)
    await services.settled()
    assert (await renewing(services, certificate)).wanted_revision == 1
