"""What is answered stands in the document: one example of everything (`make prove PART=openapi` asks for more)."""

import random

import pytest

from certcore.api import Problem, Role
from tests.documented import TEAM, Findings, ask_for_everything
from tests.registry_process import RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_what_is_answered_stands_in_the_document(registry: RunningRegistry) -> None:
    findings = Findings(random.SystemRandom().randrange(2**32))
    print(f"seed {findings.seed}")
    roles = (Role.VIEWER, Role.REQUESTER, Role.APPROVER, Role.AUDITOR)
    person = await registry.person("everything", *roles, owner=TEAM)
    await ask_for_everything(registry, person, "everybody", findings, examples=1)
    assert findings.faults == set()
    assert findings.statuses[200] > 0


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/nowhere", 404, None),
        ("GET", "/v1/requests/", 404, None),
        ("PATCH", "/v1/requests", 405, "GET, POST"),
        ("POST", "/v1/sites/site1/review", 405, "GET, PUT"),
        ("POST", "/v1/requests", 415, None),
        ("PUT", "/v1/sites/site1", 415, None),
    ],
)
async def test_what_no_route_takes_is_a_problem_document(
    registry: RunningRegistry, method: str, path: str, status: int, allowed: str | None
) -> None:
    media_type = "text/xml" if status == 415 else "application/json"
    response = await registry.admin.call(method, path, content=b"<a/>", headers={"content-type": media_type})
    assert (response.status_code, Problem.model_validate_json(response.content).status) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("allow") == allowed
