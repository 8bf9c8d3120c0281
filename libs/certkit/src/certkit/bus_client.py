"""A bare connection to the broker, for commands and tests: the same identity and TLS as a service's."""

from typing import Any

import nats
from nats.aio.client import Client

from certkit.settings import BusSettings

__all__ = ["connect_bus"]


async def connect_bus(settings: BusSettings, **options: Any) -> Client:
    """Connect by the settings; `options` are those of nats-py.

    Raises:
        TlsFileError: a file can't be used.
        nats.errors.Error, OSError: the broker can't be reached, or refuses.
    """
    context = settings.tls_context()
    return await nats.connect(
        settings.url,
        name=settings.identity,
        nkeys_seed=str(settings.nkey_seed_file) if settings.nkey_seed_file else None,
        inbox_prefix=f"_INBOX.{settings.identity}".encode(),
        tls=context,
        tls_handshake_first=context is not None,
        **options,
    )
