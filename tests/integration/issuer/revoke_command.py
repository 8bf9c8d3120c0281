"""`python -m issuer revoke` beside a running issuer, and what a Pebble says of a certificate."""

import asyncio
import os
import ssl
import sys
from asyncio.subprocess import PIPE, STDOUT, Process

import httpx

from tests import servers
from tests.integration.issuer.issuer_process import IssuerProcess
from tests.patience import HANG_S

__all__ = ["begun", "revoke", "status_at"]


async def begun(issuer: IssuerProcess, *arguments: str) -> Process:
    """With the settings of that issuer."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "issuer", "revoke", *arguments),
        env={**os.environ, **issuer.process.env},
        stdout=PIPE,
        stderr=STDOUT,
    )


async def revoke(issuer: IssuerProcess, *arguments: str) -> tuple[int, str]:
    """The exit code, and all that was told."""
    process = await begun(issuer, *arguments)
    output, _ = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def status_at(pebble: servers.Pebble, serial: str) -> tuple[str, int | None]:
    """Whether it is Valid or Revoked there, and the number of the reason."""
    trust = ssl.create_default_context(cafile=str(pebble.ca_file))
    async with httpx.AsyncClient(trust_env=False, verify=trust) as client:
        answer = await client.get(f"{pebble.ca.management_url}/cert-status-by-serial/{serial}")
    told = answer.raise_for_status().json()
    return told["Status"], told.get("Reason")
