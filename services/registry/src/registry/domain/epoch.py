"""The epoch of the database: how often it was restored from a copy, and whether the issuer has reported since."""

from dataclasses import dataclass
from datetime import datetime

from certcore.errors import TransientError

__all__ = ["Epoch", "WaitsForIssuerError"]


class WaitsForIssuerError(TransientError):
    """Nothing new is decided before the registry knows what it lost."""

    def __init__(self) -> None:
        super().__init__(
            "the registry was restored from an older copy: nothing new is decided before the issuer's report"
        )


@dataclass(frozen=True)
class Epoch:
    """`waiting`: the issuer has not reported in this epoch. `reason` is why the epoch began."""

    database_id: str
    number: int
    began_at: datetime | None
    waiting: bool
    reason: str

    def check(self) -> None:
        """Check that something new may be decided.

        Raises:
            WaitsForIssuerError: the issuer has to report first.
        """
        if self.waiting:
            raise WaitsForIssuerError
