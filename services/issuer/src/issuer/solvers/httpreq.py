"""dns-01 by somebody's HTTP service, as lego's provider `httpreq` asks it: POST …/present and …/cleanup."""

import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

import httpx
from pydantic import Field, model_validator

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import SolverError
from issuer.domain.service_url import ServiceUrl
from issuer.domain.solver import DnsSolverSettings, RunningSolver, SolverContext, SolverDriver
from issuer.txt_solver import TxtSolver

__all__ = ["DRIVER", "HttpReqService", "HttpReqSettings"]


class HttpReqSettings(DnsSolverSettings):
    kind: Literal["httpreq"] = "httpreq"
    endpoint: ServiceUrl
    username: str | None = None
    password_file: Path | None = Field(default=None, description="Password of `username`; mode 0600.")
    ca_file: Path | None = Field(default=None, description="Trust roots; by default the system's.")
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 30.0
    at_once: Annotated[int, Field(ge=1, le=64)] = 8

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together: give both or none")
        return self


class HttpReqService:
    def __init__(self, settings: HttpReqSettings, *, user_agent: str) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Read the password.

        Raises:
            OSError: its file can't be read.
        """
        settings = self._settings
        auth: httpx.BasicAuth | None = None
        if settings.username is not None and settings.password_file is not None:
            auth = httpx.BasicAuth(settings.username, settings.password_file.read_text().strip())
        self._client = httpx.AsyncClient(
            base_url=str(settings.endpoint),
            auth=auth,
            timeout=settings.timeout_s,
            trust_env=False,
            verify=ssl.create_default_context(cafile=settings.ca_file),
            headers={"user-agent": self._user_agent},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def add(self, name: str, value: str) -> None:
        await self._post("present", name, value)

    async def remove(self, name: str, value: str) -> None:
        await self._post("cleanup", name, value)

    async def _post(self, action: str, name: str, value: str) -> None:
        if self._client is None:
            raise SolverError("the solver is not running")
        asked = f"{self._settings.endpoint.host}: {action} of {name}"
        try:
            response = await self._client.post(action, json={"fqdn": f"{name}.", "value": value})
        except httpx.HTTPError as error:
            raise SolverError(f"{asked}: {type(error).__name__}") from error
        if not response.is_success:
            raise SolverError(f"{asked} was answered with {response.status_code}")


class HttpReqDriver:
    kind = "httpreq"
    settings = HttpReqSettings

    def proves(self, settings: HttpReqSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_01

    def build(self, settings: HttpReqSettings, context: SolverContext) -> RunningSolver:
        service = HttpReqService(settings, user_agent=context.user_agent)
        return TxtSolver(service, context, views=settings.views, at_once=settings.at_once)


DRIVER: SolverDriver[HttpReqSettings] = HttpReqDriver()
