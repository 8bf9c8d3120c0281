"""dns-01 by acme-dns: each name has an account there, and a CNAME that its owner sets once leads to it.

acme-dns keeps the last two values of an account, which is enough for a name and its wildcard. It deletes none.
"""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from certcore.private_files import replace_private
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.service_url import ServiceUrl
from issuer.domain.solver import DnsSolverSettings, RunningSolver, SolverContext, SolverDriver

__all__ = ["DRIVER", "AcmeDnsSettings", "AcmeDnsSolver"]


class AcmeDnsSettings(DnsSolverSettings):
    kind: Literal["acme-dns"] = "acme-dns"
    url: ServiceUrl
    accounts_file: Path = Field(
        description="Accounts by name, as other clients keep them too; written at a registration, mode 0600."
    )
    ca_file: Path | None = Field(default=None, description="Trust roots; by default the system's.")
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0


class _Account(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    username: str
    password: str = Field(repr=False)
    fulldomain: str
    subdomain: str


_ACCOUNTS = TypeAdapter(dict[str, _Account])


class AcmeDnsSolver:
    def __init__(self, settings: AcmeDnsSettings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context
        self._turn = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(
            base_url=str(self._settings.url),
            timeout=self._settings.timeout_s,
            trust_env=False,
            verify=ssl.create_default_context(cafile=self._settings.ca_file),
            headers={"user-agent": self._context.user_agent},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        accounts = [await self._account(record.identifier) for record in records]
        # Everybody who has to do something is told at once.
        wanted = [await self._missing_cname(*pair) for pair in zip(records, accounts, strict=True)]
        if any(wanted):
            raise SolverError(f"the DNS owner must set: {'; '.join(sorted(filter(None, set(wanted))))}")
        for record, account in zip(records, accounts, strict=True):
            headers = {"X-Api-User": account.username, "X-Api-Key": account.password}
            body = {"subdomain": account.subdomain, "txt": record.record_value}
            await self._post("update", json=body, headers=headers)

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:
        return await self._context.dns.propagated(records, views=self._settings.views)

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        """The next values take the place of these."""

    async def _missing_cname(self, record: ChallengeRecord, account: _Account) -> str | None:
        at = await self._context.dns.followed(record.record_name, views=self._settings.views)
        wanted = account.fulldomain.rstrip(".").lower()
        return None if at.lower() == wanted else f"{record.record_name}. CNAME {wanted}."

    async def _account(self, identifier: str) -> _Account:
        """The account of a name; registered, and kept before it is used, where there is none."""
        async with self._turn:
            accounts = await asyncio.to_thread(self._read)
            if identifier not in accounts:
                response = await self._post("register")
                try:
                    accounts[identifier] = _Account.model_validate_json(response.content)
                except ValidationError:
                    raise SolverError(f"{self._settings.url.host} answered no account that can be read") from None
                await asyncio.to_thread(self._write, accounts)
            return accounts[identifier]

    async def _post(
        self, path: str, *, json: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        if self._client is None:
            raise SolverError("the solver is not running")
        try:
            response = await self._client.post(path, json=json, headers=headers)
        except httpx.HTTPError as error:
            raise SolverError(f"{self._settings.url.host}: {path}: {type(error).__name__}") from error
        if not response.is_success:
            raise SolverError(f"{self._settings.url.host}: {path} was answered with {response.status_code}")
        return response

    def _read(self) -> dict[str, _Account]:
        file = self._settings.accounts_file
        try:
            return _ACCOUNTS.validate_json(file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SolverError(f"{file}: {error.strerror}") from error
        except ValidationError:
            raise SolverError(f"{file} can't be read as accounts of acme-dns") from None

    def _write(self, accounts: dict[str, _Account]) -> None:
        file = self._settings.accounts_file
        try:
            replace_private(file, _ACCOUNTS.dump_json(accounts, indent=2))
        except OSError as error:
            raise SolverError(f"{file}: {error.strerror}") from error


class AcmeDnsDriver:
    kind = "acme-dns"
    settings = AcmeDnsSettings

    def proves(self, settings: AcmeDnsSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_01

    def build(self, settings: AcmeDnsSettings, context: SolverContext) -> RunningSolver:
        return AcmeDnsSolver(settings, context)


DRIVER: SolverDriver[AcmeDnsSettings] = AcmeDnsDriver()
