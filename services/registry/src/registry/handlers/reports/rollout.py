"""What a report is compared with, loaded."""

from certcore.errors import PermanentError
from registry.adapters.store import Transaction
from registry.domain.certificate import Certificate
from registry.domain.rollout import Rollout

__all__ = ["load_certificate", "load_rollout"]


async def load_certificate(transaction: Transaction, certificate_id: str) -> Certificate:
    """The certificate that a report is about.

    Raises:
        PermanentError: there is none.
    """
    certificate = await transaction.certificates.get(certificate_id)
    if certificate is None:
        raise PermanentError(f"there is no certificate {certificate_id}")
    return certificate


async def load_rollout(transaction: Transaction, certificate_id: str) -> Rollout:
    """The certificate that a report is about, with all that is stored of its rollout.

    Raises:
        PermanentError: there is no such certificate.
    """
    return Rollout(
        await load_certificate(transaction, certificate_id),
        revisions=tuple(await transaction.revisions.of(certificate_id)),
        deliveries=tuple(await transaction.deliveries.of(certificate_id)),
        endpoints=tuple(await transaction.endpoints.of(certificate_id)),
    )
