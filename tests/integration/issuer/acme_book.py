"""An ACME client of the issuer without the issuer: its account is kept in memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from issuer.cas.acme.account_key import AccountSafe, new_account_key
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.settings import CaSettings
from issuer.domain.account import AccountRecord
from issuer.domain.ca_order import ChallengeKind
from tests.acme_ca.calls import Reply, replied
from tests.acme_ca.server import ScriptedCa

__all__ = ["SAFE", "Book", "a_record", "an_order", "client_of", "opened_order"]

SAFE: Final = AccountSafe(bytes(range(32)))


class Book:
    """The part of a journal that a CA needs, and the clock that it reads."""

    def __init__(self) -> None:
        self.record: AccountRecord | None = None
        self.now = 1000.0

    @property
    def url(self) -> str | None:
        return self.record.url if self.record else None

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None:
        del ca, directory_url
        return self.record

    async def keep_account(self, record: AccountRecord) -> AccountRecord:
        self.record = self.record or record
        return self.record

    async def set_account_url(self, ca: str, directory_url: str, url: str) -> None:
        del ca, directory_url
        assert self.record is not None
        self.record = replace(self.record, url=url)


def client_of(scripted: ScriptedCa, folder: Path, *, book: Book, **fields: Any) -> AcmeCa:
    settings = CaSettings(
        **{
            "name": "scripted",
            "directory_url": scripted.directory_url,
            "challenges": (ChallengeKind.HTTP_01,),
            "answer_limit_s": 2.0,
            **fields,
        }
    )
    return AcmeCa(
        settings=settings,
        accounts=book,
        safe=SAFE,
        state_folder=folder,
        monotonic=lambda: book.now,
        jitter=lambda: 0.0,
    )


def a_record(scripted: ScriptedCa, account: str) -> AccountRecord:
    sealed = SAFE.seal(new_account_key(), ca="scripted", directory_url=scripted.directory_url)
    return replace(sealed, url=f"{scripted.url}/account/{account}")


def an_order(scripted: ScriptedCa, status: str = "pending") -> Reply:
    """What is told of an order that isn't in the CA's books."""
    return replied({"status": status, "finalize": f"{scripted.url}/finalize/1", "authorizations": []})


def opened_order(scripted: ScriptedCa) -> Reply:
    return replace(an_order(scripted), status=201).telling(Location=f"{scripted.url}/order/1")
