"""Settings that every service nests into its own; each comes from the environment or a file, never from import."""

import os
import sys
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from certcore.names import Label

__all__ = [
    "BusSettings",
    "HttpSettings",
    "RecipientSettings",
    "RegistrySettings",
    "ServiceSettings",
    "TelemetrySettings",
    "load_settings",
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BusSettings(_Settings):
    url: str = "nats://127.0.0.1:4222"
    identity: str = Field(description="Name of this connection; its inbox is _INBOX.<identity>.")
    nkey_seed_file: Path | None = Field(default=None, description="File with the NKey seed, mode 0600.")
    ca_file: Path | None = Field(default=None, description="Trust roots of the broker, for tls:// URLs.")


class HttpSettings(_Settings):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400


class RegistrySettings(_Settings):
    """How a service reaches the registry's API."""

    url: str = "http://127.0.0.1:8400"
    token_file: Path = Field(description="File with this service's API token, mode 0600.")
    ca_file: Path | None = None


class RecipientSettings(_Settings):
    """The HPKE key by which this service opens what is sealed to it."""

    name: Label
    key_file: Path


class TelemetrySettings(_Settings):
    """Traces leave the process only where one of the two is set."""

    log_level: str = "info"
    otlp_endpoint: str | None = Field(default=None, description="OTLP/HTTP traces endpoint, …/v1/traces.")
    trace_file: Path | None = Field(default=None, description="Spans as JSON lines.")


class ServiceSettings(BaseSettings):
    """Base of each service's settings: environment first, then the TOML file that CERTBUS_CONFIG_FILE names.

    A subclass sets `env_prefix`; nested fields are reached by two underscores: CERTBUS_ISSUER_BUS__URL.
    """

    CONFIG_FILE: ClassVar = "CERTBUS_CONFIG_FILE"

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid", frozen=True)

    bus: BusSettings
    http: HttpSettings
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 # the base class hands it over
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 # as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(cls.CONFIG_FILE)
        from_file = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *from_file)


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def load_settings(kind: type[SettingsT]) -> SettingsT:
    """Read the settings of a process, or leave it with exit code 2 and a line for each field at fault."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for item in error.errors(include_url=False, include_input=False):
            field = ".".join(map(str, item["loc"]))
            variable = prefix + "__".join(map(str, item["loc"])).upper()
            message = f"setting {field}: {item['msg']} (set {variable}, or {field} in ${kind.CONFIG_FILE})"
            print(message, file=sys.stderr)  # noqa: T201 # logging isn't set up yet
        sys.exit(2)
