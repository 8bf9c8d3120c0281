"""What a provider publishes of itself (OpenID Connect Discovery 1.0), and answers at its token endpoint."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from certcore.loopback import is_loopback

__all__ = ["WELL_KNOWN", "DeviceAnswer", "Endpoint", "Metadata", "Refusal", "TokenAnswer", "check_url"]

WELL_KNOWN = "/.well-known/openid-configuration"


def check_url(url: str) -> str:
    """Check that what is sent to the URL is read by its host alone.

    Raises:
        ValueError: it is no https:// URL, nor one of this machine.
    """
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not safe or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("must be an https:// URL, without credentials; http:// only with a loopback address")
    return url


def _check_shown(text: str) -> str:
    # It is shown in a terminal.
    if not text.isascii() or not text.isprintable():
        raise ValueError("holds what can't be shown")
    return text


Endpoint = Annotated[str, AfterValidator(check_url)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Metadata(_Told):
    issuer: str
    authorization_endpoint: Endpoint
    token_endpoint: Endpoint
    jwks_uri: Endpoint
    end_session_endpoint: Endpoint | None = None
    device_authorization_endpoint: Endpoint | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class TokenAnswer(_Told):
    """Of the tokens only the ID token says who somebody is; none of them is kept."""

    id_token: str = Field(repr=False, max_length=64 * 1024)
    access_token: str | None = Field(default=None, repr=False)


class DeviceAnswer(_Told):
    """What a person types where, and the code by which the provider knows the device (RFC 8628, 3.2)."""

    device_code: str = Field(repr=False, min_length=1, max_length=4096)
    user_code: Annotated[str, AfterValidator(_check_shown), Field(min_length=1, max_length=64)]
    verification_uri: Annotated[Endpoint, AfterValidator(_check_shown), Field(max_length=300)]
    verification_uri_complete: Annotated[Endpoint, AfterValidator(_check_shown), Field(max_length=600)] | None = None
    expires_in: Annotated[int, Field(ge=1, le=86400)]
    interval: Annotated[int, Field(ge=0, le=300)] = 5


class Refusal(_Told):
    """`error` is one of the words of RFC 6749, 5.2."""

    error: str = Field(pattern=r"^[a-z_]{1,64}$")
