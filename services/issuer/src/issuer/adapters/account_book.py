"""The accounts at CAs, each with its key: one for all hosts that share the journal."""

from typing import Final

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from issuer.adapters.tables import account
from issuer.domain.account import AccountRecord

__all__ = ["find_account", "keep_account", "set_account_url"]

_IS_ACCOUNT: Final = and_(account.c.ca == bindparam("of_ca"), account.c.directory_url == bindparam("of_directory"))
_FIND: Final = select(account).where(_IS_ACCOUNT)
_UPDATE: Final = update(account).where(_IS_ACCOUNT)
# Of an earlier version, which kept the key in a file.
_COMPLETE: Final = _UPDATE.where(account.c.key_thumbprint.is_(None))


def find_account(connection: Connection, ca: str, directory_url: str) -> AccountRecord | None:
    row = connection.execute(_FIND, _named(ca, directory_url)).one_or_none()
    if row is None or row.key_thumbprint is None or row.sealed_key is None:
        return None
    return AccountRecord(row.ca, row.directory_url, row.key_thumbprint, row.sealed_key, row.url)


def keep_account(connection: Connection, record: AccountRecord) -> AccountRecord:
    """The record as it is stored now. Of two that are kept at once the first counts; a row that has a URL and no key
    yet gets the key, and keeps its URL where the record has none.
    """
    known = find_account(connection, record.ca, record.directory_url)
    if known is not None:
        return known
    key = {"key_thumbprint": record.key_thumbprint, "sealed_key": record.sealed_key}
    url = {"url": record.url} if record.url is not None else {}
    named = _named(record.ca, record.directory_url)
    if connection.execute(_COMPLETE, {**named, **key, **url}).rowcount == 0:
        identity = {"ca": record.ca, "directory_url": record.directory_url, "url": record.url}
        connection.execute(insert(account), {**identity, **key})
    return find_account(connection, record.ca, record.directory_url) or record


def set_account_url(connection: Connection, ca: str, directory_url: str, url: str) -> None:
    connection.execute(_UPDATE, {**_named(ca, directory_url), "url": url})


def _named(ca: str, directory_url: str) -> dict[str, str]:
    return {"of_ca": ca, "of_directory": directory_url}
