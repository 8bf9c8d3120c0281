from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from certcore.names import Label
from issuer.domain.server_address import server_address

__all__ = ["DnsSettings", "ViewSettings"]


def _ip(written: str) -> str:
    if not server_address(written).is_ip:
        raise ValueError("must be an IP address, or one with a port: 192.0.2.1:53, [2001:db8::1]:53")
    return written


IpServer = Annotated[str, AfterValidator(_ip)]


class ViewSettings(BaseModel):
    """How one group of clients sees DNS: the whole internet, or a company's inside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolvers: tuple[IpServer, ...] = Field(
        default=(), description="Resolvers that find zones and their servers; by default the system's."
    )
    nameservers: dict[str, Annotated[tuple[IpServer, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Zone, and the servers to ask about it instead of those that its NS records name.",
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=53, description="Of authoritative servers.")


class DnsSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    views: Annotated[dict[Label, ViewSettings], Field(min_length=1)] = Field(
        default_factory=lambda: {"default": ViewSettings()},
        description="By name. The first is the one in which CNAMEs are followed and CAA records are looked up.",
    )
    timeout_s: Annotated[float, Field(gt=0, le=10)] = Field(default=2.0, description="For one answer of a server.")
