from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from certkit.settings import SourcedSettings

__all__ = ["BackupSettings"]


class BackupSettings(SourcedSettings):
    """Of the registry's settings those that copies need: a host may have nothing else yet."""

    model_config = SettingsConfigDict(env_prefix="CERTBUS_REGISTRY_", extra="ignore")

    database_url: str = Field(description="sqlite:///… or postgresql://…")
    state_folder: Path = Field(description="Where the last anchor is.")
