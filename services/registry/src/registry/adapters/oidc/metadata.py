"""What a provider publishes of itself (OpenID Connect Discovery 1.0), and answers at its token endpoint."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from certcore.loopback import is_loopback

__all__ = ["WELL_KNOWN", "Endpoint", "Metadata", "Refusal", "TokenAnswer", "check_url"]

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


Endpoint = Annotated[str, AfterValidator(check_url)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Metadata(_Told):
    issuer: str
    authorization_endpoint: Endpoint
    token_endpoint: Endpoint
    jwks_uri: Endpoint
    end_session_endpoint: Endpoint | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class TokenAnswer(_Told):
    """Of the tokens only the ID token says who somebody is; none of them is kept."""

    id_token: str = Field(repr=False, max_length=64 * 1024)
    access_token: str | None = Field(default=None, repr=False)


class Refusal(_Told):
    """`error` is one of the words of RFC 6749, 5.2."""

    error: str = Field(pattern=r"^[a-z_]{1,64}$")
