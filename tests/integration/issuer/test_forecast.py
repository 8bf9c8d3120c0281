"""`certbus issuer forecast` by the settings and the journal of an issuer, which it only reads."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.forecast import ForecastAnswer, Intent, answer
from certcore.ca_limits.limit import BudgetSettings, LimitKind
from certcore.ca_limits.report import LimitsReport, state_of
from certcore.clock import system_clock
from issuer.adapters.ledger import Ledger
from issuer.adapters.stored_budgets import stored_budgets
from issuer.handlers.limit_reports import LimitReports
from tests.fork_server import ended
from tests.integration.issuer.test_journal import MIGRATIONS, opened
from tests.unit.issuer.domain.budgets import ask

pytestmark = pytest.mark.integration

URL = "https://ca.test/dir"
LIMITS: dict[str, Any] = {"share": 1.0, "new_orders": {"count": 2, "period": "PT2H"}}


async def forecast(folder: Path, *arguments: str, given: str = "") -> tuple[int, str, str]:
    (folder / "token").write_text("token")
    ca = {"name": "counted", "directory_url": URL, "challenges": ["dns-01"], "budget": LIMITS, "public": False}
    told = {
        "bus": {"identity": "issuer", "url": "nats://127.0.0.1:9", "plain_text": True},
        "http": {"plain_text": True},
        "registry": {"url": "http://127.0.0.1:9", "token_file": str(folder / "token"), "plain_text": True},
        "database_url": f"sqlite:///{folder / 'journal.db'}",
        "state_folder": str(folder / "state"),
        "cas": [ca, {**ca, "name": "other", "directory_url": "https://other.test/dir", "budget": None}],
        "policy": {"internal": "counted", "public": "counted"},
        "solvers": {"dns": {"kind": "challtestsrv", "url": "http://127.0.0.1:9"}},
    }
    env = {
        f"CERTBUS_ISSUER_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in told.items()
    }
    return await ended("certbus", "issuer", "forecast", *arguments, env=env, given=given)


async def test_the_ledger_tells_when_orders_could_go(tmp_path: Path) -> None:
    code, _, err = await forecast(tmp_path, "a.example.org")
    assert (code, "there is no journal" in err) == (1, True)
    ledger = Ledger([AskedCa("counted", URL, BudgetSettings.model_validate(LIMITS))])
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        await database.write(lambda connection: ledger.spend(connection, ask(ca="counted"), system_clock()))
    names = ["a.example.org,b.example.org", "c.example.org", "d.example.org"]
    code, out, err = await forecast(tmp_path, *names, "-o", "json")
    assert (code, err) == (0, "")
    answer = ForecastAnswer.model_validate_json(out)
    assert [one.id for one in answer.orders] == names
    waits = [one.at - answer.made_at for one in answer.orders if one.at is not None]
    assert waits[0] == timedelta()
    assert timedelta(minutes=50) < waits[1] < timedelta(hours=1) < waits[2]
    assert [one.limit for one in answer.orders] == [None, "new_orders", "new_orders"]

    code, out, _ = await forecast(tmp_path, *names, "--ca", "other")
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [[name, "other", "now"] for name in names]


async def test_a_campaign_is_read_from_a_file_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
    some = [{"id": f"i{number}", "ca": "counted", "dns_names": ["a.example.org"]} for number in range(500)]
    code, out, _ = await forecast(tmp_path, "-f", "-", "-o", "json", given=json.dumps(some))
    answer = ForecastAnswer.model_validate_json(out)
    assert (code, len(answer.orders), answer.takes) == (0, 500, timedelta(hours=498))
    some[0]["dns_name"] = "typo"
    code, out, err = await forecast(tmp_path, "-f", "-", given=json.dumps(some))
    assert (code, out) == (2, "")
    assert "0.dns_name" in err
    for wrong in (["--ca", "nobody", "a.example.org"], ["not a name"], []):
        code, _, err = await forecast(tmp_path, *wrong)
        assert (code, "Traceback" in err) == (2, False), err


async def test_what_is_told_to_the_registry_foresees_the_same_and_is_told_when_it_changed(tmp_path: Path) -> None:
    told: list[LimitsReport] = []

    class Registry:
        async def tell_limits(self, report: LimitsReport) -> bool:
            told.append(report)
            return True

    now = system_clock()
    cas = [AskedCa("counted", URL, BudgetSettings.model_validate(LIMITS))]
    intents = [Intent(id=name, ca="counted", dns_names=(name,)) for name in ("a.example.org", "b.example.org")]
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        reports = LimitReports(database=database, cas=cas, registry=Registry(), clock=lambda: now)
        await reports.tell()
        await reports.tell()
        assert len(told) == 1
        await database.write(lambda connection: Ledger(cas).spend(connection, ask(ca="counted"), now))
        await reports.tell()
        state = stored_budgets(f"sqlite:///{tmp_path / 'journal.db'}", cas, now)
        assert len(told) == 2
        by_report = answer(state_of(told[-1]), intents, now=now)
        assert by_report == answer(state, intents, now=now)
        assert [one.limit for one in by_report.orders] == [None, LimitKind.NEW_ORDERS]
        # Whoever counts on it sees how old it is, and that the issuer lives.
        now += timedelta(minutes=10)
        await reports.tell()
    assert len(told) == 3
