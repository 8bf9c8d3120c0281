"""The account at a CA: its key from the journal, and its URL from the CA (RFC 8555 §7.3)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog
from acme import messages
from josepy.jwk import JWKEC

from certcore.errors import PermanentError
from issuer.cas.acme.account_key import AccountSafe, key_of_earlier_version, new_account_key
from issuer.cas.acme.answer import Answer
from issuer.cas.acme.directory import KnownDirectory
from issuer.cas.acme.jws import PrivateKey, SigningKey
from issuer.cas.acme.settings import CaSettings, EabSettings
from issuer.cas.acme.signed_calls import SignedCalls
from issuer.domain.account import AccountRecord
from issuer.domain.errors import AcmeProblemError, CaUnreachableError

__all__ = ["Account", "AccountBook", "AcmeAccount"]

log = structlog.get_logger()

_BETWEEN_REGISTRATIONS_S: Final = 600.0


class AccountBook(Protocol):
    """Keeps the account at each CA's directory, one for all issuers that share it."""

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None: ...

    async def keep_account(self, record: AccountRecord) -> AccountRecord:
        """Store it, or return the one that another issuer stored first."""
        ...

    async def set_account_url(self, ca: str, directory_url: str, url: str) -> None: ...


@dataclass(frozen=True)
class Account:
    url: str
    key: SigningKey


class AcmeAccount:
    """The key is stored before the CA hears of it: whoever asks with a known key is told the account that it has, so
    that a crash before the URL was stored is harmless.
    """

    def __init__(
        self,
        *,
        settings: CaSettings,
        book: AccountBook,
        safe: AccountSafe,
        state_folder: Path,
        calls: SignedCalls,
        directory: KnownDirectory,
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._book = book
        self._safe = safe
        self._state_folder = state_folder
        self._calls = calls
        self._directory = directory
        self._monotonic = monotonic
        self._key: SigningKey | None = None
        self._url: str | None = None
        self._lock = asyncio.Lock()
        self._registered_again_at: float | None = None

    async def load(self) -> SigningKey:
        """The account's key, made at the first call of all.

        Raises:
            PermanentError: the key that is stored can't be opened, or is another one than stored.
        """
        if self._key is None:
            async with self._lock:
                await self._load()
        if self._key is None:
            raise AssertionError("loaded above")
        return self._key

    async def registered(self) -> Account:
        """The account; it is made where there is none."""
        key = await self.load()
        if self._url is None:
            async with self._lock:
                if self._url is None:
                    await self._register(key)
        return Account(self._url or "", key)

    async def registered_again(self, forgotten: Account) -> Account | None:
        """The account after the CA said that it doesn't have it; None where it was made again not long ago, and the
        CA has said so ever since.
        """
        async with self._lock:
            stored = await self._load()
            if self._url == forgotten.url and stored.url not in {None, forgotten.url}:
                # Another issuer was quicker.
                self._url = stored.url
            elif self._url == forgotten.url:
                last, now = self._registered_again_at, self._monotonic()
                if last is not None and now - last < _BETWEEN_REGISTRATIONS_S:
                    return None
                log.warning("account_forgotten_by_ca", ca=self._settings.name, account=forgotten.url)
                await self._register(forgotten.key)
                # Not before: where the answer to that got lost, it is asked again.
                self._registered_again_at = now
            return Account(self._url or "", forgotten.key)

    def is_known(self) -> None:
        """The CA did something for the account: should it be forgotten from now on, it is made again at once."""
        self._registered_again_at = None

    async def _load(self) -> AccountRecord:
        ca, directory_url = self._settings.name, self._settings.directory_url
        record = await self._book.account(ca, directory_url)
        if record is None:
            kept = key_of_earlier_version(self._state_folder, ca=ca, directory_url=directory_url)
            sealed = self._safe.seal(kept or new_account_key(), ca=ca, directory_url=directory_url)
            record = await self._book.keep_account(sealed)
            log.info("account_key_stored", ca=ca, thumbprint=record.key_thumbprint, from_file=kept is not None)
        if self._key is None:
            self._key = self._safe.open(record)
            self._url = record.url
        elif self._key.thumbprint != record.key_thumbprint:
            raise PermanentError(f"the journal's account key of CA {ca} was changed while the issuer ran")
        return record

    async def _register(self, key: SigningKey) -> None:
        ca = self._settings.name
        url = await self._new_account(key)
        await self._book.set_account_url(ca, self._settings.directory_url, url)
        self._url = url
        log.info("account_registered", ca=ca, account=url)

    async def _new_account(self, key: SigningKey) -> str:
        fields: dict[str, object] = {"terms_of_service_agreed": True}
        if self._settings.contact is not None:
            fields["contact"] = (f"mailto:{self._settings.contact}",)
        if self._settings.eab is not None:
            endpoint = (await self._directory.now()).new_account
            fields["external_account_binding"] = _binding(key.private_key, self._settings.eab, endpoint)
        payload = json.dumps(messages.NewRegistration(**fields).to_json()).encode()
        try:
            answer = await self._calls.at_endpoint(
                lambda directory: directory.new_account,
                payload,
                key=key,
                account=None,
                limit_s=self._settings.work_limit_s,
            )
        except AcmeProblemError as problem:
            if problem.status == 409 and problem.location:
                return problem.location
            raise
        return _where(answer)


def _where(answer: Answer) -> str:
    if not answer.location:
        raise CaUnreachableError(f"{answer.url} made an account and doesn't say where")
    return answer.location


def _binding(key: PrivateKey, eab: EabSettings, endpoint: str) -> dict[str, object]:
    try:
        bound: dict[str, object] = messages.ExternalAccountBinding.from_data(
            account_public_key=JWKEC(key=key.public_key()),
            kid=eab.kid,
            hmac_key=eab.hmac_key_file.read_text().strip(),
            directory=messages.Directory({"newAccount": endpoint}),
            hmac_alg=eab.algorithm,
        )
    except OSError as error:
        raise PermanentError(f"hmac_key_file {eab.hmac_key_file}: {error.strerror}") from None
    return bound
