"""How one CA is reached, and what is asked of it."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from certcore.names import Label
from issuer.domain.ca_order import ChallengeKind

__all__ = ["CaSettings", "EabSettings"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class EabSettings(_Settings):
    """External account binding (RFC 8555 §7.3.4), used once, when the account is made."""

    kid: str
    hmac_key_file: Path = Field(description="File with the MAC key in base64url, as the CA gave it; mode 0600.")
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"


class CaSettings(_Settings):
    name: Label
    directory_url: str
    ca_file: Path | None = Field(default=None, description="Trust roots of the CA's API.")
    proxy: str | None = Field(default=None, description="http://host:port through which the CA is reached.")
    proxy_login_file: Path | None = Field(
        default=None, description="File with user:password for the proxy, where it wants them; mode 0600."
    )
    challenges: Annotated[tuple[ChallengeKind, ...], Field(min_length=1)] = Field(
        description="In order of preference. Wildcards need dns-01."
    )
    contact: str | None = Field(default=None, description="Mail address that the CA may write to.")
    profile: str | None = Field(
        default=None,
        description="Profile to ask for, where the CA has profiles; that of an issue order goes before it.",
    )
    preferred_chain: str | None = Field(
        default=None,
        description="Common name of the issuer of the topmost certificate of the chain that is wanted, where the CA"
        " offers several; without a match its default chain is taken.",
    )
    eab: EabSettings | None = None
    connections: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=64, description="Questions under way at once, each on a connection of its own."
    )
    answer_limit_s: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="What isn't answered for this long counts as unanswered."
    )
    work_limit_s: Annotated[float, Field(gt=0)] = Field(
        default=90.0,
        description="The same for a new account, a new order and finalize, which some CAs work on for a minute.",
    )

    @field_validator("proxy")
    @classmethod
    def _tells_no_password(cls, proxy: str | None) -> str | None:
        if proxy is None:
            return None
        parts = urlsplit(proxy)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not of the form http://host:port")
        if "@" in parts.netloc:
            raise ValueError("user and password belong into proxy_login_file")
        return proxy
