from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from certkit.settings import ServiceSettings
from registry.adapters.oidc.metadata import check_url
from registry.domain.alarm import Patience
from registry.domain.budget import Kind, Rate

__all__ = ["LimitSettings", "Settings"]

_PerSecond = Annotated[float, Field(gt=0)]


class LimitSettings(BaseModel):
    """Requests a second of one principal (of one address where a login fails), for as long as it likes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads_per_s: _PerSecond = 500.0
    lists_per_s: _PerSecond = 100.0
    writes_per_s: _PerSecond = 100.0
    services_per_s: _PerSecond = 2000.0
    failed_logins_per_s: _PerSecond = 50.0
    burst_s: Annotated[float, Field(ge=1)] = Field(default=20.0, description="So many seconds' worth at once.")

    def rates(self) -> dict[Kind, Rate]:
        each = {
            Kind.READ: self.reads_per_s,
            Kind.LIST: self.lists_per_s,
            Kind.WRITE: self.writes_per_s,
            Kind.SERVICE: self.services_per_s,
            Kind.STRANGER: self.failed_logins_per_s,
        }
        return {kind: Rate(per_s, max(1.0, per_s * self.burst_s)) for kind, per_s in each.items()}


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_REGISTRY_")

    database_url: str = Field(
        description="sqlite:///… or postgresql://…: the latter for several registries, docs/postgresql.md."
    )
    state_folder: Path = Field(description="Where the first token and the last anchor are put, mode 0600.")
    policy_file: Path | None = Field(
        default=None,
        description="Who may have which name where: docs/policy.md. Read again when it changes. "
        "Without it the policy that was kept last holds; without any, nothing is allowed.",
    )
    backup_folder: Path | None = Field(
        default=None, description="Where `certbus backup` puts copies: it is an alert when the newest is too old."
    )
    backup_max_age_s: Annotated[float, Field(gt=0)] = Field(
        default=26 * 3600.0, description="So old the newest copy in `backup_folder` may be."
    )
    health_sweep_every_s: Annotated[float, Field(gt=0)] = 10.0
    renewal_sweep_every_s: Annotated[float, Field(gt=0)] = 60.0
    anchor_every_s: Annotated[float, Field(gt=0)] = 60.0
    silent_after_s: Annotated[float, Field(gt=0)] = Field(
        default=45.0, description="So long no heartbeat of a service may come: three of them."
    )
    not_ready_after_s: Annotated[float, Field(ge=0)] = Field(
        default=45.0, description="So long a service may not be ready before that is an alert."
    )
    stood_still_after_s: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="So long a process may stand still, by its own clock, before that is an alert."
    )
    watch_every_s: Annotated[float, Field(gt=0)] = Field(
        default=5.0, description="Between two looks for silent services, dead letters and the state of the bus."
    )
    logins_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="Between two times that last uses of tokens, and failed logins, are noted."
    )
    failed_login_delay_s: Annotated[float, Field(ge=0)] = Field(
        default=5.0, description="The longest that the answer to a failed login waits; 0: none does."
    )
    limits: LimitSettings = Field(default=LimitSettings(), description="What one caller may ask for.")
    oidc_issuer: Annotated[str, Field(max_length=255), AfterValidator(check_url)] | None = Field(
        default=None,
        description="The provider by which people sign in: docs/sign-in.md. Without it there are tokens alone.",
    )
    oidc_client_id: str | None = Field(default=None, description="What the provider knows the registry as.")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File with the client's secret; without it it is a public client, by PKCE alone."
    )
    oidc_audience: str | None = Field(
        default=None, description="Whom ID tokens must be for; by default oidc_client_id."
    )
    oidc_ca_file: Path | None = Field(default=None, description="Roots of the provider; by default the system's.")
    oidc_public_url: Annotated[str, AfterValidator(check_url)] | None = Field(
        default=None,
        description="How browsers reach the registry; by default its own URL. The provider is told it with "
        "/oidc/callback behind it.",
    )
    oidc_scope: str = Field(default="openid profile email", description="What is asked of the provider.")
    oidc_groups_claim: str = "groups"
    oidc_subject_claim: str = Field(
        default="sub", description="Who somebody is: it must never pass to another person, so sub is the safe one."
    )
    oidc_name_claim: str = Field(default="name", description="What is shown beside the subject.")
    oidc_session_s: Annotated[float, Field(ge=60, le=7 * 86400)] = Field(
        default=8 * 3600.0,
        description="How long a session lasts, and so the longest that a group which the provider takes away counts.",
    )

    def patience(self) -> Patience:
        """With services that are silent, not ready, or stood still."""
        return Patience(
            silent=timedelta(seconds=self.silent_after_s),
            not_ready=timedelta(seconds=self.not_ready_after_s),
            stood_still=timedelta(seconds=self.stood_still_after_s),
        )

    @model_validator(mode="after")
    def _whole_client(self) -> Self:
        if self.oidc_issuer is not None and not self.oidc_client_id:
            raise ValueError("oidc_client_id is missing beside oidc_issuer")
        if "openid" not in self.oidc_scope.split():
            raise ValueError("oidc_scope must hold openid")
        return self
