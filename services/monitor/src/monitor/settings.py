"""Settings of the monitor: what it trusts, how it finds addresses, and how often it looks."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from certkit.settings import RegistrySettings, ServiceSettings
from monitor.domain.dns_server import DnsServer

__all__ = ["Settings"]


def _server(value: str) -> str:
    DnsServer.parse(value)
    return value


Seconds = Annotated[float, Field(gt=0)]


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_MONITOR_")

    registry: RegistrySettings
    database_url: str
    ca_file: Path | None = Field(
        default=None,
        description="Trust roots of the watched certificates. Without it, trust is not judged: only what is served.",
    )
    dns_servers: tuple[Annotated[str, AfterValidator(_server)], ...] = Field(
        default=(), description="address:port of the resolvers to ask; empty: the system's own."
    )
    period_s: Seconds = Field(
        default=60.0,
        description="The longest time between two looks where nothing is new, and the length of a probe round.",
    )
    rollout_period_s: Seconds = Field(default=1.0, description="Between two looks while a new revision is awaited.")
    rollout_grace_s: Annotated[float, Field(ge=0)] = Field(
        default=300.0, description="So long a rollout may take before that is a fault."
    )
    timeout_s: Seconds = Field(default=5.0, description="Limit of one name lookup, and of one handshake.")
    heartbeat_every_s: Seconds = Field(default=15.0, description="Between two heartbeats.")
    refresh_every_s: Seconds = Field(default=180.0, description="Between two readings of all expectations.")
    registry_look_every_s: Seconds = Field(
        default=10.0, description="Between two looks whether the registry is ready."
    )
    registry_grace_s: Annotated[float, Field(ge=0)] = Field(
        default=30.0, description="So long the registry may be away or not ready before that is an alert."
    )
