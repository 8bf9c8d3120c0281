"""What a running registry answers to whatever its document allows, and to what it doesn't, stands in the document."""

import os

import pytest

from certcore.api import Role
from tests.documented import TEAM, Findings, ask_for_everything
from tests.registry_process import Person, RunningRegistry, running_registry

pytestmark = [pytest.mark.integration]

EXAMPLES = int(os.environ.get("EXAMPLES") or 6)


async def people(registry: RunningRegistry) -> dict[str, Person]:
    found = {
        role.value: await registry.person(f"only-{role.value}", role, owner=TEAM)
        for role in Role
        if role is not Role.DELIVERER
    }
    found["deliverer"] = await registry.service("only-deliverer", Role.DELIVERER, site="site1", kind="syncer")
    found["nobody"] = registry.nobody
    return found


async def test_every_role_gets_only_what_the_document_tells(seed: int) -> None:
    findings = Findings(seed)
    async with running_registry() as registry:
        for role, person in (await people(registry)).items():
            await ask_for_everything(registry, person, role, findings, examples=EXAMPLES)
        findings.faults |= {line for line in registry.process.log_lines if '"event": "fault"' in line}
    print(*findings.table(), sep="\n")
    assert findings.faults == set()
