"""The intent: what a team asks for, in the one form that API, bus, command and GitOps share."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from certcore.names import MAX_DNS_NAMES, CertificateName, DnsName, Label, matches
from certcore.targets import TargetSpec

__all__ = [
    "CertificateSpec",
    "EndpointSpec",
    "Exposure",
    "KeyAlgorithm",
    "approval_hash",
    "endpoint_address",
]


class Exposure(StrEnum):
    INTERNAL = "internal"
    PUBLIC = "public"


class KeyAlgorithm(StrEnum):
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"


def endpoint_address(url: str) -> tuple[str, int]:
    """Host (the name sent as SNI) and port of an endpoint URL that was validated before."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443


def _check_url(value: str) -> str:
    if any(character.isspace() or ord(character) < 32 for character in value):
        raise ValueError("holds white space or control characters")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError("is not a URL: give https://host[:port]") from error
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("is not an https URL: give https://host[:port]")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials: an endpoint is only a host and a port")
    if parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("has a path, query or fragment: an endpoint is only https://host[:port]")
    if port == 0:
        raise ValueError("has port 0")
    return f"https://{parts.hostname}:{port}" if port else f"https://{parts.hostname}"


class EndpointSpec(BaseModel):
    """A place where the certificate is used: the monitor shakes hands there, with the URL's host as SNI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_check_url), Field(max_length=300)]
    target: Label | None = Field(
        default=None, description="The target that this endpoint proves; without it, it proves every target."
    )


class CertificateSpec(BaseModel):
    """A request's body. `owner` may be left out: it is then who asks, and nobody can ask as somebody else."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="CertificateSpec")

    name: CertificateName = Field(description="Unique name of the certificate, such as shop-checkout.")
    dns_names: Annotated[tuple[DnsName, ...], Field(min_length=1, max_length=MAX_DNS_NAMES)]
    exposure: Exposure
    owner: Label | None = None
    issuer: Label | None = Field(
        default=None, description="A CA of the issuer; by default policy chooses by exposure."
    )
    key_algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256
    targets: Annotated[tuple[TargetSpec, ...], Field(min_length=1, max_length=500)]
    endpoints: Annotated[tuple[EndpointSpec, ...], Field(min_length=1, max_length=500)]
    end_date: AwareDatetime | None = Field(default=None, description="No renewal is ordered after it.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # Each message starts with the field at fault: `rejections` turns that into the error's location.
        _no_twin("dns_names", self.dns_names)
        _no_twin("targets", [target.name for target in self.targets])
        _no_twin("endpoints", [endpoint.url for endpoint in self.endpoints])
        known = {target.name for target in self.targets}
        for number, endpoint in enumerate(self.endpoints):
            if endpoint.target is not None and endpoint.target not in known:
                raise ValueError(f"endpoints.{number}.target: {endpoint.target} is no target of this request")
            host, _ = endpoint_address(endpoint.url)
            if not any(matches(host, name) for name in self.dns_names):
                raise ValueError(f"endpoints.{number}.url: {host} is not covered by dns_names")
        return self


def _no_twin(field: str, values: tuple[str, ...] | list[str]) -> None:
    seen: set[str] = set()
    for number, value in enumerate(values):
        if value in seen:
            raise ValueError(f"{field}.{number}: {value} is given twice")
        seen.add(value)


def approval_hash(spec: CertificateSpec, *, owner: str) -> str:
    """SHA-256 (hex) of everything that an approval covers: any change of it needs a new approval."""
    covered = spec.model_copy(
        update={
            "owner": owner,
            "dns_names": tuple(sorted(spec.dns_names)),
            "targets": tuple(sorted(spec.targets, key=lambda target: target.name)),
            "endpoints": tuple(sorted(spec.endpoints, key=lambda endpoint: endpoint.url)),
        }
    )
    return hashlib.sha256(covered.model_dump_json().encode()).hexdigest()


def ended(spec: CertificateSpec, now: datetime) -> bool:
    return spec.end_date is not None and spec.end_date <= now
