"""Checks for `ChildProcess.wait_ready`."""

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from certcore.instance import INSTANCE_HEADER
from certlocal.process import Check

__all__ = ["answers", "trusting"]


def trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def answers(
    url: str,
    *,
    instance: str | None = None,
    ca_file: Path | None = None,
    accept: Callable[[int], bool] = lambda status: status == 200,
) -> Check:
    """Whether a GET is answered with an accepted status, by the service that was given this `instance`."""
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
        if instance is not None and response.headers.get(INSTANCE_HEADER) != instance:
            return False
        return accept(response.status_code)

    return check
