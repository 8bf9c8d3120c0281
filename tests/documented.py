"""Callers who ask a running registry for everything that its document has, as it allows and as it doesn't."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from certcore.api import Role
from tests.integration.registry.bodies import a_body
from tests.registry_process import Person, RunningRegistry

__all__ = ["TEAM", "Findings", "ask_for_everything"]

_CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_ENDLESS: Final = "/v1/events"
"""Only its beginning is looked at."""
_BEGINNINGS: Final = {
    (200, "text/event-stream"),
    *((status, "application/problem+json") for status in (401, 403, 422)),
}
_TIMEOUT_S: Final = 60.0
TEAM: Final = "matrix"


@dataclass
class Findings:
    seed: int
    statuses: Counter[int] = field(default_factory=Counter)
    by_role: Counter[str] = field(default_factory=Counter)
    faults: set[str] = field(default_factory=set)

    def note(self, role: str, status: int) -> None:
        self.by_role[role] += 1
        self.statuses[status] += 1

    def fault(self, role: str, label: str, failure: Failure) -> None:
        self.faults.add(f"{label} as {role}: {failure.title}: {' '.join(failure.message.split())[:400]}")

    def table(self) -> Iterator[str]:
        yield f"{'role':<12} requests"
        for role, number in sorted(self.by_role.items()):
            yield f"{role:<12} {number:>8}"
        yield ", ".join(f"{number} x {status}" for status, number in sorted(self.statuses.items()))
        yield from sorted(self.faults)
        yield f"{sum(self.by_role.values())} requests, {len(self.faults)} faults"


async def _pool(registry: RunningRegistry, prefix: str) -> dict[str, list[str]]:
    """Values for the names in paths that are there: of a team, in each state that needs no other service."""
    asker = await registry.person(f"{prefix}-asker", Role.REQUESTER, owner=TEAM)
    approver = await registry.person(f"{prefix}-approver", Role.APPROVER, owner="security")
    views = []
    for number, exposure in enumerate(("internal", "public", "public", "public")):
        asked = await asker.post("/v1/requests", json=a_body(f"{prefix}-{number}", exposure=exposure))
        assert asked.status_code == 202, asked.text
        views.append(asked.json())
    denied = await approver.post(f"/v1/requests/{views[3]['id']}/deny", json={"reason": "no"})
    assert denied.status_code == 200, denied.text
    spare = {"subject": f"{prefix}-spare", "owner": TEAM, "roles": ["viewer"]}
    tokens = [(await registry.admin.post("/v1/tokens", json=spare)).json()["id"] for _ in range(3)]
    return {
        "name": [view["name"] for view in views],
        "request_id": [view["id"] for view in views],
        "certificate_id": [view["certificate_id"] for view in views],
        "token_id": tokens,
        "revision": ["1"],
        "site": ["site1"],
    }


@dataclass(frozen=True)
class Caller:
    """Somebody who asks for everything."""

    role: str
    url: str
    session: requests.Session
    headers: dict[str, str]
    pool: dict[str, list[str]]
    findings: Findings
    examples: int

    def ask_for_everything(self) -> None:
        document = self.session.get(f"{self.url}/openapi.json", timeout=_TIMEOUT_S).json()
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            if operation.path == _ENDLESS and operation.method == "get":
                self._follow()
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._ask(operation, mode)

    def _ask(self, operation: Any, mode: GenerationMode) -> None:
        @hypothesis.seed(self.findings.seed)
        @hypothesis.settings(
            max_examples=self.examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def one(case: Any, data: st.DataObject) -> None:
            for name in case.path_parameters or {}:
                there = data.draw(st.sampled_from([None, *self.pool.get(name, [])]))
                if there is not None:
                    case.path_parameters[name] = there
            response = case.call(base_url=self.url, session=self.session, headers=self.headers, timeout=_TIMEOUT_S)
            self.findings.note(self.role, response.status_code)
            try:
                case.validate_response(response, checks=_CHECKS)
            except FailureGroup as group:
                for failure in group.exceptions:
                    self.findings.fault(self.role, operation.label, failure)
            except Failure as failure:
                self.findings.fault(self.role, operation.label, failure)

        try:
            one()
        except hypothesis.errors.Unsatisfiable:
            # A route without a body or parameters can't be asked wrongly.
            assert mode is GenerationMode.NEGATIVE, operation.label

    def _follow(self) -> None:
        for query in ({}, {"since": "now"}, {"since": "yesterday"}):
            headers = {**self.headers, "last-event-id": "nothing"}
            with self.session.get(
                self.url + _ENDLESS, params=query, headers=headers, stream=True, timeout=_TIMEOUT_S
            ) as response:
                media_type = response.headers["content-type"].partition(";")[0]
                self.findings.note(self.role, response.status_code)
                if (response.status_code, media_type) not in _BEGINNINGS:
                    self.findings.faults.add(f"{_ENDLESS} as {self.role}: {response.status_code} {media_type}")


async def ask_for_everything(
    registry: RunningRegistry, person: Person, role: str, findings: Findings, *, examples: int
) -> None:
    """So many examples of each kind for each route."""
    pool = await _pool(registry, f"everything-{role}")
    with requests.Session() as session:
        session.trust_env = False
        caller = Caller(role, registry.url, session, person.headers, pool, findings, examples)
        await asyncio.to_thread(caller.ask_for_everything)
