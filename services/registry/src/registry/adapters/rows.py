"""Rows of the tables, as the domain knows them."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec
from certcore.events import ServingVerdict
from registry.domain.certificate import Certificate, Endpoint, Request

__all__ = ["StoredEvent", "certificate", "certificate_values", "endpoint", "event", "request"]


@dataclass(frozen=True)
class StoredEvent:
    sequence: int
    id: str
    type: str
    source: str
    stream: str
    subject: str
    about: str
    time: datetime
    data: str
    traceparent: str | None


def certificate_values(certificate: Certificate) -> dict[str, Any]:
    values = asdict(certificate)
    spec = certificate.spec
    return values | {"spec": spec.model_dump(mode="json"), "name": spec.name, "exposure": spec.exposure.value}


def certificate(row: Row[Any]) -> Certificate:
    values = row._asdict()
    del values["name"], values["exposure"]
    values["spec"] = CertificateSpec.model_validate_json(json.dumps(values["spec"]))
    values["state"] = CertificateState(values["state"])
    return Certificate(**values)


def request(row: Row[Any]) -> Request:
    values = row._asdict()
    del values["kind"]
    values["spec"] = CertificateSpec.model_validate_json(json.dumps(values["spec"]))
    return Request(**values)


def endpoint(row: Row[Any]) -> Endpoint:
    values = row._asdict()
    values["addresses"] = tuple(values["addresses"])
    values["verdict"] = ServingVerdict(values["verdict"]) if values["verdict"] else None
    return Endpoint(**values)


def event(row: Row[Any]) -> StoredEvent:
    values = row._asdict()
    del values["sent_at"]
    return StoredEvent(**values)
