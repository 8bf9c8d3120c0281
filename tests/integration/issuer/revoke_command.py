"""`certbus issuer revoke` beside a running issuer, and what a Pebble says of a certificate."""

import ssl
import sys

import httpx

from certlocal.process import ChildProcess
from tests import servers
from tests.fork_server import ended, fork_server
from tests.integration.issuer.issuer_process import IssuerProcess

__all__ = ["begun", "revoke", "status_at"]


def begun(issuer: IssuerProcess, *arguments: str) -> ChildProcess:
    """With the settings of that issuer."""
    process = ChildProcess(
        name="revoke",
        argv=[sys.executable, "-m", "issuer", "revoke", *arguments],
        log_path=issuer.folder / "revoke.log",
        env=issuer.process.env,
        start=fork_server(),
    )
    process.start()
    return process


async def revoke(issuer: IssuerProcess, *arguments: str) -> tuple[int, str]:
    """With the settings of that issuer: the exit code, and all that was told."""
    code, out, err = await ended("certbus", "issuer", "revoke", *arguments, env=issuer.process.env)
    return code, out + err


async def status_at(pebble: servers.Pebble, serial: str) -> tuple[str, int | None]:
    """Whether it is Valid or Revoked there, and the number of the reason."""
    trust = ssl.create_default_context(cafile=str(pebble.ca_file))
    async with httpx.AsyncClient(trust_env=False, verify=trust) as client:
        answer = await client.get(f"{pebble.ca.management_url}/cert-status-by-serial/{serial}")
    told = answer.raise_for_status().json()
    return told["Status"], told.get("Reason")
