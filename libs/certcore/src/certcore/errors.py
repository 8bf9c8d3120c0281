"""Two families decide the fate of work that failed.

CertbusError
├── TransientError   try again later, the same work may succeed
│   └── OwnFaultError   the fault is the service's own: no message is to blame, however often it was tried
└── PermanentError   the same work will fail again: set it aside and tell a person
"""

from datetime import timedelta


class CertbusError(Exception):
    """Its message may be shown to people and stored: it never holds key material or tokens."""


class TransientError(CertbusError):
    """`retry_after`, where the other side named one, is the least wait before the next try."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OwnFaultError(TransientError):
    """A part of the service itself, such as its database, can't work now."""


class PermanentError(CertbusError):
    pass


class InspectionError(PermanentError):
    """A PEM, certificate, request or key that can't be read or doesn't fit together."""


class SealingError(PermanentError):
    """A sealed key that this recipient can't open: another recipient's, or bound to other facts."""
