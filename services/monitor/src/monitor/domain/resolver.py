from typing import Protocol

from certcore.errors import CertbusError

__all__ = ["ResolutionError", "Resolver"]


class ResolutionError(CertbusError):
    """The name has no address, or no answer came in time."""


class Resolver(Protocol):
    """From a host to every address that clients may be led to. Asked anew at each look: nothing is kept."""

    async def addresses(self, host: str) -> list[str]:
        """All addresses, at least one.

        Raises:
            ResolutionError: there are none to be had.
        """
        ...
