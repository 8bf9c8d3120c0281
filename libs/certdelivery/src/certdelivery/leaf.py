"""Checks of a certificate before it is delivered: some destinations accept any pair of certificate and key. Pure."""

from datetime import datetime
from enum import StrEnum

from certcore.bundles import Bundle
from certcore.targets import KeyHolder
from certdelivery.model import Wanted

__all__ = ["Objection", "objection"]


class Objection(StrEnum):
    OTHER_CERTIFICATE = "the bundle holds another certificate than the order names"
    OTHER_SERIAL = "the certificate has another serial number than the order names"
    NO_NAMES = "the certificate is for no DNS name"
    NO_KEY = "the bundle comes without a key, and the target makes none"
    NOT_YET_VALID = "the certificate isn't valid yet"
    EXPIRED = "the certificate has expired"


def objection(bundle: Bundle, wanted: Wanted, *, key_holder: KeyHolder, now: datetime) -> Objection | None:
    """Why this must not be delivered, or None. Checked elsewhere: that the key fits, when the bundle was opened; that
    the names are the approved ones, by the registry when it stored the bundle.
    """
    leaf = bundle.leaf
    if leaf.fingerprint_sha256 != wanted.fingerprint_sha256:
        return Objection.OTHER_CERTIFICATE
    if leaf.serial != wanted.serial.lower().lstrip("0"):
        return Objection.OTHER_SERIAL
    if not leaf.dns_names:
        return Objection.NO_NAMES
    if bundle.key_pem is None and key_holder is KeyHolder.PLATFORM:
        return Objection.NO_KEY
    if now < leaf.not_before:
        return Objection.NOT_YET_VALID
    return Objection.EXPIRED if now >= leaf.not_after else None
