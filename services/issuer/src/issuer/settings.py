from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from certcore.names import Label
from certkit.settings import RegistrySettings, ServiceSettings
from issuer.cas.acme.settings import CaSettings
from issuer.domain.ca_order import ChallengeKind

__all__ = ["ChalltestsrvSettings", "Http01Settings", "PolicySettings", "Settings"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicySettings(_Settings):
    """Which CA issues by exposure, where neither the issue order nor the request names one."""

    internal: Label
    public: Label


class Http01Settings(_Settings):
    """Where the http-01 responder listens; the names' port 80 has to lead there."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5002


class ChalltestsrvSettings(_Settings):
    """DNS of pebble-challtestsrv, through its management API."""

    kind: Literal["challtestsrv"] = "challtestsrv"
    url: str


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_ISSUER_")

    registry: RegistrySettings
    database_url: str = Field(description="sqlite:///… or postgresql://…")
    state_folder: Path = Field(description="The journal's key and the escrow key, mode 0600: back it up.")
    journal_key_file: Path | None = Field(
        default=None,
        description="File with 32 bytes in base64url, mode 0600, that seal the account keys in the journal. By"
        " default `journal.key` in the state folder, made where there is none. Issuers on one PostgreSQL journal are"
        " given the same file.",
    )
    cas: Annotated[tuple[CaSettings, ...], Field(min_length=1)]
    policy: PolicySettings
    http01: Http01Settings = Http01Settings()
    dns: ChalltestsrvSettings | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Four jobs each are under way at once."
    )
    orders_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often the registry's list of orders is read; events tell of them sooner."
    )
    orphans_every_s: Annotated[float, Field(gt=0)] = Field(
        default=300.0, description="How often orders that were given up are tidied up at their CA."
    )
    heartbeat_every_s: Annotated[float, Field(gt=0)] = 15.0
    order_patience_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0,
        description="A CA that answers, but not about one order, for this long has lost that order.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [ca.name for ca in self.cas]
        if len(set(names)) < len(names):
            raise ValueError("cas: two CAs have one name")
        for exposure, ca in (("internal", self.policy.internal), ("public", self.policy.public)):
            if ca not in names:
                raise ValueError(f"policy.{exposure}: there is no CA named {ca}")
        if self.dns is None and any(ChallengeKind.DNS_01 in ca.challenges for ca in self.cas):
            raise ValueError("dns: a CA uses dns-01, so this must say how records are set")
        return self
