"""What was delivered to a site, read as a server there would: the files of a host, or a Secret through the API.

Whatever is half written, gone, or doesn't fit together is an UnusableError: the caller keeps what it has.
"""

import ssl
from pathlib import Path
from typing import Final, Protocol

from certcore.errors import CertbusError, InspectionError
from certcore.inspection import read_chain

__all__ = [
    "CHAIN",
    "KEY",
    "DeliveredFiles",
    "DeliveredPair",
    "PairContext",
    "UnusableError",
    "load",
    "server_context",
]

CHAIN: Final = "tls.crt"
KEY: Final = "tls.key"

_Stamp = tuple[str | int, ...]


class UnusableError(CertbusError):
    """There is nothing that could be served, or not yet. Asking again is harmless."""


class PairContext(ssl.SSLContext):
    """A server's side of TLS with one certificate, which can be told from its context."""

    serial: str = ""


class DeliveredPair(Protocol):
    """Where a certificate and its key are delivered to."""

    period_s: float
    """How long to wait before the next look."""

    async def look(self) -> PairContext | None:
        """The pair that lies there, or None where it is the one that was returned before.

        Raises:
            UnusableError: see there.
        """
        ...

    async def close(self) -> None: ...


def server_context() -> PairContext:
    """TLS 1.2 or later. Sessions are never resumed: a resumed one would go on with the certificate of its start."""
    context = PairContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def load(folder: Path) -> PairContext:
    """Load the pair of a folder.

    Raises:
        UnusableError: it is not complete or doesn't fit together.
    """
    context = server_context()
    try:
        context.serial = read_chain((folder / CHAIN).read_bytes())[0].serial
        # An empty passphrase, so that an encrypted key is refused instead of asking at the terminal.
        context.load_cert_chain(folder / CHAIN, folder / KEY, password="")
    except InspectionError as error:
        raise UnusableError(str(error)) from None
    except ssl.SSLError as error:
        raise UnusableError(f"chain and key can't be loaded: {error.reason or 'not PEM'}") from None
    except OSError as error:
        raise UnusableError(f"{error.filename or folder} can't be read: {error.strerror}") from None
    return context


class DeliveredFiles:
    """The folder that the link `current` names."""

    period_s = 0.2

    def __init__(self, current: Path) -> None:
        self._current = current
        self._loaded: _Stamp = ()

    async def look(self) -> PairContext | None:
        stamp, folder = self._stamp()
        if stamp == self._loaded:
            return None
        context = load(folder)
        if self._stamp()[0] != stamp:
            raise UnusableError(f"{self._current} changes at this moment")
        self._loaded = stamp
        return context

    async def close(self) -> None:
        pass

    def _stamp(self) -> tuple[_Stamp, Path]:
        try:
            folder = self._current.resolve(strict=True)
            states = [(folder / name).stat() for name in (CHAIN, KEY)]
        except OSError as error:
            raise UnusableError(f"nothing lies at {self._current}: {error.strerror}") from None
        facts = [fact for state in states for fact in (state.st_ino, state.st_mtime_ns, state.st_size)]
        return (str(folder), *facts), folder
