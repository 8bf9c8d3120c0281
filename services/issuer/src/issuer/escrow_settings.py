from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from certkit.settings import SourcedSettings

__all__ = ["EscrowKeySettings"]


class EscrowKeySettings(SourcedSettings):
    """All that is needed to make the key, before anything else is there."""

    model_config = SettingsConfigDict(env_prefix="CERTBUS_ESCROW_", extra="ignore")

    state_folder: Path = Field(description="The escrow's private key, mode 0600: back it up, on paper or offline.")
