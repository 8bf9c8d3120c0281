from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from certkit.settings import ServiceSettings
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

    database_url: str = Field(description="sqlite:///… or postgresql://…")
    state_folder: Path = Field(description="Where the first token and the last anchor are put, mode 0600.")
    policy_file: Path | None = Field(
        default=None,
        description="Who may have which name where: docs/policy.md. Read again when it changes. "
        "Without it the policy that was kept last holds; without any, nothing is allowed.",
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
