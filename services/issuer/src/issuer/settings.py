from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from certcore.names import Label
from certkit.settings import RegistrySettings, ServiceSettings, SettingFault
from issuer.adapters.dns_settings import DnsSettings
from issuer.domain.ca_order import ChallengeKind
from issuer.installed_solvers import solver_faults

__all__ = ["CaSettings", "EabSettings", "PolicySettings", "Settings"]

# A union of types, not Any: so a list in an environment variable is read as JSON.
_Value = str | int | float | bool | list[Any] | dict[str, Any]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EabSettings(_Settings):
    """External account binding (RFC 8555 §7.3.4), used once, when the account is made."""

    kid: str
    hmac_key_file: Path = Field(description="File with the MAC key in base64url, as the CA gave it; mode 0600.")


class CaSettings(_Settings):
    name: Label
    directory_url: str
    ca_file: Path | None = Field(default=None, description="Trust roots of the CA's API.")
    challenges: Annotated[tuple[ChallengeKind, ...], Field(min_length=1)] = Field(
        description="In order of preference. Wildcards need dns-01."
    )
    contact: str | None = Field(default=None, description="Mail address that the CA may write to.")
    profile: str | None = Field(
        default=None,
        description="Profile to ask for, where the CA has profiles; that of an issue order goes before it.",
    )
    eab: EabSettings | None = None


class PolicySettings(_Settings):
    """Which CA issues by exposure, where neither the issue order nor the request names one."""

    internal: Label
    public: Label


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_ISSUER_")

    registry: RegistrySettings
    database_url: str = Field(description="sqlite:///… or postgresql://…")
    state_folder: Path = Field(description="Account keys and the escrow key, mode 0600: back it up.")
    cas: Annotated[tuple[CaSettings, ...], Field(min_length=1)]
    policy: PolicySettings
    solvers: dict[Label, dict[str, _Value]] = Field(
        default_factory=dict,
        description="Name of the solver, and its settings: `kind`, `match`, and those of its kind.",
    )
    dns: DnsSettings = DnsSettings()
    workers: Annotated[int, Field(ge=1, le=64)] = Field(default=4, description="Threads that talk to CAs.")
    orders_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often the registry's list of orders is read; events tell of them sooner."
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
        return self

    def faults(self) -> Sequence[SettingFault]:
        return solver_faults(self.solvers, views=self.dns.views, needed={ca.name: ca.challenges for ca in self.cas})
