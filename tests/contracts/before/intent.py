"""The intent as requests and orders carried it then: frozen, see `consumers`."""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

__all__ = ["CertificateSpec", "EndpointSpec", "Exposure", "KeyAlgorithm", "TargetSpec"]

_LABEL: Final = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$")

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
KubernetesName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


def _check_dns_name(value: str) -> str:
    name = value.strip().lower()
    labels = name.removeprefix("*.").split(".")
    if len(labels) < 2 or len(name) > 253 or labels[-1].isdigit():
        raise ValueError("is not a fully qualified DNS name")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("is not a DNS name")
    return name


DnsName = Annotated[str, AfterValidator(_check_dns_name)]


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


class Exposure(StrEnum):
    INTERNAL = "internal"
    PUBLIC = "public"


class KeyAlgorithm(StrEnum):
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"


class _Target(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    site: Label


class KubernetesTarget(_Target):
    kind: Literal["kubernetes"] = "kubernetes"
    namespaces: Annotated[tuple[KubernetesName, ...], Field(min_length=1, max_length=1000)]
    secret: KubernetesName
    clusters: tuple[Label, ...] = ()


class FilesTarget(_Target):
    kind: Literal["files"] = "files"
    store: Label = "default"


class HaproxyTarget(_Target):
    kind: Literal["haproxy"] = "haproxy"
    instance: Label = "default"


TargetSpec = Annotated[KubernetesTarget | FilesTarget | HaproxyTarget, Field(discriminator="kind")]


class EndpointSpec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_check_url), Field(max_length=300)]
    target: Label | None = None


class CertificateSpec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    dns_names: Annotated[tuple[DnsName, ...], Field(min_length=1, max_length=100)]
    exposure: Exposure
    owner: Label | None = None
    issuer: Label | None = None
    key_algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256
    targets: Annotated[tuple[TargetSpec, ...], Field(min_length=1, max_length=500)]
    endpoints: Annotated[tuple[EndpointSpec, ...], Field(min_length=1, max_length=500)]
    end_date: AwareDatetime | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        targets = [target.name for target in self.targets]
        urls = [endpoint.url for endpoint in self.endpoints]
        for field, values in (("dns_names", self.dns_names), ("targets", targets), ("endpoints", urls)):
            if len(set(values)) < len(values):
                raise ValueError(f"{field}: a value is given twice")
        for endpoint in self.endpoints:
            if endpoint.target is not None and endpoint.target not in targets:
                raise ValueError(f"endpoints: {endpoint.target} is no target of this request")
            host = (urlsplit(endpoint.url).hostname or "").lower().rstrip(".")
            if not any(_matches(host, name) for name in self.dns_names):
                raise ValueError(f"endpoints: {host} is not covered by dns_names")
        return self


def _matches(host: str, dns_name: str) -> bool:
    if not dns_name.startswith("*."):
        return host == dns_name
    _, _, parent = host.partition(".")
    return bool(parent) and parent == dns_name[2:]
