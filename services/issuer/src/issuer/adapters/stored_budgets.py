"""What is left of the CAs' limits as the journal has it, read without changing anything there."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.play import BudgetState
from certcore.errors import TransientError
from certkit.database import make_engine
from issuer.adapters.ledger import Ledger

__all__ = ["stored_budgets"]


def stored_budgets(database_url: str, cas: Iterable[AskedCa], now: datetime) -> BudgetState:
    """
    Raises:
        TransientError: there is no journal, it can't be read now, or it is one of an earlier version.
    """
    ledger, where = Ledger(cas), make_url(database_url)
    if where.get_backend_name() == "sqlite" and not Path(where.database or "").exists():
        raise TransientError(f"there is no journal at {where.database}")
    engine = make_engine(database_url, read_only=True)
    try:
        with engine.connect() as connection:
            return ledger.state(connection, ledger.cas, now)
    except SQLAlchemyError as error:
        # Its text may have the address and how to log in.
        raise TransientError(f"the journal can't be read: {type(error).__name__}") from None
    finally:
        engine.dispose()
