"""One example of everything, by somebody who looks, asks and approves; `make prove PART=openapi` asks for more."""

import random

import pytest

from certcore.api import Role
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
