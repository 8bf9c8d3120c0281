from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from certkit.settings import ServiceSettings
from registry.domain.alarm import Patience

__all__ = ["Settings"]


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_REGISTRY_")

    database_url: str = Field(description="sqlite:///… or postgresql://…")
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

    def patience(self) -> Patience:
        return Patience(
            silent=timedelta(seconds=self.silent_after_s),
            not_ready=timedelta(seconds=self.not_ready_after_s),
            stood_still=timedelta(seconds=self.stood_still_after_s),
        )
