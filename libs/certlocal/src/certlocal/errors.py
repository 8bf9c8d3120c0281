"""What can go wrong between wanting a server and having it."""

from certcore.errors import CertbusError

__all__ = ["LocalError", "PartMissingError", "PortTakenError", "ProcessFailedError"]


class LocalError(CertbusError):
    """The local system can't go on; the message says what to do."""


class PartMissingError(LocalError):
    """A program that the local system needs is not here and could not be had."""


class PortTakenError(LocalError):
    """Another program listens where ours must."""


class ProcessFailedError(LocalError):
    """A child process ended, or did not get ready; the message ends in its last log lines."""
