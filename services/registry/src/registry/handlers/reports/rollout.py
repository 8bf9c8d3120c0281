"""Loads what a report is compared with."""

from certcore.errors import PermanentError
from registry.adapters.store import Transaction
from registry.domain.rollout import Rollout

__all__ = ["load_rollout"]


def load_rollout(transaction: Transaction, certificate_id: str) -> Rollout:
    """The certificate that a report is about, with all that is stored of its rollout.

    Raises:
        PermanentError: there is no such certificate.
    """
    rollout = transaction.rollouts.get(certificate_id)
    if rollout is None:
        raise PermanentError(f"there is no certificate {certificate_id}")
    return rollout
