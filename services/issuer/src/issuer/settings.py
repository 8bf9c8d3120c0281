from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from certcore.errors import SealingError
from certcore.names import Label
from certcore.sealing import decode_public_key
from certkit.settings import RegistrySettings, ServiceSettings
from issuer.domain.blocked_keys import parse_blocked
from issuer.domain.ca_order import ChallengeKind

__all__ = ["CaSettings", "ChalltestsrvSettings", "EabSettings", "Http01Settings", "PolicySettings", "Settings"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EabSettings(_Settings):
    """External account binding (RFC 8555 §7.3.4), used once, when the account is made."""

    kid: str
    hmac_key_file: Path = Field(description="File with the MAC key in base64url, as the CA gave it; mode 0600.")


class CaSettings(_Settings):
    name: Label
    directory_url: str
    ca_file: Path | None = Field(default=None, description="Trust roots of the CA's API.")
    challenges: Annotated[tuple[ChallengeKind, ...], Field(min_length=1)] = Field(
        description="In order of preference. Wildcards need dns-01."
    )
    contact: str | None = Field(default=None, description="Mail address that the CA may write to.")
    profile: str | None = Field(
        default=None,
        description="Profile to ask for, where the CA has profiles; that of an issue order goes before it.",
    )
    eab: EabSettings | None = None


class PolicySettings(_Settings):
    """Which CA issues by exposure, where neither the issue order nor the request names one."""

    internal: Label
    public: Label


class Http01Settings(_Settings):
    """Where the http-01 responder listens; the names' port 80 has to lead there."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5002


class ChalltestsrvSettings(_Settings):
    """DNS of pebble-challtestsrv, through its management API."""

    kind: Literal["challtestsrv"] = "challtestsrv"
    url: str


def _public_key(encoded: str) -> str:
    try:
        decode_public_key(encoded)
    except SealingError as error:
        raise ValueError(f"is {error}") from None
    return encoded


def _blocked(path: Path) -> Path:
    try:
        parse_blocked(path.read_text())
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text") from None
    return path


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_ISSUER_")

    registry: RegistrySettings
    database_url: str = Field(description="sqlite:///… or postgresql://…")
    state_folder: Path = Field(description="Account keys, mode 0600: back it up.")
    cas: Annotated[tuple[CaSettings, ...], Field(min_length=1)]
    policy: PolicySettings
    http01: Http01Settings = Http01Settings()
    dns: ChalltestsrvSettings | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = Field(default=4, description="Threads that talk to CAs.")
    orders_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often the registry's list of orders is read; events tell of them sooner."
    )
    heartbeat_every_s: Annotated[float, Field(gt=0)] = 15.0
    escrow_public_key: Annotated[str, AfterValidator(_public_key)] | None = Field(
        default=None,
        description="Of the escrow, as `python -m issuer escrow init` prints it. Without it no key is sealed again.",
    )
    blocked_keys_file: Annotated[Path, AfterValidator(_blocked)] | None = Field(
        default=None,
        description="SHA-256 of public keys for which nothing is issued, one in hex a line; read at the start.",
    )
    rsa_keys_ahead: Annotated[int, Field(ge=0, le=64)] = Field(
        default=4, description="So many RSA keys of each size that is asked for lie ready in memory."
    )
    order_patience_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0,
        description="A CA that answers, but not about one order, for this long has lost that order.",
    )

    def blocked_keys(self) -> frozenset[str]:
        return (
            parse_blocked(self.blocked_keys_file.read_text()) if self.blocked_keys_file is not None else frozenset()
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [ca.name for ca in self.cas]
        if len(set(names)) < len(names):
            raise ValueError("cas: two CAs have one name")
        for exposure, ca in (("internal", self.policy.internal), ("public", self.policy.public)):
            if ca not in names:
                raise ValueError(f"policy.{exposure}: there is no CA named {ca}")
        if self.dns is None and any(ChallengeKind.DNS_01 in ca.challenges for ca in self.cas):
            raise ValueError("dns: a CA uses dns-01, so this must say how records are set")
        return self
