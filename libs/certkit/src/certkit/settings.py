"""Settings that every service nests into its own; each comes from the environment or a file, never from import."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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
    "SettingFault",
    "TelemetrySettings",
    "faults_of",
    "load_settings",
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BusSettings(_Settings):
    url: str = "nats://127.0.0.1:4222"
    identity: str = Field(description="Name of this connection; its inbox is _INBOX.<identity>.")
    nkey_seed_file: Path | None = Field(default=None, description="File with the NKey seed, mode 0600.")
    ca_file: Path | None = Field(default=None, description="Trust roots of the broker, for tls:// URLs.")
    monitor_url: str | None = Field(
        default=None, description="The broker's HTTP monitoring, for its /healthz: http://127.0.0.1:8222."
    )


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
    trace_file_mib: Annotated[int, Field(gt=0)] = Field(
        default=64, description="At this size a new trace file is begun; one older file is kept beside it."
    )


@dataclass(frozen=True)
class SettingFault:
    field: tuple[str, ...]
    problem: str


def faults_of(error: ValidationError, *under: str) -> list[SettingFault]:
    """What a settings model refuses; `under` is where it stands in the settings as a whole."""
    return [
        SettingFault((*under, *map(str, item["loc"])), item["msg"])
        for item in error.errors(include_url=False, include_input=False)
    ]


class ServiceSettings(BaseSettings):
    """Base of each service's settings: environment first, then the TOML file that CERTBUS_CONFIG_FILE names.

    A subclass sets `env_prefix`; nested fields are reached by two underscores: CERTBUS_ISSUER_BUS__URL.
    """

    CONFIG_FILE: ClassVar = "CERTBUS_CONFIG_FILE"

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid", frozen=True)

    bus: BusSettings
    http: HttpSettings
    telemetry: TelemetrySettings = TelemetrySettings()

    def faults(self) -> Sequence[SettingFault]:
        """What is wrong with settings whose model another package has, as a driver does."""
        return ()

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
        settings = kind()
    except ValidationError as error:
        faults: Sequence[SettingFault] = faults_of(error)
    else:
        faults = settings.faults()
        if not faults:
            return settings
    prefix = kind.model_config.get("env_prefix", "")
    for fault in faults:
        field = ".".join(fault.field)
        variable = prefix + "__".join(fault.field).upper()
        message = f"setting {field}: {fault.problem} (set {variable}, or {field} in ${kind.CONFIG_FILE})"
        print(message, file=sys.stderr)  # noqa: T201 # logging isn't set up yet
    sys.exit(2)
