"""Rows of certificates."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec
from registry.adapters import tables
from registry.adapters.store.deliveries import Deliveries
from registry.adapters.store.endpoints import Endpoints
from registry.domain.certificate import Certificate, Delivery, Endpoint

__all__ = ["Certificates"]


class Certificates:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, certificate: Certificate) -> None:
        """Store a certificate, with a delivery for each of its targets and with its endpoints."""
        await self._connection.execute(insert(tables.certificate).values(_values(certificate)))
        deliveries, endpoints = Deliveries(self._connection), Endpoints(self._connection)
        for target in certificate.spec.targets:
            await deliveries.save(Delivery.of(certificate.id, target))
        for endpoint in certificate.spec.endpoints:
            await endpoints.save(Endpoint(certificate.id, endpoint.url, endpoint.target))

    async def save(self, certificate: Certificate) -> None:
        row = tables.certificate
        await self._connection.execute(update(row).where(row.c.id == certificate.id).values(_values(certificate)))

    async def get(self, certificate_id: str) -> Certificate | None:
        return await self._one(tables.certificate.c.id == certificate_id)

    async def named(self, name: str) -> Certificate | None:
        return await self._one(tables.certificate.c.name == name)

    async def _one(self, condition: Any) -> Certificate | None:
        found = (await self._connection.execute(select(tables.certificate).where(condition))).one_or_none()
        return _certificate(found) if found else None

    async def all(self, *, owner: str | None = None, states: Sequence[CertificateState] = ()) -> list[Certificate]:
        """By name; those of one owner, or in one of the states, where that is given."""
        row = tables.certificate
        query = select(row).order_by(row.c.name)
        if owner is not None:
            query = query.where(row.c.owner == owner)
        if states:
            query = query.where(row.c.state.in_([state.value for state in states]))
        return [_certificate(found) for found in await self._connection.execute(query)]


def _values(certificate: Certificate) -> dict[str, Any]:
    values = asdict(certificate)
    spec = certificate.spec
    return values | {"spec": spec.model_dump(mode="json"), "name": spec.name, "exposure": spec.exposure.value}


def _certificate(row: Row[Any]) -> Certificate:
    values = row._asdict()
    del values["name"], values["exposure"]
    values["spec"] = CertificateSpec.model_validate_json(json.dumps(values["spec"]))
    values["state"] = CertificateState(values["state"])
    return Certificate(**values)
