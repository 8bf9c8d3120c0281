"""Settings of one pusher: which site's load balancers it serves, and how each of them is reached."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from cdn_pusher.domain.probe_names import ProbeAddress
from certcore.names import Label
from certkit.settings import RecipientSettings, RegistrySettings, ServiceSettings

__all__ = ["InstanceSettings", "Settings"]


def _one_word(path: Path) -> Path:
    # These paths stand in runtime commands and in the crt-list, where white space ends a word.
    if any(character.isspace() or character in "#;\\'\"" for character in str(path)):
        raise ValueError("holds a character that HAProxy's commands can't carry")
    return path


def _address(value: str) -> str:
    ProbeAddress.parse(value)
    return value


CommandPath = Annotated[Path, AfterValidator(_one_word)]


class InstanceSettings(BaseModel):
    """One HAProxy. `directory` and `crt_list` are spelled as in its configuration, since it knows files by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Path = Field(description="Its stats socket, at level admin.")
    directory: CommandPath = Field(description="Where its PEM files lie: <directory>/<certificate>.pem.")
    crt_list: CommandPath = Field(description="The crt-list that names them.")
    probe: Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], Field(min_length=1)] = Field(
        description="host:port of each of its TLS listeners; a delivery is proven at all of them."
    )
    master_socket: Path | None = Field(
        default=None, description="Its master's socket; with it, what the runtime API can't take comes by reload."
    )
    command_limit_bytes: int = Field(
        default=16383, ge=1024, description="Longest command that its runtime API takes: tune.bufsize less one."
    )


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_PUSHER_")

    site: Label
    registry: RegistrySettings
    recipient: RecipientSettings
    instances: Annotated[dict[Label, InstanceSettings], Field(min_length=1)]
    reconcile_every_s: Annotated[float, Field(gt=0)] = 60.0
    heartbeat_every_s: Annotated[float, Field(gt=0)] = 15.0
    probe_timeout_s: Annotated[float, Field(gt=0)] = 5.0
