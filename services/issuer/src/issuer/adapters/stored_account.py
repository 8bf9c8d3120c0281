"""The account's URL as the journal has it, read without changing anything there."""

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from certkit.database import make_engine
from issuer.adapters.account_book import find_account

__all__ = ["no_journal_at", "stored_account_url"]


def no_journal_at(database_url: str) -> str | None:
    """The file that isn't there; None where it is, or where a server has the journal."""
    where = make_url(database_url)
    missing = where.get_backend_name() == "sqlite" and not Path(where.database or "").exists()
    return where.database if missing else None


def stored_account_url(database_url: str, ca: str, directory_url: str) -> str | None:
    """None where the CA hasn't made one yet, and where there is no journal that could tell."""
    if no_journal_at(database_url) is not None:
        return None
    engine = make_engine(database_url, read_only=True)
    try:
        with engine.connect() as connection:
            record = find_account(connection, ca, directory_url)
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
    return record.url if record is not None else None
