"""The one way to the registry's rows: a transaction that speaks in the words of the domain, one module a noun."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from registry.adapters.store.approvals import Approvals
from registry.adapters.store.audit import Audit
from registry.adapters.store.certificates import Certificates
from registry.adapters.store.endpoints import Endpoints
from registry.adapters.store.events import Events
from registry.adapters.store.inbox import Inbox
from registry.adapters.store.placements import Placements
from registry.adapters.store.requests import Requests
from registry.adapters.store.revisions import Revisions, SigningRequests
from registry.adapters.store.rollouts import Rollouts
from registry.adapters.store.services import ProbeWorkers, Services
from registry.adapters.store.sites import Sites
from registry.adapters.store.statements import RowChangedError
from registry.adapters.store.tokens import Tokens

__all__ = ["RowChangedError", "Store", "Transaction"]

log = structlog.get_logger()


class Store:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite has one writer; queue here: its own queue gives up after a while.
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """All or nothing: an exception inside leaves no trace in the database.

        Raises:
            RowChangedError: somebody stored a row under the same key at the same time.
        """
        try:
            async with self._turn, self._engine.begin() as connection:
                yield Transaction(connection)
        except IntegrityError as error:
            # Its own text quotes the values.
            log.warning("row_stored_meanwhile", statement=(error.statement or "")[:60])
            raise RowChangedError("a row under the same key was stored at the same time") from None


class Transaction:
    """What can be read and written in one transaction, by noun."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.certificates = Certificates(connection)
        self.requests = Requests(connection)
        self.approvals = Approvals(connection)
        self.revisions = Revisions(connection)
        self.signing_requests = SigningRequests(connection)
        self.placements = Placements(connection)
        self.endpoints = Endpoints(connection)
        self.rollouts = Rollouts(connection)
        self.sites = Sites(connection)
        self.services = Services(connection)
        self.probe_workers = ProbeWorkers(connection)
        self.tokens = Tokens(connection)
        self.events = Events(connection)
        self.inbox = Inbox(connection)
        self.audit = Audit(connection)

    async def roll_back(self) -> None:
        """Undo everything so far: a dry run writes nothing."""
        await self._connection.rollback()
