from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from certkit.settings import HttpSettings, RegistrySettings, SourcedSettings, TelemetrySettings

__all__ = ["EscrowKeySettings", "EscrowSettings"]


class EscrowKeySettings(SourcedSettings):
    """All that is needed to make the key, before anything else is there."""

    model_config = SettingsConfigDict(env_prefix="CERTBUS_ESCROW_", extra="ignore")

    state_folder: Path = Field(description="The escrow's private key, mode 0600: back it up, on paper or offline.")


class EscrowSettings(EscrowKeySettings):
    """It is no service of the bus: it reaches the registry, and nothing else."""

    model_config = SettingsConfigDict(env_prefix="CERTBUS_ESCROW_", extra="forbid")

    http: HttpSettings
    registry: RegistrySettings
    telemetry: TelemetrySettings = TelemetrySettings()
    heartbeat_every_s: Annotated[float, Field(gt=0)] = 15.0
    reseal_every_s: Annotated[float, Field(gt=0)] = Field(
        default=30.0, description="How often the registry is asked what is to be sealed again."
    )
