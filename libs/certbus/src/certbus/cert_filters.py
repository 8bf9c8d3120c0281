"""The options by which `certbus cert list` is filtered and sorted: those of the API's list, under the same names."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.time_spans import read_span

if TYPE_CHECKING:
    from certcore.certificate_list import CertificateQuery

__all__ = [
    "CaOption",
    "DnsOption",
    "DomainOption",
    "ExpiresOption",
    "ExposureOption",
    "HealthOption",
    "KeyOption",
    "LabelOption",
    "OwnerOption",
    "RenewsOption",
    "SearchOption",
    "SerialOption",
    "SiteOption",
    "SortOption",
    "SpkiOption",
    "StateOption",
    "TargetOption",
    "read_query",
]

OwnerOption = Annotated[str | None, typer.Option(metavar="TEAM", help="Only this team's.")]
StateOption = Annotated[
    Literal[
        "requested",
        "waiting_for_approval",
        "approved",
        "issuing",
        "issued",
        "delivering",
        "live",
        "renewing",
        "denied",
        "failing",
        "revoked",
        "retired",
    ]
    | None,
    typer.Option(metavar="STATE", help="Only these, such as live or failing."),
]
HealthOption = Annotated[
    Literal["ok", "progressing", "degraded", "unknown", "none"] | None,
    typer.Option(metavar="HEALTH", help="Only these, such as degraded."),
]
SearchOption = Annotated[
    str | None,
    typer.Option("-q", "--search", metavar="TEXT", help="A name or DNS name, or what a part of it begins with."),
]
DnsOption = Annotated[str | None, typer.Option(metavar="NAME", help="Only those that cover this DNS name.")]
DomainOption = Annotated[str | None, typer.Option(metavar="DOMAIN", help="Only those with names in this domain.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("-l", "--label", metavar="KEY=VALUE", help="Only those with this label, or with all."),
]
ExposureOption = Annotated[
    Literal["internal", "public"] | None, typer.Option(metavar="EXPOSURE", help="Only internal or public ones.")
]
CaOption = Annotated[str | None, typer.Option(metavar="CA", help="Only those that this CA issued.")]
SiteOption = Annotated[str | None, typer.Option(metavar="SITE", help="Only those that this site should hold.")]
TargetOption = Annotated[
    str | None, typer.Option(metavar="KIND", help="Only those with a target of this kind, such as haproxy.")
]
KeyOption = Annotated[
    Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"] | None,
    typer.Option(metavar="TYPE", help="Only those with this type of key, such as ec-p256."),
]
SerialOption = Annotated[
    str | None, typer.Option(metavar="HEX", help="Only the one that ever had this serial number.")
]
SpkiOption = Annotated[
    str | None, typer.Option(metavar="SHA256", help="Only those that ever had this public key, by its hash.")
]
ExpiresOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only those of which what is served ends within, such as 20d.")
]
RenewsOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only those whose renewal is due within, such as 7d.")
]
SortOption = Annotated[
    Literal["name", "-name", "expires", "-expires", "renews", "-renews"] | None,
    typer.Option(metavar="ORDER", help="name, expires or renews, the other way round with a hyphen before it."),
]


def read_query(
    given: Mapping[str, object], *, expires: str | None, renews: str | None = None, now: datetime
) -> "CertificateQuery":
    """The query that these options stand for; those that weren't given are None.

    Raises:
        CommandError: one of them can't be what it should.
    """
    from pydantic import ValidationError  # noqa: PLC0415 # imports long

    from certcore.certificate_list import CertificateQuery  # noqa: PLC0415 # imports long

    values = {name: value for name, value in given.items() if value is not None}
    if expires is not None:
        values["expires_before"] = now + read_span(expires)
    if renews is not None:
        values["renews_before"] = now + read_span(renews)
    try:
        return CertificateQuery.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise CommandError(
            "nothing can be found by that",
            exit_code=ExitCode.INVALID,
            fields=[
                (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")) for fault in faults
            ],
        ) from None
