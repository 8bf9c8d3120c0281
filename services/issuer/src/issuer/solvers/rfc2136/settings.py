from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from issuer.domain.server_address import server_address
from issuer.domain.solver import DnsSolverSettings

__all__ = ["Rfc2136Settings"]


def _address(written: str) -> str:
    server_address(written)
    return written


class Rfc2136Settings(DnsSolverSettings):
    kind: Literal["rfc2136"] = "rfc2136"
    server: Annotated[str, AfterValidator(_address)] = Field(
        description="The server that takes updates, the zone's primary: HOST or HOST:PORT."
    )
    key_name: str = Field(description="Name of the TSIG key, as the server has it.")
    key_file: Path = Field(description="File with the key's secret in base64; mode 0600.")
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    zone: str | None = Field(default=None, description="Zone of all its records; by default the server is asked.")
    ttl: Annotated[int, Field(ge=1, le=86400)] = 60
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0
