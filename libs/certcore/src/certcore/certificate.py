"""The intent: what a team asks for, in the one form that API, bus, command and GitOps share. This is its door."""

import hashlib
import unicodedata
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

import rfc8785
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from certcore.names import MAX_DNS_NAMES, CertificateName, DnsName, Label, matches
from certcore.targets import AnyTargetRequest, TargetRequest

__all__ = [
    "LABEL_VALUE_PATTERN",
    "CertificateSpec",
    "EndpointSpec",
    "Exposure",
    "KeyAlgorithm",
    "Proof",
    "approval_hash",
    "endpoint_address",
    "stored",
]

MAX_LABELS: Final = 32


class Exposure(StrEnum):
    INTERNAL = "internal"
    PUBLIC = "public"


class KeyAlgorithm(StrEnum):
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"


class Proof(StrEnum):
    """What ends a rollout: a handshake at every endpoint, or where no monitor can reach one, the delivery itself."""

    ENDPOINTS = "endpoints"
    NONE = "none"


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


def _check_text(value: str) -> str:
    if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\t" for sign in value):
        raise ValueError("holds control characters")
    if "PRIVATE KEY" in value:
        raise ValueError("holds a private key: consider it as lost")
    return value


class EndpointSpec(BaseModel):
    """A place where the certificate is used: the monitor shakes hands there, with the URL's host as SNI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_check_url), Field(max_length=300)]
    target: Label | None = Field(
        default=None, description="The target that this endpoint proves; without it, it proves every target."
    )


LABEL_VALUE_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$|^$"
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]


class CertificateSpec(BaseModel):
    """A request's body. `owner` may be left out: it is then who asks, and nobody can ask as somebody else."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="CertificateSpec")

    kind: Literal["new"] = Field(default="new", description="What is asked for: a new certificate.")
    name: CertificateName = Field(description="Unique name of the certificate, such as shop-checkout.")
    dns_names: Annotated[tuple[DnsName, ...], Field(min_length=1, max_length=MAX_DNS_NAMES)]
    exposure: Exposure
    owner: Label | None = None
    issuer: Label | None = Field(
        default=None, description="A CA of the issuer; by default policy chooses by exposure."
    )
    key_algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256
    targets: Annotated[tuple[AnyTargetRequest, ...], Field(min_length=1, max_length=500)]
    endpoints: Annotated[tuple[EndpointSpec, ...], Field(max_length=500)] = ()
    proof: Proof = Field(
        default=Proof.ENDPOINTS, description="none: no monitor can reach an endpoint; delivery ends the rollout."
    )
    end_date: AwareDatetime | None = Field(default=None, description="No renewal is ordered after it.")
    labels: Annotated[dict[Label, LabelValue], Field(max_length=MAX_LABELS)] = Field(default_factory=dict)
    contact: Annotated[str, AfterValidator(_check_text), Field(max_length=200)] | None = None
    description: Annotated[str, AfterValidator(_check_text), Field(max_length=2000)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # Each message starts with the field at fault: `rejections` turns that into the error's location.
        _no_twin("dns_names", self.dns_names)
        _no_twin("targets", [target.name for target in self.targets])
        _no_twin("endpoints", [endpoint.url for endpoint in self.endpoints])
        if self.proof is Proof.ENDPOINTS and not self.endpoints:
            raise ValueError(
                'endpoints: is empty: give at least one, or say "proof": "none" if no monitor can reach it'
            )
        if self.proof is Proof.NONE and self.endpoints:
            raise ValueError('proof: is "none", but endpoints are given: leave one of the two out')
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


def stored(spec: CertificateSpec) -> dict[str, JsonValue]:
    """The one form in which an intent is stored. Defaults are left out: a new field changes nothing stored.

    Read it again as `certcore.intent.Intent`.
    """
    found = spec.model_dump(mode="json", exclude_defaults=True, exclude={"kind", "targets"})
    found["targets"] = [_stored_target(target) for target in spec.targets]
    return found


def _stored_target(target: TargetRequest) -> JsonValue:
    return {"kind": target.kind, **target.model_dump(mode="json", exclude_defaults=True)}


def approval_hash(spec: CertificateSpec, *, owner: str) -> str:
    """`v1:` and the SHA-256 (hex) of what an approval covers, in RFC 8785's form: a change of it needs a new one.

    Endpoints, labels, contact and description are not covered. A field that has its default is left out, so that a
    field which a later version adds changes no hash.
    """
    covered: dict[str, JsonValue] = {
        "owner": owner,
        "name": spec.name,
        "dns_names": [*sorted(spec.dns_names)],
        "exposure": spec.exposure.value,
        "key_algorithms": [spec.key_algorithm.value],
        "targets": [_stored_target(target) for target in sorted(spec.targets, key=lambda target: target.name)],
    }
    if spec.issuer is not None:
        covered["issuer"] = spec.issuer
    if spec.end_date is not None:
        covered["end_date"] = int(spec.end_date.timestamp())
    return f"v1:{hashlib.sha256(rfc8785.dumps(covered)).hexdigest()}"
