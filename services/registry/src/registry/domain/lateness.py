"""What is told of a certificate whose last sixth began although nothing follows it yet."""

from datetime import datetime
from typing import Final, NamedTuple

from certcore.events import Severity
from registry.domain.alert import OwnersFinding
from registry.domain.planning import minute

__all__ = ["LATE", "Unfollowed", "late_of"]

LATE: Final = "renewal_late"
_WHY: Final = 300


class Unfollowed(NamedTuple):
    """A certificate of which what is issued is in its last sixth, since `renew_by`, and nothing follows it."""

    name: str
    owner: str
    state: str
    renewal_reason: str
    renew_by: datetime
    served_until: datetime | None


def late_of(found: Unfollowed, *, now: datetime) -> OwnersFinding:
    """Half of the last sixth, or an unknown part of it, is critical."""
    name, end = found.name, found.served_until
    why = f"it is {found.state}; {found.renewal_reason}"[:_WHY]
    if end is None:
        told = f"{name} should be renewed since {minute(found.renew_by)}, and nothing is known to be served: {why}"
        return OwnersFinding(name, found.owner, Severity.CRITICAL, told)
    half = found.renew_by + (end - found.renew_by) / 2
    ends = "ended" if end <= now else "ends"
    told = f"what is served of {name} {ends} at {minute(end)}, and no next revision is there: {why}"
    return OwnersFinding(name, found.owner, Severity.CRITICAL if now >= half else Severity.WARNING, told)
