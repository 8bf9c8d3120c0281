import asyncio
import socket

from monitor.adapters.routes import reachable
from monitor.domain.resolver import ResolutionError

__all__ = ["SystemResolver"]


class SystemResolver:
    """Finds addresses as the machine's other programs do, with its hosts file."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    async def addresses(self, host: str) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await loop.getaddrinfo(
                    host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG | socket.AI_NUMERICSERV
                )
        except TimeoutError:
            raise ResolutionError(f"no answer for {host} in {self._timeout_s:g} s") from None
        except (OSError, UnicodeError) as error:
            raise ResolutionError(f"{host}: {getattr(error, 'strerror', None) or 'no such name'}") from error
        return reachable({str(address[0]) for *_, address in found})
