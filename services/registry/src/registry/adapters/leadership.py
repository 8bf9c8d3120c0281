"""Which of the registries that share a database does what one alone should do: the relay, sweeps and watches.

The one whose session holds a lock of PostgreSQL. A session that ends gives it up, whatever ended it, and another
takes it within seconds. On SQLite there is one registry.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, make_url

from certkit.background import end_tasks
from certkit.database import make_engine
from certkit.metric_names import LEADS, gauge
from certkit.readiness import Finding

__all__ = ["Leadership", "Work"]

log = structlog.get_logger()

Work = Callable[[], Awaitable[None]]

_LOCK: Final = (0x63657274, -1)
"""The words of `certkit.held` have the same first half: of four thousand million, none is likely to be this one."""
_EVERY_S: Final = 0.5
_PATIENCE_S: Final = 3.0
"""So long the database may take to say that the session is there; then others may lead, and this one doesn't."""


class Leadership:
    def __init__(
        self,
        database_url: str,
        *,
        metrics: CollectorRegistry,
        every_s: float = _EVERY_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        alone = make_url(database_url).get_backend_name() == "sqlite"
        self._session = None if alone else _Session(make_engine(database_url, pool_size=1))
        self._every_s = every_s
        self._patience_s = patience_s
        self._leads = alone
        self._works: set[asyncio.Task[None]] = set()
        self._turned = asyncio.Event()
        self._gauge = gauge(LEADS, metrics)
        self._gauge.set(int(alone))

    def leads(self) -> bool:
        return self._leads

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`: whoever doesn't lead is as ready."""
        if self._session is None:
            return []
        return [Finding(check="leader", detail="this registry" if self._leads else "another registry")]

    async def run(self) -> None:
        """Try to lead, and see whether it still does, until cancelled."""
        if self._session is None:
            await asyncio.Event().wait()
            return
        while True:
            asked = asyncio.create_task(asyncio.to_thread(self._session.holds))
            await asyncio.wait([asked], timeout=self._patience_s)
            self._turn(leads=asked.done() and asked.result())
            if not asked.done():
                # The session may hold it again when the database answers: nobody relies on it.
                await asked
                await asyncio.to_thread(self._session.end)
            await asyncio.sleep(self._every_s)

    async def close(self) -> None:
        """Let another lead; what ran while this one did must have ended."""
        self._turn(leads=False)
        if self._session is not None:
            await asyncio.to_thread(self._session.close)

    def loop(self, work: Work) -> Work:
        """A loop that runs whenever this one leads, and is cancelled when it doesn't any more."""
        if self._session is None:
            return work

        async def whenever() -> None:
            while True:
                while not self._leads:
                    await self._turned.wait()
                await self._while_leading(work)

        return whenever

    def round(self, work: Work) -> Work:
        """A round that does nothing where another leads."""
        if self._session is None:
            return work

        async def where() -> None:
            if self._leads:
                await self._while_leading(work)

        return where

    async def _while_leading(self, work: Work) -> None:
        task = asyncio.ensure_future(_run(work))
        self._works.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._works.discard(task)
            await end_tasks([task])
        if self._leads or not task.cancelled():
            await task

    def _turn(self, *, leads: bool) -> None:
        if leads == self._leads:
            return
        self._leads = leads
        self._gauge.set(int(leads))
        log.info("leads" if leads else "leads_no_more")
        if not leads:
            for task in self._works:
                task.cancel()
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()


class _Session:
    """A connection of its own, used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._alone = threading.Lock()
        self._connection: Any = None
        self._has = False
        self._closed = False

    def holds(self) -> bool:
        """Whether this session has the lock, which it takes where nobody else has it."""
        with self._alone:
            if self._closed:
                return False
            try:
                return self._take()
            except self._engine.dialect.loaded_dbapi.Error as error:
                log.warning("leadership_not_known", error=str(error).partition("\n")[0][:200])
                self._drop()
                return False

    def _take(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._connection.driver_connection.autocommit = True
        query = "SELECT true" if self._has else f"SELECT pg_try_advisory_lock({_LOCK[0]}, {_LOCK[1]})"
        self._has = bool(self._connection.driver_connection.execute(query).fetchone()[0])
        return self._has

    def end(self) -> None:
        with self._alone:
            self._drop()

    def close(self) -> None:
        with self._alone:
            self._closed = True
            self._drop()
            self._engine.dispose()

    def _drop(self) -> None:
        if self._connection is not None:
            # Closed, and not given back: its lock goes with it.
            self._connection.invalidate()
            self._connection = None
        self._has = False


async def _run(work: Work) -> None:
    await work()
