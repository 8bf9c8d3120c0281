"""Rows that a certificate is found by, kept in the transaction that stores its intent."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert

from certcore.intent import Intent
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.domain.facts import facts_of

__all__ = ["NEVER", "add_facts", "put_facts"]

NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""When what is served ends where nothing is: such certificates come last."""

_ADD: Final = Prepared(insert(tables.certificate_fact))
_FORGET: Final = Prepared(delete(tables.certificate_fact).where(tables.certificate_fact.c.name == bindparam("of")))


def put_facts(connection: Connection, name: str, intent: Intent) -> None:
    """Have the certificate of this name found by this intent, and by nothing of an earlier one."""
    _FORGET.change(connection, {"of": name})
    add_facts(connection, name, intent)


def add_facts(connection: Connection, name: str, intent: Intent) -> None:
    """Have a new certificate found."""
    facts = sorted(facts_of(name, intent))
    _ADD.change_all(connection, ({"kind": str(kind), "value": value, "name": name} for kind, value in facts))
