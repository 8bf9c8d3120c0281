"""A CA's sibling for tests, asked by an account that nobody keeps."""

import os
from pathlib import Path

from issuer.cas.acme.account_key import AccountSafe, new_account_key
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.presets import PRESETS
from issuer.cas.acme.settings import CaSettings
from issuer.domain.account import AccountRecord

__all__ = ["forgotten_ca", "sibling_of"]


class _Forgotten:
    """Is an AccountBook with one account, for as long as it lives."""

    def __init__(self, record: AccountRecord) -> None:
        self._record = record

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None:  # noqa: ARG002 # it has one
        return self._record

    async def keep_account(self, record: AccountRecord) -> AccountRecord:  # noqa: ARG002 # it is kept already
        return self._record

    async def set_account_url(self, ca: str, directory_url: str, url: str) -> None:
        """It is asked for once, and remembered by who asks."""


def sibling_of(ca: CaSettings) -> CaSettings | None:
    """The settings of the CA's sibling for tests, which may be the CA itself; None where none is known."""
    preset = PRESETS.get(ca.preset or "")
    sibling = PRESETS[preset.sibling] if preset is not None and preset.sibling is not None else None
    url = ca.sibling_url or (sibling.directory_urls[0] if sibling is not None else None)
    if url is None:
        return None
    # A binding is of the CA that gave it.
    return ca.model_copy(update={"directory_url": url, "eab": None, "profile": None, "preferred_chain": None})


def forgotten_ca(settings: CaSettings) -> AcmeCa:
    """The CA; the account that it is given, once it needs one, ends with this process."""
    safe = AccountSafe(os.urandom(32))
    record = safe.seal(new_account_key(), ca=settings.name, directory_url=settings.directory_url)
    # A book that has the account looks for no key of an earlier version.
    return AcmeCa(settings=settings, accounts=_Forgotten(record), safe=safe, state_folder=Path(os.devnull))
