"""Deployments: which service of which site brings a revision to which targets."""

from collections.abc import Mapping
from dataclasses import dataclass

from certcore.bundles import SealedKey, digest
from certcore.errors import PermanentError
from certcore.events import DeploymentOrdered
from certcore.targets import SERVICE_OF_KIND
from registry.domain.certificate import Certificate, Revision
from registry.domain.site import recipient_name

__all__ = ["Deployment", "deployments"]


@dataclass(frozen=True)
class Deployment:
    """What one service of a site is ordered to deliver."""

    site: str
    service: str
    order: DeploymentOrdered


def deployments(certificate: Certificate, revision: Revision, sealed: Mapping[str, bytes]) -> tuple[Deployment, ...]:
    """One for each service of each site that has targets of the certificate; `sealed` has the keys by recipient.

    Raises:
        PermanentError: a recipient has no sealed key of this revision.
    """
    places = sorted({(target.site, SERVICE_OF_KIND[target.kind]) for target in certificate.spec.targets})
    return tuple(
        Deployment(site, service, _order(certificate, revision, site, service, sealed)) for site, service in places
    )


def _order(
    certificate: Certificate, revision: Revision, site: str, service: str, sealed: Mapping[str, bytes]
) -> DeploymentOrdered:
    name = recipient_name(site, service)
    key = sealed.get(name)
    if key is None:
        raise PermanentError(f"revision {revision.number} of {certificate.name} is not sealed to {name}")
    return DeploymentOrdered(
        certificate_id=certificate.id,
        name=certificate.name,
        revision=revision.number,
        serial=revision.serial,
        fingerprint_sha256=revision.fingerprint_sha256,
        not_after=revision.not_after,
        dns_names=certificate.spec.dns_names,
        bundle_sha256=digest(revision.chain_pem, SealedKey.of(name, key)),
        targets=tuple(
            target
            for target in certificate.spec.targets
            if (target.site, SERVICE_OF_KIND[target.kind]) == (site, service)
        ),
        traceparent=certificate.traceparent,
    )
