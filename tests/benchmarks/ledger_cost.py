"""What the ledger costs when it is large: `python -m tests.benchmarks.ledger_cost [BUCKETS] [WAITING]`.

A SQLite file with 100,000 buckets that aren't full and 10,000 jobs that wait before one of them; each call is a
transaction of its own, committed to the disk. Beside it: a forecast of 10,000 orders.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, event, insert

import issuer
from certcore.ca_limits.asked import AskedCa, BucketKey, NewOrder
from certcore.ca_limits.bucket import Bucket
from certcore.ca_limits.limit import BudgetSettings, LimitKind
from certcore.ca_limits.play import forecast
from certkit.database import make_engine, upgrade_schema
from issuer.adapters.ledger import Ledger
from issuer.adapters.ledger_rows import put_buckets
from issuer.adapters.ledger_tables import ticket

_NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_DIRECTORY: Final = "https://ca.test/directory"
_CALLS: Final = 1000
_MIGRATIONS: Final = Path(issuer.__file__).parent / "migrations"


def _fill(engine: Engine, ledger: Ledger, buckets: int, waiting: int) -> None:
    full_at = _NOW + timedelta(days=1)
    with engine.begin() as connection:
        upgrade_schema(connection, _MIGRATIONS)
        for begin in range(0, buckets, 10_000):
            keys = (
                BucketKey(_DIRECTORY, LimitKind.CERTIFICATES_PER_DOMAIN, f"d{number}.org")
                for number in range(begin, min(begin + 10_000, buckets))
            )
            put_buckets(connection, {key: Bucket(full_at) for key in keys})
        # One that waits as the ledger writes it, and the others behind it.
        for number in range(271):
            ledger.spend(connection, _ask("crowded", number), _NOW)
        first = connection.execute(ticket.select().where(ticket.c.not_before.is_not(None))).mappings().one()
        rows = [
            {**first, "job": f"line-{number}", "not_before": _NOW + timedelta(seconds=40 * (number + 2))}
            for number in range(waiting)
        ]
        connection.execute(insert(ticket), rows)


def _ask(ca: str, number: int, *, names: int = 1) -> NewOrder:
    dns_names = tuple(f"a{part}.d{(number * 7919 + part) % 100_000}.org" for part in range(names))
    return NewOrder(ca, f"{ca}-{number}-{names}", "1", dns_names)


class _Clocked:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements = 0
        event.listen(engine, "before_cursor_execute", self._count)

    def _count(self, *of: object) -> None:
        self._statements += str(of[2]).partition(" ")[0] != "BEGIN"

    def __call__(self, works: Sequence[Callable[[Connection], object]]) -> tuple[float, float, float, int]:
        """Milliseconds at the median and the 99th percentile, of CPU at the mean, and the most statements of one."""
        times, most, cpu = [], 0, time.process_time()
        for work in works:
            self._statements = 0
            began = time.perf_counter()
            with self._engine.begin() as connection:
                work(connection)
            times.append((time.perf_counter() - began) * 1000)
            most = max(most, self._statements)
        times.sort()
        mean = (time.process_time() - cpu) * 1000 / len(times)
        return times[len(times) // 2], times[len(times) * 99 // 100], mean, most


def main(buckets: int = 100_000, waiting: int = 10_000) -> None:
    budget = BudgetSettings(preset="letsencrypt")
    # Whose account has room, and whose has a long line before it.
    roomy = BudgetSettings.model_validate({"preset": "letsencrypt", "new_orders": {"count": 10**6, "period": "PT3H"}})
    ledger = Ledger([AskedCa("roomy", _DIRECTORY, roomy), AskedCa("crowded", _DIRECTORY, budget)])
    table = Table("what", "p50 ms", "p99 ms", "CPU ms", "statements")
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/ledger.db")
        _fill(engine, ledger, buckets, waiting)
        clocked = _Clocked(engine)

        def spending(asks: Sequence[NewOrder]) -> list[Callable[[Connection], object]]:
            return [lambda connection, one=one: ledger.spend(connection, one, _NOW) for one in asks]  # type: ignore[misc]

        granted = [_ask("roomy", number) for number in range(_CALLS)]
        many = [_ask("roomy", number, names=20) for number in range(_CALLS // 4)]
        refused = [_ask("crowded", number) for number in range(1000, 1000 + _CALLS)]
        for what, asks in (
            ("granted", granted),
            ("granted again, nothing spent", granted),
            ("granted, 20 names of 20 domains", many),
            (f"refused, {waiting} wait before it", refused),
            ("refused again", refused),
        ):
            p50, p99, cpu, most = clocked(spending(asks))
            table.add_row(what, f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.2f}", str(most))
        began = time.process_time()
        with engine.begin() as connection:
            state = ledger.state(connection, ["crowded"], _NOW)
        read = time.process_time() - began
        campaign = [_ask("crowded", number) for number in range(50_000, 60_000)]
        began = time.process_time()
        forecast(state, campaign, _NOW)
        told = time.process_time() - began
        engine.dispose()
    console = Console()
    console.print(f"{buckets} buckets, {waiting} jobs in line")
    console.print(table)
    console.print(
        f"{len(state.buckets)} buckets read: {read:.2f} s of CPU; {len(campaign)} orders foretold: {told:.2f} s"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
