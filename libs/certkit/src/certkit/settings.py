"""Settings that every service nests into its own; each comes from the environment or a file, never from import."""

import os
import ssl
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from certcore.bearer import is_bearer
from certcore.errors import SealingError
from certcore.loopback import is_loopback
from certcore.names import Label
from certcore.sealing import RecipientKey
from certkit.tls import TlsFileError, TlsFiles, client_context, server_context

__all__ = [
    "BusSettings",
    "HttpSettings",
    "RecipientSettings",
    "RegistrySettings",
    "ServiceSettings",
    "SettingFault",
    "SourcedSettings",
    "TelemetrySettings",
    "faults_of",
    "load_settings",
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _plain_text_fault(host: str, *, allowed: bool) -> str | None:
    """Why plain text may not be used with a host; None where it was asked for and never leaves the machine."""
    if not is_loopback(host):
        return f"plain text is only for loopback addresses, and {host or 'this'} is none"
    return None if allowed else "or, at this loopback address, set plain_text = true beside it"


def _peer(url: str, info: ValidationInfo, *, tls: str, plain: str) -> str:
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        scheme, host = "", None
    if not host or scheme not in {tls, plain}:
        raise ValueError(f"must be a URL of the form {tls}://HOST")
    fault = _plain_text_fault(host, allowed=info.data.get("plain_text", False)) if scheme == plain else None
    if fault is not None:
        raise ValueError(f"{plain}:// sends everything in plain text: give {tls}://…; {fault}")
    return url


def _bus_url(url: str, info: ValidationInfo) -> str:
    return _peer(url, info, tls="tls", plain="nats")


def _http_url(url: str, info: ValidationInfo) -> str:
    return _peer(url, info, tls="https", plain="http")


def _served(certificate: Path | None, info: ValidationInfo) -> Path | None:
    host = info.data.get("host", "")
    if certificate is None and (fault := _plain_text_fault(host, allowed=info.data.get("plain_text", False))):
        raise ValueError(f"without it everything is served in plain text: give a certificate and its key; {fault}")
    return certificate


def _paired(key: Path | None, info: ValidationInfo) -> Path | None:
    if "certificate_file" in info.data and (key is None) != (info.data["certificate_file"] is None):
        raise ValueError("certificate_file and key_file belong together: give both or none")
    return key


PlainText = Annotated[bool, Field(description="Do without TLS. Only with a loopback address.")]
ClientCertificate = Annotated[
    Path | None, Field(description="Own certificate in PEM, for a server that asks for one.")
]
Key = Annotated[
    Path | None,
    AfterValidator(_paired),
    Field(validate_default=True, description="Key of certificate_file in PEM, without a passphrase; mode 0600."),
]


class BusSettings(_Settings):
    """How a process reaches the broker. The handshake comes first: the broker needs `handshake_first` too."""

    # The order counts: a field is checked against those before it.
    plain_text: PlainText = False
    url: Annotated[str, AfterValidator(_bus_url), Field(validate_default=True)] = "tls://127.0.0.1:4222"
    identity: str = Field(description="Name of this connection; its inbox is _INBOX.<identity>.")
    nkey_seed_file: Path | None = Field(default=None, description="File with the NKey seed, mode 0600.")
    ca_file: Path | None = Field(default=None, description="Trust roots of the broker; by default the system's.")
    certificate_file: ClientCertificate = None
    key_file: Key = None
    monitor_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        default=None, description="The broker's monitoring, for its /healthz: https://127.0.0.1:8222."
    )

    def tls_context(self) -> ssl.SSLContext | None:
        """None where the connection is plain text.

        Raises:
            TlsFileError: a file can't be used.
        """
        return None if urlsplit(self.url).scheme == "nats" else self._client_context()

    def monitor_tls_context(self) -> ssl.SSLContext | None:
        """As `tls_context`, for the monitoring."""
        return None if urlsplit(self.monitor_url or "").scheme == "http" else self._client_context()

    def _client_context(self) -> ssl.SSLContext:
        return client_context(TlsFiles(self.certificate_file, self.key_file, self.ca_file))


class HttpSettings(_Settings):
    plain_text: PlainText = False
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    ca_file: Path | None = Field(
        default=None, description="Roots of clients: with it, each must show a certificate, also for /healthz."
    )
    certificate_file: Annotated[
        Path | None,
        AfterValidator(_served),
        Field(validate_default=True, description="Certificate with its chain in PEM, leaf first."),
    ] = None
    key_file: Key = None

    @property
    def url(self) -> str:
        return f"{'http' if self.certificate_file is None else 'https'}://{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """As `BusSettings.tls_context`."""
        if self.certificate_file is None:
            return None
        return server_context(TlsFiles(self.certificate_file, self.key_file, self.ca_file))


class RegistrySettings(_Settings):
    """How a service reaches the registry's API."""

    plain_text: PlainText = False
    url: Annotated[str, AfterValidator(_http_url), Field(validate_default=True)] = "https://127.0.0.1:8400"
    token_file: Path = Field(description="File with this service's API token, mode 0600.")
    ca_file: Path | None = Field(default=None, description="Trust roots of the registry; by default the system's.")
    certificate_file: ClientCertificate = None
    key_file: Key = None

    def tls_context(self) -> ssl.SSLContext | None:
        """As `BusSettings.tls_context`."""
        if urlsplit(self.url).scheme == "http":
            return None
        return client_context(TlsFiles(self.certificate_file, self.key_file, self.ca_file))


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


class SourcedSettings(BaseSettings):
    """Where each process's settings come from: environment first, then the TOML file that CERTBUS_CONFIG_FILE names.

    A subclass sets `env_prefix`; nested fields are reached by two underscores: CERTBUS_ISSUER_BUS__URL.
    """

    CONFIG_FILE: ClassVar = "CERTBUS_CONFIG_FILE"

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid", frozen=True)

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


class ServiceSettings(SourcedSettings):
    """Base of the settings of each service on the bus."""

    bus: BusSettings
    http: HttpSettings
    telemetry: TelemetrySettings = TelemetrySettings()


def _unusable_files(settings: SourcedSettings) -> Iterator[SettingFault]:
    for name in type(settings).model_fields:
        part = getattr(settings, name)
        if isinstance(part, BusSettings | HttpSettings | RegistrySettings):
            try:
                part.tls_context()
            except TlsFileError as error:
                yield SettingFault((name, error.role), str(error))
        if isinstance(part, RegistrySettings):
            try:
                token = part.token_file.read_text(encoding="ascii", errors="replace").strip()
            except OSError as error:
                yield SettingFault((name, "token_file"), f"{part.token_file}: can't be read: {error.strerror}")
            else:
                if not is_bearer(token):
                    yield SettingFault((name, "token_file"), f"{part.token_file}: holds no token: one line, as given")
        if isinstance(part, RecipientSettings):
            try:
                RecipientKey.load(part.name, part.key_file)
            except OSError as error:
                yield SettingFault((name, "key_file"), f"{part.key_file}: can't be read: {error.strerror}")
            except SealingError as error:
                yield SettingFault((name, "key_file"), str(error))


SettingsT = TypeVar("SettingsT", bound=SourcedSettings)


def load_settings(kind: type[SettingsT]) -> SettingsT:
    """Read the settings of a process, or leave it with exit code 2 and a line for each field at fault."""
    if file := os.environ.get(kind.CONFIG_FILE):
        try:
            tomllib.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else f"is no TOML: {error}"
            print(f"{kind.CONFIG_FILE} {file}: {problem}", file=sys.stderr)  # noqa: T201 # as below
            sys.exit(2)
    try:
        settings = kind()
    except ValidationError as error:
        faults: Sequence[SettingFault] = faults_of(error)
    else:
        faults = [*settings.faults(), *_unusable_files(settings)]
        if not faults:
            return settings
    prefix = kind.model_config.get("env_prefix", "")
    for fault in faults:
        field = ".".join(fault.field)
        variable = prefix + "__".join(fault.field).upper()
        message = f"setting {field}: {fault.problem} (set {variable}, or {field} in ${kind.CONFIG_FILE})"
        print(message, file=sys.stderr)  # noqa: T201 # logging isn't set up yet
    sys.exit(2)
