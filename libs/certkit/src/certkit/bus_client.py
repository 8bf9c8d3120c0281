"""A bare connection to the broker, for commands and tests: the same identity and TLS as a service's."""

import logging
from typing import Any, Final

import nats
from nats.aio.client import Client

from certkit.settings import BusSettings

__all__ = ["connect_bus", "end_quietly"]


class _WithoutEofWarning(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("returning true from eof_received()")


_WITHOUT_EOF_WARNING: Final = _WithoutEofWarning()


def end_quietly() -> None:
    """Keep asyncio from a warning at the end of each TLS connection of nats-py, whose reader doesn't know of TLS."""
    logging.getLogger("asyncio").addFilter(_WITHOUT_EOF_WARNING)


async def connect_bus(settings: BusSettings, **options: Any) -> Client:
    """Connect by the settings; `options` are those of nats-py.

    Raises:
        TlsFileError: a file can't be used.
        nats.errors.Error, OSError: the broker can't be reached, or refuses.
    """
    context = settings.tls_context()
    end_quietly()
    return await nats.connect(
        settings.url,
        name=settings.identity,
        nkeys_seed=str(settings.nkey_seed_file) if settings.nkey_seed_file else None,
        inbox_prefix=f"_INBOX.{settings.identity}".encode(),
        tls=context,
        tls_handshake_first=context is not None,
        **options,
    )
