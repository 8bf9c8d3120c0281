"""What was decided, carried out: saved and announced in one transaction."""

import structlog

from registry.adapters.outbox import Outbox
from registry.adapters.store import Transaction
from registry.domain.certificate import Certificate
from registry.domain.change import Change
from registry.domain.deployment import Deployment

__all__ = ["save_change"]

log = structlog.get_logger()


async def save_change(
    transaction: Transaction, outbox: Outbox, certificate: Certificate, change: Change
) -> Certificate:
    """Save a change of the certificate and announce it; returns the certificate as it is then."""
    changed = change.certificate or certificate
    if change.certificate is not None:
        await transaction.certificates.save(change.certificate)
    if change.revision is not None:
        await transaction.revisions.save(change.revision)
    for delivery in change.deliveries:
        await transaction.deliveries.save(delivery)
    if change.endpoint is not None:
        await transaction.endpoints.save(change.endpoint)
    for announced in change.announced:
        if isinstance(announced, Deployment):
            await outbox.order(transaction, changed, announced)
        else:
            await outbox.announce(transaction, changed, announced)
    if changed.state is not certificate.state:
        log.info("certificate_moved", certificate=changed.name, state=changed.state.value, reason=change.reason)
    return changed
