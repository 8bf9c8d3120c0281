"""The sweep: it orders what is due, once, and nothing else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

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
    # A freeze doesn't hold what an operator orders; who asks for a team is none.
    refused = await services.asker.post(f"/v1/certificates/{fresh.name}/renew?even_in_freeze=true")
    assert refused.status_code == 403


async def test_what_never_became_live_is_renewed_too(services: StandIns) -> None:
    certificate = await services.requested()
    await services.issue(certificate, age=OLD)
    await services.settled()
    assert (await renewing(services, certificate)).wanted_revision == 1


async def test_a_window_in_the_past_renews_now_and_the_reason_tells_it(services: StandIns) -> None:
    certificate = await services.requested()
    await services.make_live(certificate)
    long_ago = datetime(2020, 1, 2, tzinfo=UTC)
    await services.suggested(certificate, 1, long_ago, explanation_url="https://ca.test/incident")
    present = await renewing(services, certificate)
    assert present.reason == (
        "revision 2 ordered: suggested: the CA suggests a renewal between 2020-01-01T00:00Z and 2020-01-03T00:00Z,"
        " because https://ca.test/incident"
    )
    await another_sweep(services)
    assert orders(services, certificate) == 1
    listed = await services.issuer.get("/v1/orders")
    [order] = [one for one in listed.json()["items"] if one["certificate_id"] == certificate.id]
    assert (order["revision"], order["cause"]) == (2, "ari")


async def test_the_next_renewal_and_why_are_shown_and_follow_the_window(services: StandIns) -> None:
    certificate = await services.requested()
    await services.make_live(certificate)
    before = await services.shown(certificate.name)
    assert before.renewal_reason.startswith("due: two thirds of its lifetime are over, and ")
    soon, later = (datetime.now(UTC) + timedelta(days=days) for days in (10, 22))
    for chosen, url in ((soon, None), (later, "https://ca.test/why")):
        await services.suggested(certificate, 1, chosen, explanation_url=url)
        await services.settled()
        present = await services.shown(certificate.name)
        assert present.renew_at == chosen
        assert present.renewal_reason.startswith("suggested: the CA suggests a renewal between")
        assert present.renewal_reason.endswith("because https://ca.test/why") == (url is not None)
        assert present.revision is not None
        assert present.revision.renewal_window is not None
        assert present.revision.renewal_window.chosen == chosen
        [row] = services.registry.process.rows("SELECT due_at FROM certificate WHERE id = ?", certificate.id)
        assert str(row["due_at"]).startswith(f"{chosen:%Y-%m-%d %H:%M:%S}")
    # What comes late changes nothing.
    await services.suggested(certificate, 1, soon, answered_at=datetime.now(UTC) - timedelta(hours=1))
    await services.settled()
    assert (await services.shown(certificate.name)).renew_at == later


async def test_a_report_about_an_older_revision_or_an_unknown_certificate_changes_nothing(services: StandIns) -> None:
    certificate = await services.requested()
    await services.make_live(certificate, age=OLD)
    await renewing(services, certificate)
    await services.make_live(certificate, 2)
    before = await services.shown(certificate.name)
    letters = await services.bus.js.stream_info("DLQ_hub")
    await services.suggested(certificate, 1, datetime(2020, 1, 1, tzinfo=UTC))
    await services.suggested(certificate.model_copy(update={"id": "unheard-of"}), 1, datetime(2020, 1, 1, tzinfo=UTC))
    await another_sweep(services)
    present = await services.shown(certificate.name)
    assert (present.renew_at, present.renewal_reason) == (before.renew_at, before.renewal_reason)
    assert (present.state, present.wanted_revision) == (CertificateState.LIVE, 2)
    assert (await services.bus.js.stream_info("DLQ_hub")).state.messages == letters.state.messages
