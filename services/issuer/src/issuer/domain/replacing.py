"""Whether an order names the certificate that it replaces (RFC 9773 §5).

Named, the order is exempt from limits, so a CA in trouble is asked again with it. But a CA may fail on the name
itself, each time and with an error of its own: Pebble does for serial numbers with a leading zero octet. Then the
certificate would never be renewed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from issuer.domain.failure import FailureReason
from issuer.domain.job import Job

__all__ = ["Replacing", "Why", "replaced_by"]

_FAILURES: Final = 5
"""So often in a row the CA fails before it is asked without: with the pauses between, about half a minute. In a
longer outage one job at a time asks, so that few lose their exemption.
"""


class Why(StrEnum):
    """Field of log lines."""

    WANTED = "wanted"
    FIRST = "replaces_nothing"
    NAMED_BEFORE = "named_in_an_order_before"
    FAILS = "the_ca_fails_with_it"


@dataclass(frozen=True)
class Replacing:
    ari_id: str | None
    reason: Why


def replaced_by(job: Job) -> Replacing:
    """What the next order of the job says that it replaces."""
    wanted = job.issue_order.replaces
    if wanted is None:
        return Replacing(None, Why.FIRST)
    if job.abandoned:
        return Replacing(None, Why.NAMED_BEFORE)
    if job.ca_order is None and job.reason is FailureReason.CA_TROUBLE and job.setbacks >= _FAILURES:
        return Replacing(None, Why.FAILS)
    return Replacing(wanted, Why.WANTED)
