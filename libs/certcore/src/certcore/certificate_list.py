"""What a list of certificates shows: which of them, in which order, and what is counted beside it.

One model for the API's query parameters, the command's options and the page's form.
"""

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from certcore.api import CertificateState
from certcore.certificate import Exposure, KeyAlgorithm
from certcore.conditions import Health

__all__ = ["CertificateQuery", "Facet", "Order", "parameters"]

_MOST_LABELS: Final = 8


class Order(StrEnum):
    """`expires`: by the end of what is served, soonest first; those of which nothing is served come last. `renews`:
    by when renewals do something about them; those of which nothing is to be done come last.
    """

    NAME = "name"
    NAME_DOWN = "-name"
    EXPIRES = "expires"
    EXPIRES_DOWN = "-expires"
    RENEWS = "renews"
    RENEWS_DOWN = "-renews"


class Facet(StrEnum):
    """What may be counted by."""

    STATE = "state"
    HEALTH = "health"
    OWNER = "owner"
    EXPOSURE = "exposure"
    CA = "ca"
    KEY = "key"
    SITE = "site"
    TARGET = "target"
    DOMAIN = "domain"
    LABEL = "label"


def _text(value: str) -> str:
    value = value.strip()
    if not value:
        raise ValueError("is empty: leave it out")
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in value):
        raise ValueError("holds control characters")
    return value


def _folded(value: str) -> str:
    return value.lower()


def _hex(value: str) -> str:
    digits = value.replace(":", "").lower()
    if not digits or set(digits) - set("0123456789abcdef"):
        raise ValueError("is not hexadecimal")
    return digits


def _serial(value: str) -> str:
    return _hex(value).lstrip("0") or "0"


def _pair(value: str) -> str:
    key, equals, _ = value.partition("=")
    if not key or not equals:
        raise ValueError("is not of the form key=value")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


def _parts(value: Any) -> Any:
    """`a,b` as well as several parameters of the name."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, Iterable):
        return given
    parts = [part for item in given for part in (item.split(",") if isinstance(item, str) else [item])]
    return tuple(dict.fromkeys(parts))


Text = Annotated[str, Field(max_length=253), AfterValidator(_text)]
Folded = Annotated[Text, AfterValidator(_folded)]
Pair = Annotated[Text, AfterValidator(_pair)]
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class CertificateQuery(BaseModel):
    """All that is given must hold at once. An unknown name is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Folded | None = Field(
        default=None,
        description="Text with which the name, a DNS name, or any part of them behind a dot or hyphen begins.",
    )
    dns: Folded | None = Field(default=None, description="A DNS name that it covers, by a wildcard too.")
    domain: Folded | None = Field(default=None, description="The registrable domain of one of its DNS names.")
    owner: Text | None = None
    label: Annotated[tuple[Pair, ...], Field(max_length=_MOST_LABELS)] = Field(
        default=(), description="`key=value`; may be given several times."
    )
    exposure: Exposure | None = None
    ca: Text | None = Field(default=None, description="The CA of what its targets should hold.")
    site: Text | None = Field(
        default=None, description="A place of one of its targets; `hub` where they have no site."
    )
    target: Text | None = Field(default=None, description="The kind of one of its targets.")
    state: CertificateState | None = None
    health: Health | None = None
    key: KeyAlgorithm | None = None
    serial: Annotated[Text, AfterValidator(_serial)] | None = Field(
        default=None, description="Of any X.509 certificate that it ever had, in hex."
    )
    spki: Annotated[Text, AfterValidator(_hex)] | None = Field(
        default=None, description="SHA-256 of the public key of any X.509 certificate that it ever had, in hex."
    )
    expires_before: Instant | None = Field(
        default=None, description="What is served of it ends until then, or has ended."
    )
    expires_after: Instant | None = Field(default=None, description="What is served of it ends later.")
    renews_before: Instant | None = Field(
        default=None, description="Renewals do something about it until then, or should have."
    )
    sort: Order = Order.NAME
    facets: Annotated[tuple[Facet, ...], BeforeValidator(_parts)] = Field(
        default=(), description="What is counted by, such as `state,health`."
    )


def parameters(query: CertificateQuery) -> list[tuple[str, str]]:
    """The query as the parameters of a URL; what has its default is left out."""
    found: list[tuple[str, str]] = []
    for name, value in query.model_dump(mode="json", exclude_defaults=True).items():
        found += [(name, str(item)) for item in (value if isinstance(value, list) else [value])]
    return found
