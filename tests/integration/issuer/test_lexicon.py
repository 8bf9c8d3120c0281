"""dns-01 by dns-lexicon, at a DNS service that is read and written as PowerDNS is."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certlocal.private_file import write_private
from issuer.domain.errors import SolverError
from issuer.domain.solver import RunningSolver, SolverContext
from issuer.solvers.lexicon.driver import DRIVER
from tests.integration.issuer.knot_world import StoredRecords, a_record
from tests.integration.issuer.powerdns_api import PowerDns, powerdns
from tests.integration.issuer.solver_context import Aliases, a_context, a_solver

pytestmark = pytest.mark.integration

KEY = "the-key-of-the-service"
NAME, WILDCARD, OTHER = a_record("a.example.org", "one"), a_record("a.example.org", "two"), a_record("b.org", "three")
AT_A = "_acme-challenge.a.example.org"


@pytest.fixture
async def service() -> AsyncIterator[PowerDns]:
    async with powerdns("example.org", "deep.example.org", "b.org", key=KEY) as running:
        yield running


def solver_at(
    service: PowerDns, folder: Path, context: SolverContext | None = None, *, key: str = KEY, timeout_s: float = 60.0
) -> RunningSolver:
    file = folder / "key"
    write_private(file, f"{key}\n".encode())
    return a_solver(
        DRIVER,
        context,
        provider="powerdns",
        zones=["example.org", "deep.example.org", "b.org"],
        options={"pdns_server": service.url},
        option_files={"auth_token": file},
        timeout_s=timeout_s,
    )


async def test_values_at_one_name_come_and_go_one_by_one(service: PowerDns, tmp_path: Path) -> None:
    service.records["example.org."][f"{AT_A}.", "TXT"] = ['"of somebody else"']
    async with solver_at(service, tmp_path):
        solver = solver_at(service, tmp_path)
        service.reading_s = 0.4
        await solver.present([NAME, WILDCARD, OTHER])
        assert service.txt(AT_A) == {"one", "two", "of somebody else"}
        service.reading_s = 0.0
        await solver.present([NAME, WILDCARD, OTHER])
        assert service.txt(AT_A) == {"one", "two", "of somebody else"}
        assert service.txt("_acme-challenge.b.org") == {"three"}
        await solver.clean_up([NAME])
        await solver.clean_up([NAME])
        assert service.txt(AT_A) == {"two", "of somebody else"}
        await solver.clean_up([WILDCARD, OTHER])
    assert service.txt(AT_A) == {"of somebody else"}
    assert service.records["b.org."] == {}


async def test_a_record_goes_where_the_cname_leads_and_into_the_longest_zone(
    service: PowerDns, tmp_path: Path
) -> None:
    context = a_context(dns=Aliases({AT_A: "a.deep.example.org"}))
    await solver_at(service, tmp_path, context).present([NAME])
    assert service.records["deep.example.org."] == {("a.deep.example.org.", "TXT"): ['"one"']}
    assert service.records["example.org."] == {}


async def test_a_value_that_another_job_needs_is_left(service: PowerDns, tmp_path: Path) -> None:
    context = a_context(stored=StoredRecords(NAME, a_record("a.example.org", "one", job="b")))
    solver = solver_at(service, tmp_path, context)
    await solver.present([NAME])
    await solver.clean_up([NAME])
    assert service.txt(AT_A) == {"one"}


async def test_a_refusal_is_told_without_the_key(
    service: PowerDns, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with solver_at(service, tmp_path, key="another-key"):
        solver = solver_at(service, tmp_path, key="another-key")
        with pytest.raises(
            SolverError, match=rf"powerdns: add of {AT_A} in example.org: HTTPError, HTTP 401"
        ) as told:
            await solver.present([NAME])
    assert "another-key" not in f"{told.value!r} {told.value.__cause__!r} {solver!r}"
    assert [record.name for record in caplog.records if record.name.startswith(("lexicon", "urllib3"))] == []


async def test_a_zone_that_the_service_has_not_is_told(service: PowerDns, tmp_path: Path) -> None:
    del service.records["b.org."]
    with pytest.raises(SolverError, match="HTTPError, HTTP 404"):
        await solver_at(service, tmp_path).clean_up([OTHER])


async def test_a_service_that_is_away_is_told(tmp_path: Path) -> None:
    async with powerdns(key=KEY) as gone:
        pass
    with pytest.raises(SolverError, match="ConnectionError"):
        await solver_at(gone, tmp_path).present([NAME])


async def test_what_can_not_be_done_is_told_before_anybody_is_asked(service: PowerDns, tmp_path: Path) -> None:
    solver = solver_at(service, tmp_path)
    with pytest.raises(SolverError, match=r"_acme-challenge\.badexample\.org is in none of the zones example\.org"):
        await solver.present([a_record("badexample.org", "one")])
    (tmp_path / "key").unlink()
    with pytest.raises(SolverError, match=r"option_files\.auth_token: .*key can't be read: FileNotFoundError"):
        await solver.present([NAME])
    assert service.asked == []


async def test_a_service_that_hangs_holds_its_own_zone_alone(service: PowerDns, tmp_path: Path) -> None:
    solver = solver_at(service, tmp_path, timeout_s=0.3)
    service.silent = asyncio.Event()
    with pytest.raises(SolverError, match=r"takes longer than 0\.3 s"):
        await solver.present([NAME])
    # What hangs may still be done: no other change of that zone may meet it.
    with pytest.raises(SolverError, match=r"a call before it hasn't ended in 0\.3 s"):
        await solver.present([WILDCARD])
    assert service.asked == ["GET"]
    hanging, service.silent = service.silent, None
    await solver_at(service, tmp_path).present([OTHER])
    hanging.set()
    await solver_at(service, tmp_path).present([WILDCARD])
    assert service.txt("_acme-challenge.b.org") == {"three"}
