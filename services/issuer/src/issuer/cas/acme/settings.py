"""How one CA is reached, and what is asked of it."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from certcore.names import Label
from issuer.cas.acme.preset_settings import PresetSettings
from issuer.cas.acme.presets import PRESETS

__all__ = ["CaSettings", "EabSettings"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class EabSettings(_Settings):
    """External account binding (RFC 8555 §7.3.4), used once, when the account is made."""

    kid: str
    hmac_key_file: Path = Field(description="File with the MAC key in base64url, as the CA gave it; mode 0600.")
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"


class CaSettings(PresetSettings):
    kind: Literal["acme"] = "acme"
    name: Label
    ca_file: Path | None = Field(default=None, description="Trust roots of the CA's API.")
    proxy: str | None = Field(default=None, description="http://host:port through which the CA is reached.")
    proxy_login_file: Path | None = Field(
        default=None, description="File with user:password for the proxy, where it wants them; mode 0600."
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

    in_flight: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="Jobs that may be under way at this CA at once; those that wait take no part in it."
    )

    sibling_url: str | None = Field(
        default=None,
        description="Directory of this CA's sibling for tests, at which `python -m issuer test` orders; by default"
        " that of the preset, where it has one.",
    )

    @field_validator("sibling_url")
    @classmethod
    def _is_another(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None and url == info.data.get("directory_url"):
            raise ValueError("is the CA's own address: it must be another CA's, which is for tests")
        known = [preset for preset in PRESETS.values() if url in preset.directory_urls]
        if any(preset.sibling != preset.name for preset in known):
            raise ValueError(f"is the address of {known[0].title}, and that is for production")
        return url

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
