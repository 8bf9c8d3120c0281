"""Which of two orders for a certificate counts."""

from enum import StrEnum

from certcore.events import DeploymentOrdered

__all__ = ["Standing", "standing"]


class Standing(StrEnum):
    """How an order stands to the one that is known: metric label, field of the log line."""

    FIRST = "first"
    NEWER = "newer"
    CHANGED = "changed"
    SAME = "same"
    OLDER = "older"

    @property
    def urgent(self) -> bool:
        """Whether it ends the wait for another try: there is something new to try."""
        return self in {Standing.FIRST, Standing.NEWER, Standing.CHANGED}


def standing(known: DeploymentOrdered | None, offered: DeploymentOrdered) -> Standing:
    """The newest revision counts; of two orders for one revision, the one that came last.

    An older order is a redelivery or a late one: following it would take a certificate back.
    """
    if known is None:
        return Standing.FIRST
    if offered.revision != known.revision:
        return Standing.NEWER if offered.revision > known.revision else Standing.OLDER
    if _content(offered) != _content(known):
        return Standing.CHANGED
    return Standing.SAME


def _content(order: DeploymentOrdered) -> DeploymentOrdered:
    return order.model_copy(update={"traceparent": None})
