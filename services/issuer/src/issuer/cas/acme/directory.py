"""The directory of a CA (RFC 8555 §7.1.1): where its endpoints are now, and what it says about itself."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from issuer.cas.acme.problems import problem_of
from issuer.cas.acme.session import AcmeSession
from issuer.domain.errors import AcmeProblemError, CaUnreachableError

__all__ = ["Directory", "DirectoryMeta", "KnownDirectory"]

log = structlog.get_logger()

_FRESH_S: Final = 3600.0
_LOOK_AGAIN_S: Final = 60.0

_Names = Annotated[
    dict[str, str],
    BeforeValidator(
        lambda told: {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}
    ),
]


class DirectoryMeta(BaseModel):
    model_config = ConfigDict(extra="ignore")

    caa_identities: tuple[str, ...] = Field(default=(), alias="caaIdentities")
    profiles: _Names = Field(default_factory=dict)
    terms_of_service: str | None = Field(default=None, alias="termsOfService")
    external_account_required: bool = Field(default=False, alias="externalAccountRequired")


class Directory(BaseModel):
    """`renewal_info` and `revoke_cert` are None where the CA doesn't have them."""

    model_config = ConfigDict(extra="ignore")

    new_nonce: str = Field(alias="newNonce", min_length=1)
    new_account: str = Field(alias="newAccount", min_length=1)
    new_order: str = Field(alias="newOrder", min_length=1)
    revoke_cert: str | None = Field(default=None, alias="revokeCert")
    renewal_info: str | None = Field(default=None, alias="renewalInfo")
    meta: DirectoryMeta = DirectoryMeta()


class KnownDirectory:
    """Read when it is needed, again each hour, and when an endpoint turns out to be gone. While it can't be read
    again, what was read last holds.
    """

    def __init__(self, *, url: str, session: AcmeSession, limit_s: float, monotonic: Callable[[], float]) -> None:
        self._url = url
        self._session = session
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._read: Directory | None = None
        self._good_until = 0.0
        self._reading = asyncio.Lock()

    async def now(self) -> Directory:
        """The directory, not older than an hour if it can be read.

        Raises:
            CaUnreachableError, AcmeProblemError: it never could be read.
        """
        if self._read is not None and self._monotonic() < self._good_until:
            return self._read
        async with self._reading:
            if self._read is None or self._monotonic() >= self._good_until:
                self._read = await self._newest(self._read)
            return self._read

    async def after_gone(self, seen: Directory) -> Directory:
        """The directory read again, as an endpoint of the one that was `seen` is gone."""
        if self._read == seen:
            self._good_until = 0.0
        return await self.now()

    async def _newest(self, before: Directory | None) -> Directory:
        try:
            answer = await self._session.get(self._url, limit_s=self._limit_s)
            if answer.status >= 400:
                raise problem_of(answer)
            read = answer.read(Directory)
        except (AcmeProblemError, CaUnreachableError) as error:
            if before is None:
                raise
            log.warning("directory_not_read", url=self._url, error=str(error))
            self._good_until = self._monotonic() + _LOOK_AGAIN_S
            return before
        self._good_until = self._monotonic() + _FRESH_S
        return read
