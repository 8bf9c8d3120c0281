"""Checks for `ChildProcess.wait_ready`."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from certlocal.process import Check

__all__ = ["answers", "listens", "trusting"]


def trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def answers(
    url: str, *, ca_file: Path | None = None, accept: Callable[[int], bool] = lambda status: status == 200
) -> Check:
    """Whether a GET is answered with an accepted status."""
    verify: ssl.SSLContext | None = None

    async def check() -> bool:
        # Made at the first look: the server may write the file while it starts. Each takes milliseconds.
        nonlocal verify
        if verify is None:
            verify = trusting(ca_file) if ca_file else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=2.0) as client:
                response = await client.get(url)
        except httpx.HTTPError:
            return False
        return accept(response.status_code)

    return check


def listens(port: int) -> Check:
    """Whether a TCP connection to 127.0.0.1 is taken."""

    async def check() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    return check
