"""What the registry orders from the others: revisions from the issuer, deployments from the sites."""

from collections.abc import Sequence

from certcore.bundles import SealedKey, digest
from certcore.certificate import Exposure
from certcore.errors import PermanentError
from certcore.events import DeploymentOrdered, EndpointsExpected, IssueOrder, Recipient
from certcore.identities import recipient_name
from certcore.targets import SERVICE_OF_KIND
from registry.adapters.store import Transaction
from registry.domain.certificate import Approval, Certificate, Revision
from registry.domain.rollout import accepted

__all__ = ["deployment_orders", "expectation", "issue_order", "recipient_names"]


async def issue_order(
    transaction: Transaction, certificate: Certificate, approval: Approval, revision: int, *, replaces: str | None
) -> IssueOrder:
    """The order for one revision, sealed to every service that delivers to one of the certificate's targets."""
    wanted = recipient_names(certificate)
    known = [recipient for site in await transaction.sites() for recipient in site.recipients]
    recipients: tuple[Recipient, ...] = tuple(recipient for recipient in known if recipient.name in wanted)
    return IssueOrder(
        certificate_id=certificate.id,
        name=certificate.name,
        revision=revision,
        dns_names=certificate.spec.dns_names,
        exposure=Exposure(certificate.spec.exposure),
        issuer=certificate.spec.issuer,
        key_algorithm=certificate.spec.key_algorithm,
        approval_id=approval.id,
        recipients=recipients,
        replaces=replaces,
    )


def recipient_names(certificate: Certificate) -> set[str]:
    """To whom each revision of the certificate is sealed: the services that deliver to its targets."""
    return {recipient_name(target.site, SERVICE_OF_KIND[target.kind]) for target in certificate.spec.targets}


async def deployment_orders(
    transaction: Transaction, certificate: Certificate, revision: Revision
) -> list[tuple[str, str, DeploymentOrdered]]:
    """One order for each service of each site that has targets of the certificate: (site, service, order).

    Raises:
        PermanentError: a recipient has no sealed key of this revision.
    """
    places = sorted({(target.site, SERVICE_OF_KIND[target.kind]) for target in certificate.spec.targets})
    orders = []
    for site, service in places:
        name = recipient_name(site, service)
        sealed = await transaction.sealed_key(certificate.id, revision.number, name)
        if sealed is None:
            raise PermanentError(f"revision {revision.number} of {certificate.name} is not sealed to {name}")
        order = DeploymentOrdered(
            certificate_id=certificate.id,
            name=certificate.name,
            revision=revision.number,
            serial=revision.serial,
            fingerprint_sha256=revision.fingerprint_sha256,
            not_after=revision.not_after,
            dns_names=certificate.spec.dns_names,
            bundle_sha256=digest(revision.chain_pem, SealedKey.of(name, sealed)),
            targets=tuple(
                target
                for target in certificate.spec.targets
                if (target.site, SERVICE_OF_KIND[target.kind]) == (site, service)
            ),
            traceparent=certificate.traceparent,
        )
        orders.append((site, service, order))
    return orders


def expectation(certificate: Certificate, revisions: Sequence[Revision]) -> EndpointsExpected:
    """What the monitor should see at the certificate's endpoints."""
    return EndpointsExpected(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        endpoints=certificate.spec.endpoints,
        wanted_revision=certificate.wanted,
        accepted=accepted(certificate, revisions),
        traceparent=certificate.traceparent,
    )
