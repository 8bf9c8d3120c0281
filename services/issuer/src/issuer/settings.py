from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from certcore.errors import SealingError
from certcore.names import Label
from certcore.sealing import decode_public_key
from certkit.settings import RegistrySettings, ServiceSettings
from issuer.cas.acme.settings import CaSettings
from issuer.domain.blocked_keys import parse_blocked
from issuer.domain.ca_order import ChallengeKind

__all__ = ["ChalltestsrvSettings", "Http01Settings", "PolicySettings", "Settings"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    state_folder: Path = Field(description="The journal's key, mode 0600: back it up.")
    journal_key_file: Path | None = Field(
        default=None,
        description="File with 32 bytes in base64url, mode 0600, that seal the account keys in the journal. By"
        " default `journal.key` in the state folder, made where there is none. Issuers on one PostgreSQL journal are"
        " given the same file.",
    )
    cas: Annotated[tuple[CaSettings, ...], Field(min_length=1)]
    policy: PolicySettings
    http01: Http01Settings = Http01Settings()
    dns: ChalltestsrvSettings | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Four jobs each are under way at once."
    )
    orders_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often the registry's list of orders is read; events tell of them sooner."
    )
    orphans_every_s: Annotated[float, Field(gt=0)] = Field(
        default=300.0, description="How often orders that were given up are tidied up at their CA."
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
