"""Whether a renewal is ordered without naming what it replaces (RFC 9773 §5).

With `replaces` an order is exempt from limits, so it is given up only where the CA said clearly that it doesn't take
it; what merely failed is asked again with it.
"""

from enum import StrEnum
from typing import Final

from issuer.domain.errors import AcmeProblemError

__all__ = ["GivenUp", "why_without_replaces"]

_REFUSALS: Final = frozenset({"malformed", "unauthorized"})


class GivenUp(StrEnum):
    """Why: field of log lines.

    `already_replaced` is also what a CA says that has an order for it already, as after a crash before its URL was
    stored: without `replaces` it gives that order back.
    """

    ALREADY_REPLACED = "already_replaced"
    REFUSED = "replaces_refused"


def why_without_replaces(problem: AcmeProblemError) -> GivenUp | None:
    """The reason to ask once more without; None where the answer is about something else, or says nothing."""
    if not 400 <= problem.status < 500 or problem.status == 429:
        return None
    # Let's Encrypt called it `conflict` before RFC 9773 gave it a name.
    if problem.type == "alreadyReplaced" or (problem.type, problem.status) == ("conflict", 409):
        return GivenUp.ALREADY_REPLACED
    return GivenUp.REFUSED if problem.type in _REFUSALS else None
