"""The one way to the registry's rows: a transaction that speaks in the words of the domain, one module a noun."""

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from certkit.database import was_overtaken
from certkit.held import hold
from certkit.prepared import together
from certkit.savepoint import undo
from certkit.transactions import Database
from registry.adapters.store.alerts import Alerts, Runs
from registry.adapters.store.approvals import Approvals
from registry.adapters.store.audit import Audit
from registry.adapters.store.ca_limits import CaLimits
from registry.adapters.store.certificates import Certificates
from registry.adapters.store.challenges import Challenges
from registry.adapters.store.claims import Claims
from registry.adapters.store.device_logins import DeviceLogins
from registry.adapters.store.endpoints import Endpoints
from registry.adapters.store.epochs import Epochs, ReportedRevisions
from registry.adapters.store.events import Events
from registry.adapters.store.inbox import Inbox
from registry.adapters.store.kept_answers import KeptAnswers
from registry.adapters.store.listing import Listing
from registry.adapters.store.login_codes import LoginCodes
from registry.adapters.store.placements import Placements
from registry.adapters.store.policies import Policies
from registry.adapters.store.renewals import Renewals
from registry.adapters.store.requests import Requests
from registry.adapters.store.reseals import Reseals
from registry.adapters.store.reviews import Reviews
from registry.adapters.store.revisions import Revisions, SigningRequests
from registry.adapters.store.rights_changes import RightsChanges
from registry.adapters.store.rollouts import Rollouts
from registry.adapters.store.services import ProbeWorkers, Services
from registry.adapters.store.sites import Sites
from registry.adapters.store.statements import RowChangedError
from registry.adapters.store.stream_epochs import StreamEpochs
from registry.adapters.store.tokens import Tokens
from registry.adapters.store.votes import Votes

__all__ = ["RowChangedError", "Store", "Transaction"]

log = structlog.get_logger()

ResultT = TypeVar("ResultT")


_TRIES: Final = 8
_FIRST_PAUSE_S: Final = 0.005


class Store:
    """Works are plain functions of a transaction, run off the event loop; some are run several times."""

    def __init__(self, database: Database, *, jitter: Callable[[], float] = random.random) -> None:
        self._database = database
        self._jitter = jitter

    async def write(
        self, work: Callable[["Transaction"], ResultT], *, patience_s: float = 0.0, held: Collection[str] = ()
    ) -> ResultT:
        """All or nothing: an exception in the work leaves no trace in the database. Where somebody else changed
        meanwhile what it changes, all of it is done again. `patience_s` and `held` are as in `Database.write`.

        Raises:
            RowChangedError: somebody did, at every try.
            DatabaseBusyError: the database takes no writes now.
        """
        for tried in range(_TRIES - 1):
            try:
                return await self._write_once(work, patience_s, held)
            except RowChangedError as error:
                log.info("decided_again", reason=str(error))
            await asyncio.sleep(_FIRST_PAUSE_S * 2**tried * self._jitter())
        return await self._write_once(work, patience_s, held)

    async def _write_once(
        self, work: Callable[["Transaction"], ResultT], patience_s: float, held: Collection[str]
    ) -> ResultT:
        def with_nouns(connection: Connection) -> ResultT:
            return work(Transaction(connection))

        try:
            return await self._database.write(with_nouns, patience_s=patience_s, held=held)
        except IntegrityError as error:
            # Its own text quotes the values.
            log.warning("row_stored_meanwhile", statement=(error.statement or "")[:60])
            raise RowChangedError("a row under the same key was stored at the same time") from None
        except DBAPIError as error:
            if was_overtaken(error):
                raise RowChangedError("a row was changed at the same time") from None
            raise

    async def read(self, work: Callable[["Transaction"], ResultT]) -> ResultT:
        """Look at one state of the database, without waiting for who writes; a work that writes fails.

        Raises:
            DatabaseBusyError: the database can't be read now.
        """
        return await self._database.read(lambda connection: work(Transaction(connection)))


class Transaction:
    """What can be read and written in one transaction, by noun."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.certificates = Certificates(connection)
        self.listing = Listing(connection)
        self.renewals = Renewals(connection)
        self.requests = Requests(connection)
        self.approvals = Approvals(connection)
        self.votes = Votes(connection)
        self.policies = Policies(connection)
        self.claims = Claims(connection)
        self.ca_limits = CaLimits(connection)
        self.revisions = Revisions(connection)
        self.reseals = Reseals(connection)
        self.challenges = Challenges(connection)
        self.signing_requests = SigningRequests(connection)
        self.placements = Placements(connection)
        self.endpoints = Endpoints(connection)
        self.rollouts = Rollouts(connection)
        self.sites = Sites(connection)
        self.reviews = Reviews(connection)
        self.services = Services(connection)
        self.probe_workers = ProbeWorkers(connection)
        self.tokens = Tokens(connection)
        self.rights_changes = RightsChanges(connection)
        self.device_logins = DeviceLogins(connection)
        self.login_codes = LoginCodes(connection)
        self.events = Events(connection)
        self.stream_epochs = StreamEpochs(connection)
        self.alerts = Alerts(connection)
        self.runs = Runs(connection)
        self.inbox = Inbox(connection)
        self.kept_answers = KeptAnswers(connection)
        self.audit = Audit(connection)
        self.epochs = Epochs(connection)
        self.reported = ReportedRevisions(connection)

    def hold(self, *words: str) -> None:
        """For a decision by what is no row of its own, such as how many there are: nobody else decides about these
        words meanwhile, and what they decided before is seen. First in a work: it may begin anew here.
        """
        hold(self._connection, words)

    def together(self) -> AbstractContextManager[None]:
        """For rows that are added one after the other, and of which nothing is read meanwhile: PostgreSQL is waited
        for once. See `certkit.prepared.together`.
        """
        return together(self._connection)

    def roll_back(self) -> None:
        """Undo everything so far: a dry run writes nothing."""
        undo(self._connection)
