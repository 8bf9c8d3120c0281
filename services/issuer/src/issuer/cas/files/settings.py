"""Settings of a CA by key and chain files."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from issuer.domain.signing import SigningCaSettings

__all__ = ["FilesCaSettings"]


def _web_url(value: str) -> str:
    if not value.startswith("http://"):
        raise ValueError("must begin with http://: who checks a certificate can't first check another one")
    return value


WebUrl = Annotated[str, AfterValidator(_web_url)]


class FilesCaSettings(SigningCaSettings):
    kind: Literal["files"] = "files"
    chain_file: Path = Field(
        description="PEM: the certificate of the CA that signs, then those above it; a root at the end isn't sent."
    )
    key_file: Path = Field(description="PEM: its private key, EC or RSA; mode 0600.")
    passphrase_file: Path | None = Field(
        default=None, description="File with the passphrase of an encrypted key; mode 0600."
    )
    validity_days: Annotated[int, Field(ge=1, le=825)] = Field(
        default=90, description="How long a leaf is valid, at most until the CA ends."
    )
    backdate_minutes: Annotated[int, Field(ge=0, le=24 * 60)] = Field(
        default=60, description="A leaf is valid since so long before it was asked for: clocks differ."
    )
    digest: Literal["sha256", "sha384"] | None = Field(
        default=None, description="Of its signatures; by default the one that fits the key."
    )
    crl_url: WebUrl | None = Field(default=None, description="Where its CRL is published; named in each leaf.")
    crl_file: Path | None = Field(
        default=None,
        description="Where its CRL (DER) is written, for the server of crl_url: without it nothing can be revoked.",
    )
    crl_hours: Annotated[int, Field(ge=1, le=24 * 365)] = Field(
        default=7 * 24, description="How long a CRL is valid; it is written anew when half of that is over."
    )
    issuer_url: WebUrl | None = Field(default=None, description="Where its certificate is (DER); named in each leaf.")
