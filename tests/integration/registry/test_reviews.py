"""A site's review goes up by HTTP: whole in parts, then what changed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import pytest_asyncio

from certcore.api import Problem, Role
from certcore.events import DiscoveredSecret, SiteReviewed
from certcore.review import SecretName, SiteReview, SiteReviewUpdate
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

PATH: Final = "/v1/sites/site1/review"
SOON: Final = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)


def secret(number: int, **changes: Any) -> DiscoveredSecret:
    ends = SOON + timedelta(days=number)
    given = {"cluster": "east", "namespace": "web", "secret": f"s{number}", "manager": "", "not_after": ends}
    return DiscoveredSecret.model_validate(given | changes)


def name(number: int) -> SecretName:
    return SecretName(cluster="east", namespace="web", secret=f"s{number}")


async def put(person: Person, digest: str, *, path: str = PATH, **update: Any) -> int:
    body = SiteReviewUpdate(digest=digest, **update)
    answer = await person.call("PUT", path, json=body.model_dump(mode="json"))
    if answer.status_code >= 400:
        Problem.model_validate_json(answer.content)
    return answer.status_code


async def shown(registry: RunningRegistry, *, limit: int = 500) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        answer = await registry.admin.get(f"{PATH}?limit={limit}{after}")
        page = SiteReview.model_validate_json(answer.content)
        assert len(page.secrets) <= limit
        found += [item.secret for item in page.secrets]
        if page.next is None:
            return found
        after = f"&after={page.next}"


@pytest_asyncio.fixture(loop_scope="package")
async def syncer(deliverers: dict[str, Person]) -> Person:
    """That of site1, of which nothing was reviewed."""
    person = deliverers["site1-syncer"]
    assert await put(person, "nothing") == 204
    return person


async def test_the_whole_comes_in_parts_and_then_what_changed(syncer: Person, registry: RunningRegistry) -> None:
    assert await put(syncer, "d1", changed=(secret(1), secret(2)), more=True) == 204
    assert await put(syncer, "d1", changed=(secret(3),), unreachable=("west",)) == 204
    assert await shown(registry) == await shown(registry, limit=1) == ["s1", "s2", "s3"]

    renewed = secret(2, not_after=SOON + timedelta(days=90))
    assert await put(syncer, "d2", base="d1", changed=(renewed, secret(4)), gone=(name(1),)) == 204
    assert await shown(registry) == ["s3", "s4", "s2"]
    assert (await registry.admin.get(PATH)).json()["unreachable"] == []

    before = (await registry.admin.get(PATH)).json()["reported_at"]
    assert await put(syncer, "d2", base="d2") == 204
    after = (await registry.admin.get(PATH)).json()
    assert len(after["secrets"]) == 3
    assert after["reported_at"] > before


async def test_what_builds_on_another_review_is_refused_with_the_one_that_is_here(
    syncer: Person, registry: RunningRegistry
) -> None:
    assert await put(syncer, "d1", changed=(secret(1),)) == 204
    refused = await syncer.call("PUT", PATH, json={"digest": "d3", "base": "d2", "gone": [name(1).model_dump()]})
    assert refused.status_code == 409
    problem = Problem.model_validate_json(refused.content)
    assert (problem.type, "d1" in problem.detail) == ("/problems/conflict", True)
    assert await shown(registry) == ["s1"]


async def test_of_a_whole_that_broke_off_nothing_is_lost_and_nothing_builds_on_it(
    syncer: Person, registry: RunningRegistry
) -> None:
    assert await put(syncer, "d1", changed=(secret(1), secret(2))) == 204
    assert await put(syncer, "d2", changed=(secret(3),), more=True) == 204
    assert await shown(registry) == ["s1", "s2", "s3"]
    for base in ("d1", "d2"):
        assert await put(syncer, "d4", base=base) == 409
    assert await put(syncer, "d5", changed=(secret(2),)) == 204
    assert await shown(registry) == ["s2"]


async def test_an_event_of_an_older_syncer_is_taken_as_the_whole(
    syncer: Person, registry: RunningRegistry, services: StandIns
) -> None:
    assert await put(syncer, "d1", changed=(secret(1),)) == 204
    event = SiteReviewed(site="site1", secrets=(secret(7), secret(8)), unreachable=("west",))
    await services.report(event, place="site1", service="syncer", about="site1")
    await services.settled()
    assert await shown(registry) == ["s7", "s8"]
    assert (await registry.admin.get(PATH)).json()["unreachable"] == ["west"]
    assert await put(syncer, "d2", base="d1") == 409
    assert await put(syncer, "d2", changed=(secret(8),)) == 204
    assert await shown(registry) == ["s8"]


async def test_ten_thousand_secrets_come_in_parts(syncer: Person, registry: RunningRegistry) -> None:
    names = tuple(f"app-{number}.example.test" for number in range(10))
    whole = [secret(number, dns_names=names) for number in range(10_000)]
    parts = [whole[first : first + 1000] for first in range(0, len(whole), 1000)]
    for part in parts[:-1]:
        assert await put(syncer, "d1", changed=part, more=True) == 204
    assert await put(syncer, "d1", changed=parts[-1]) == 204
    assert len(await shown(registry)) == 10_000
    assert await put(syncer, "d2", base="d1", changed=(secret(3, problem="new"),)) == 204
    assert await put(syncer, "none") == 204
    assert await shown(registry) == []


@pytest.mark.parametrize("path", ["/v1/sites/site2/review", "/v1/sites/nowhere/review", "/v1/sites/hub/review"])
async def test_a_syncer_tells_of_its_own_site_only(syncer: Person, path: str) -> None:
    assert await put(syncer, "d1", path=path) == 404


async def test_nobody_else_of_the_site_tells(deliverers: dict[str, Person], registry: RunningRegistry) -> None:
    assert await put(deliverers["site1-pusher"], "d1") == 404
    stranger = await registry.service("site9-syncer", Role.DELIVERER, site="site9", kind="syncer")
    assert await put(stranger, "d1", path="/v1/sites/site9/review") == 404


async def test_what_no_secret_can_be_called_is_left_out(syncer: Person, registry: RunningRegistry) -> None:
    odd: Sequence[str] = ("", "a\x00b", "x" * 254, "ä", "a\nb")
    changed = [secret(1), *(secret(2, secret=text) for text in odd), *(secret(3, cluster=text) for text in odd)]
    assert await put(syncer, "d1", changed=changed) == 204
    assert await shown(registry) == ["s1"]
    gone = tuple(SecretName(cluster="east", namespace="web", secret=text) for text in odd)
    assert await put(syncer, "d2", base="d1", gone=gone) == 204


@pytest.mark.parametrize("digest", ["", "x" * 65, "a b", "ä", "\x00"])
async def test_what_is_no_digest_is_refused(syncer: Person, digest: str) -> None:
    assert (await syncer.call("PUT", PATH, json={"digest": digest})).status_code == 422


async def test_an_item_that_can_not_be_read_is_left_out(syncer: Person, registry: RunningRegistry) -> None:
    body = {"digest": "d1", "changed": [{"cluster": 7}, secret(1).model_dump(mode="json")], "colour": "blue"}
    assert (await syncer.call("PUT", PATH, json=body)).status_code == 204
    assert await shown(registry) == ["s1"]
