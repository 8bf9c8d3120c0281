"""Health: what holds now, beside a lifecycle that says what was reached once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from certcore.api import CertificateState, CertificateSummary, CertificateView, EndpointState, Role
from certcore.conditions import ConditionStatus, ConditionType, Health
from certcore.events import CertificateHealthChanged, MissedEndpoint, ProbeRound, ServingVerdict
from tests.authority import Issued
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.reported import DURABLE, everywhere, items, told
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

LONG_S = 3600.0
SHORT_S = 0.4


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def services(watched: RunningRegistry) -> AsyncIterator[StandIns]:
    async with Bus.connect(watched.nats_url) as bus:
        yield await StandIns.start(watched, bus)


async def live(services: StandIns) -> tuple[CertificateView, Issued]:
    await services.looked(period_s=LONG_S)
    certificate = await services.requested()
    issued = await services.make_live(certificate)
    return await services.shown(certificate.name), issued


def condition(certificate: CertificateView, kind: ConditionType) -> tuple[ConditionStatus | str, str]:
    [found] = [item for item in certificate.conditions if item.type is kind]
    return found.status, found.reason


async def health_of(services: StandIns, certificate: CertificateView, wanted: Health) -> CertificateView:
    async def look() -> CertificateView | None:
        present = await services.shown(certificate.name)
        return present if present.health is wanted else None

    return await eventually(look, what=f"{certificate.name} is {wanted}")


async def summary_of(services: StandIns, certificate: CertificateView) -> CertificateSummary:
    listed = await items(services.registry.admin, "/v1/certificates", CertificateSummary)
    return next(item for item in listed if item.name == certificate.name)


async def page_of(services: StandIns, certificate: CertificateView) -> str:
    """The part of the page that shows a certificate."""
    page = (await services.registry.admin.get(f"/list?q={certificate.name}")).text
    return page[page.index(certificate.name) :].partition("</tbody>")[0]


async def test_a_rollout_is_progressing_until_it_is_proven(services: StandIns) -> None:
    await services.looked(period_s=LONG_S)
    certificate = await services.requested(a_body(exposure="public"))
    assert (certificate.health, condition(certificate, ConditionType.APPROVED)) == (
        Health.PROGRESSING,
        (ConditionStatus.FALSE, "waiting"),
    )
    certificate = await services.requested()
    assert condition(certificate, ConditionType.APPROVED) == (ConditionStatus.TRUE, "approved")
    assert condition(certificate, ConditionType.ISSUED) == (ConditionStatus.FALSE, "waiting")
    issued = await services.issue(certificate)
    await services.settled()
    certificate = await services.shown(certificate.name)
    assert certificate.health is Health.PROGRESSING
    assert condition(certificate, ConditionType.ISSUED) == (ConditionStatus.TRUE, "issued")
    assert condition(certificate, ConditionType.DELIVERED) == (ConditionStatus.FALSE, "in_progress")
    await services.delivered(certificate, "host", 1, issued)
    # It is refused for its first minutes: the rollout is young.
    await services.observed(certificate, certificate.endpoints[0].url, ServingVerdict.UNREACHABLE)
    await services.settled()
    certificate = await services.shown(certificate.name)
    assert condition(certificate, ConditionType.DELIVERED) == (ConditionStatus.TRUE, "delivered")
    assert certificate.health is Health.PROGRESSING
    await services.served(certificate, certificate.endpoints[0].url, 1, issued)
    await services.settled()
    certificate = await services.shown(certificate.name)
    assert (certificate.health, certificate.state) == (Health.OK, CertificateState.LIVE)
    assert condition(certificate, ConditionType.SERVED) == (ConditionStatus.TRUE, "served")
    assert condition(certificate, ConditionType.RENEWING) == (ConditionStatus.FALSE, "idle")


@pytest.mark.parametrize(
    "verdict",
    [
        ServingVerdict.UNREACHABLE,
        ServingVerdict.EXPIRED,
        ServingVerdict.OTHER,
        ServingVerdict.WRONG_HOST,
        ServingVerdict.UNTRUSTED,
        ServingVerdict.TLS_FAILED,
    ],
)
async def test_an_endpoint_that_stops_serving_degrades_it_and_it_is_well_again_by_itself(
    services: StandIns, verdict: ServingVerdict
) -> None:
    certificate, issued = await live(services)
    url = certificate.endpoints[0].url
    assert (certificate.state, certificate.health) == (CertificateState.LIVE, Health.OK)

    # One look may fail by chance.
    await services.observed(certificate, url, verdict, in_a_row=1)
    await services.settled()
    assert (await services.shown(certificate.name)).health is Health.OK
    await services.observed(certificate, url, verdict, in_a_row=2)
    await services.settled()
    shown = await services.shown(certificate.name)
    assert (shown.state, shown.health) == (CertificateState.LIVE, Health.DEGRADED)
    assert condition(shown, ConditionType.SERVED) == (ConditionStatus.FALSE, str(verdict))
    assert url in shown.health_reason
    assert str(verdict).replace("_", " ") in shown.health_reason
    summary = await summary_of(services, certificate)
    assert (summary.state, summary.health, summary.health_reason) == (shown.state, shown.health, shown.health_reason)
    page = await page_of(services, certificate)
    assert "degraded" in page
    assert str(verdict).replace("_", " ") in page

    await services.served(certificate, url, 1, issued)
    await services.settled()
    shown = await services.shown(certificate.name)
    assert (shown.health, shown.endpoints[0].state) == (Health.OK, EndpointState.SERVED)
    assert "degraded" not in await page_of(services, certificate)
    changes = [event.health for event in await told(services, certificate, CertificateHealthChanged)]
    assert changes[-3:] == [Health.OK, Health.DEGRADED, Health.OK]


async def test_a_look_from_the_future_is_set_aside(services: StandIns) -> None:
    certificate, issued = await live(services)
    url, letters = certificate.endpoints[0].url, len(await services.bus.dead_letters(DURABLE))
    before = services.registry.process.rows("SELECT * FROM endpoint WHERE certificate_id = ?", certificate.id)
    future = datetime(2099, 1, 1, tzinfo=UTC)
    await services.observed(certificate, url, ServingVerdict.WANTED, 1, issued, at=future)
    await services.looked(period_s=LONG_S, ended=future)
    await services.settled()
    rows = services.registry.process.rows("SELECT * FROM endpoint WHERE certificate_id = ?", certificate.id)
    assert rows == before
    found = (await services.bus.dead_letters(DURABLE))[letters:]
    assert [(letter.headers or {})["certbus-fate"] for letter in found] == ["permanent", "permanent"]
    assert all("2099-01-01" in (letter.headers or {})["certbus-error"] for letter in found)
    # It hides no fault that comes after it.
    await services.observed(certificate, url, ServingVerdict.UNREACHABLE)
    await services.settled()
    assert (await services.shown(certificate.name)).health is Health.DEGRADED


async def test_when_nobody_looks_any_more_nothing_is_known(services: StandIns) -> None:
    certificate, _ = await live(services)
    broken, _ = await live(services)
    await services.observed(broken, broken.endpoints[0].url, ServingVerdict.UNREACHABLE)
    await services.looked(period_s=SHORT_S)
    for one in (certificate, broken):
        unknown = await health_of(services, one, Health.UNKNOWN)
        assert unknown.state is CertificateState.LIVE
        assert condition(unknown, ConditionType.SERVED) == (ConditionStatus.UNKNOWN, "not_looked_at")
        assert "was not looked at lately" in unknown.health_reason
        assert "unknown" in await page_of(services, one)
    await services.looked(period_s=LONG_S)
    present = await health_of(services, certificate, Health.OK)
    before, after = certificate.endpoints[0].looked_at, present.endpoints[0].looked_at
    assert before is not None
    assert after is not None
    assert after > before
    assert (await health_of(services, broken, Health.DEGRADED)).health_reason.count("unreachable") == 1
    changes = [event.health for event in await told(services, certificate, CertificateHealthChanged)]
    assert changes[-3:] == [Health.OK, Health.UNKNOWN, Health.OK]


async def test_an_endpoint_that_rounds_leave_out_is_unknown_alone(services: StandIns) -> None:
    missed, _ = await live(services)
    seen, _ = await live(services)
    left_out = (MissedEndpoint(certificate_id=missed.id, url=missed.endpoints[0].url),)

    async def unknown() -> bool:
        await services.looked(period_s=SHORT_S, missed=left_out)
        return (await services.shown(missed.name)).health is Health.UNKNOWN

    await eventually(unknown, what=f"{missed.name} is unknown")
    assert (await services.shown(seen.name)).health is Health.OK
    await services.looked(period_s=LONG_S)
    await health_of(services, missed, Health.OK)


async def test_one_of_two_probe_workers_is_enough(services: StandIns) -> None:
    certificate, _ = await live(services)
    await services.looked(period_s=SHORT_S, worker="second")
    await services.looked(period_s=LONG_S)
    since = datetime.now(UTC)

    async def several_sweeps() -> bool:
        return datetime.now(UTC) - since > timedelta(seconds=4 * SHORT_S)

    await eventually(several_sweeps, what="several sweeps")
    assert (await services.shown(certificate.name)).health is Health.OK


async def test_a_leaf_that_ended_degrades_it_whoever_looks(services: StandIns) -> None:
    certificate = await services.requested(a_body(endpoints=None, proof="none"))
    issued = await services.issue(certificate)
    await services.delivered(certificate, "host", 1, issued)
    await services.settled()
    assert (await services.shown(certificate.name)).health is Health.OK
    ends = datetime.now(UTC) + timedelta(seconds=5)
    services.registry.process.change(
        "UPDATE revision SET not_after = ? WHERE certificate_id = ?", f"{ends:%Y-%m-%d %H:%M:%S.%f}", certificate.id
    )
    # It is past its time to be renewed as well; that goes its own way.
    present = await health_of(services, certificate, Health.DEGRADED)
    assert condition(present, ConditionType.ISSUED) == (ConditionStatus.FALSE, "expired")
    assert f"expired at {ends:%Y-%m-%d}" in present.health_reason


async def test_only_a_monitor_tells_of_rounds(services: StandIns) -> None:
    letters = len(await services.bus.dead_letters(DURABLE))
    now = datetime.now(UTC)
    event = ProbeRound(worker="x", started=now, ended=now, period_s=1.0, looked=1)
    await services.report(event, place="site1", service="syncer", about="site1")
    await services.settled()
    assert len(await services.bus.dead_letters(DURABLE)) == letters + 1


async def test_a_target_that_fails_degrades_it_when_its_grace_ends(services: StandIns) -> None:
    await services.looked(period_s=LONG_S)
    certificate = await services.requested(everywhere())
    issued = await services.issue(certificate)
    await services.not_delivered(certificate, "host", 1)
    await services.delivered(certificate, "edge", 1, issued)
    await services.settled()
    present = await services.shown(certificate.name)
    assert present.health is Health.PROGRESSING
    services.registry.process.change(
        "UPDATE placement SET ordered_at = '2020-01-01 00:00:00.000000' WHERE certificate_id = ?", certificate.id
    )
    late = await health_of(services, certificate, Health.DEGRADED)
    assert "host" in late.health_reason
    assert "unreachable: no answer" in late.health_reason


async def test_what_was_denied_has_no_health(services: StandIns) -> None:
    body = a_body(exposure="public")
    view = (await services.asker.post("/v1/requests", json=body)).json()
    denied = await services.registry.person("dan", Role.APPROVER)
    assert (await denied.post(f"/v1/requests/{view['id']}/deny", json={"reason": "no"})).status_code == 200
    present = await services.shown(body["name"])
    assert (present.health, present.health_reason) == (Health.NONE, "it is denied")
    listed = await items(services.registry.admin, "/v1/certificates?health=none", CertificateSummary)
    assert [item.name for item in listed] == [body["name"]]
