"""What is looked at before a load balancer is touched: HAProxy itself takes any pair of certificate and key."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem
from certcore.events import DeliveryReason, DeploymentOrdered
from certcore.names import CertificateName

__all__ = ["Objection", "file_name", "objection"]

_NAME: Final = TypeAdapter[str](CertificateName)


class Objection(StrEnum):
    OTHER_CERTIFICATE = "the bundle holds another certificate than was ordered"
    NAMES_MISSING = "the certificate doesn't cover every name that was ordered"
    NOT_YET_VALID = "the certificate isn't valid yet"
    EXPIRED = "the certificate has expired"


def objection(pem: HaproxyPem, order: DeploymentOrdered, *, now: datetime) -> Objection | None:
    """Why this must not be pushed, or None. That the key fits was checked when the PEM was made."""
    leaf = pem.leaf
    if (leaf.fingerprint_sha256, leaf.serial) != (order.fingerprint_sha256, order.serial):
        return Objection.OTHER_CERTIFICATE
    if not {name.lower() for name in order.dns_names} <= set(leaf.dns_names):
        return Objection.NAMES_MISSING
    if now < leaf.not_before:
        return Objection.NOT_YET_VALID
    if now >= leaf.not_after:
        return Objection.EXPIRED
    return None


def file_name(certificate_name: str) -> str:
    """The PEM's file name.

    Raises:
        DeliveryError: the name is none that a certificate may have.
    """
    try:
        return f"{_NAME.validate_python(certificate_name)}.pem"
    except ValidationError:
        detail = f"{certificate_name!r:.80} is no certificate name"
        raise DeliveryError(DeliveryReason.UNKNOWN_PLACE, detail) from None
