"""The one place that builds what a revocation by command needs: the journal, and the CAs by it."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from certcore.clock import system_clock
from certcore.errors import PermanentError
from certkit.transactions import Database
from issuer.adapters.crl_book import CrlBook
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_key import journal_key
from issuer.adapters.leaf_book import LeafBook
from issuer.adapters.stored_account import no_journal_at, stored_account_url
from issuer.cas.acme.account_key import AccountSafe
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.sibling import forgotten_ca
from issuer.domain.crl import publishing
from issuer.handlers.crls import Crls
from issuer.handlers.revocations import AskedCa, Revocations
from issuer.settings import Settings
from issuer.signing_kinds import made

__all__ = ["revoking"]

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_WORKER: Final = "revoke"
"""It leases no job."""


@asynccontextmanager
async def revoking(settings: Settings, *, own_key: bool) -> AsyncIterator[tuple[Journal, Revocations]]:
    """
    Raises:
        PermanentError: there is no such journal, or its schema or its key isn't that of this issuer.
    """
    missing = no_journal_at(settings.database_url)
    if missing is not None:
        raise PermanentError(f"there is no journal at {missing}: run this with the issuer's own settings")
    async with AsyncExitStack() as stack:
        database = JournalDatabase(Database(settings.database_url, metrics=CollectorRegistry()))
        await stack.enter_async_context(database)
        if not await database.is_newest(_MIGRATIONS):
            raise PermanentError("the journal is of another version than this issuer: start the issuer first")
        journal = Journal(database=database, worker=_WORKER, clock=system_clock)
        signing = made(settings.signing_cas)
        yield (
            journal,
            Revocations(
                journal=journal,
                leaves=LeafBook(database),
                acme=await _acme(settings, journal, stack, own_key=own_key),
                signing=signing,
                crls=Crls(cas=publishing(signing), book=CrlBook(database), clock=system_clock),
                clock=system_clock,
            ),
        )


async def _acme(
    settings: Settings, journal: Journal, stack: AsyncExitStack, *, own_key: bool
) -> Mapping[str, AskedCa]:
    accounts = {
        ca.name: stored_account_url(settings.database_url, ca.name, ca.directory_url) for ca in settings.acme_cas
    }
    safe = _safe(settings, needed=not own_key and any(accounts.values()))
    asked = {}
    for ca in settings.acme_cas:
        # By its own key a certificate is revoked without an account.
        client = (
            forgotten_ca(ca)
            if own_key
            else AcmeCa(settings=ca, accounts=journal, safe=safe, state_folder=settings.state_folder)
        )
        entered = await stack.enter_async_context(client)
        asked[ca.name] = AskedCa(entered, ca.directory_url, has_account=accounts[ca.name] is not None)
    return asked


def _safe(settings: Settings, *, needed: bool) -> AccountSafe:
    """Opens the accounts of the journal. The key is never made here."""
    if not needed:
        return AccountSafe(os.urandom(32))
    return AccountSafe(journal_key(settings.journal_key_file, state_folder=settings.state_folder, shared=True))
