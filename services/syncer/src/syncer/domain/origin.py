"""The marks by which certbus recognises its own Secrets, and those of other controllers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "CERTIFICATE",
    "CERTIFICATE_ID",
    "CHAIN_SHA256",
    "FINGERPRINT",
    "GENERATION",
    "MANAGED_BY",
    "MANAGER",
    "MARKS_SHA256",
    "REVISION",
    "SITE",
    "FieldOwner",
    "OwnerReference",
    "SecretMarks",
    "manager_of",
    "owner_of",
]

MANAGER: Final = "certbus"
"""Our field manager, and our value of `app.kubernetes.io/managed-by`."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
CERTIFICATE_ID: Final = "certbus.dev/certificate-id"
CERTIFICATE: Final = "certbus.dev/certificate"
SITE: Final = "certbus.dev/site"
REVISION: Final = "certbus.dev/revision"
GENERATION: Final = "certbus.dev/generation"
FINGERPRINT: Final = "certbus.dev/fingerprint-sha256"
CHAIN_SHA256: Final = "certbus.dev/chain-sha256"
MARKS_SHA256: Final = "certbus.dev/marks-sha256"
"""Over certificate, generation, revision and fingerprint, to notice an edited annotation."""

UNKNOWN: Final = "unknown"

_CERT_MANAGER_NAME: Final = "cert-manager.io/certificate-name"
_CERT_MANAGER_MARKS: Final = (_CERT_MANAGER_NAME, "controller.cert-manager.io/fao", "cert-manager.io/issuer-name")
_ARGO_MARKS: Final = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
_HELM_MARK: Final = "meta.helm.sh/release-name"


@dataclass(frozen=True)
class OwnerReference:
    kind: str
    name: str
    api_version: str = ""


@dataclass(frozen=True)
class FieldOwner:
    """One entry of managedFields; `holds_data` where it owns the certificate's field or the whole data."""

    manager: str
    holds_data: bool


@dataclass(frozen=True)
class SecretMarks:
    """The part of a Secret's metadata that shows its origin."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: Sequence[OwnerReference] = ()
    field_owners: Sequence[FieldOwner] = ()

    @property
    def certificate_id(self) -> str | None:
        """The certificate whose copy this is, where it is one of certbus."""
        return self.labels.get(CERTIFICATE_ID) if self.labels.get(MANAGED_BY) == MANAGER else None

    @property
    def revision(self) -> int | None:
        return self._number(REVISION)

    @property
    def generation(self) -> int | None:
        """None where the copy was written before there were generations."""
        return self._number(GENERATION)

    def _number(self, name: str) -> int | None:
        value = self.annotations.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


def owner_of(marks: SecretMarks) -> str | None:
    """Another controller that would write this Secret again, in words."""
    if name := marks.annotations.get(_CERT_MANAGER_NAME):
        return f"cert-manager Certificate {name}"
    for owner in marks.owners:
        return f"{owner.kind} {owner.name}"
    return None


def manager_of(marks: SecretMarks) -> str:
    """What manages this Secret: certbus, cert-manager, helm, argocd, else the field manager of its data."""
    if marks.certificate_id is not None:
        return MANAGER
    if any(mark in known for known in (marks.annotations, marks.labels) for mark in _CERT_MANAGER_MARKS):
        return "cert-manager"
    if any(owner.api_version.startswith("cert-manager.io/") for owner in marks.owners):
        return "cert-manager"
    if any(mark in known for known in (marks.annotations, marks.labels) for mark in _ARGO_MARKS):
        return "argocd"
    if _HELM_MARK in marks.annotations or marks.labels.get(MANAGED_BY) == "Helm":
        return "helm"
    return next((owner.manager for owner in marks.field_owners if owner.holds_data and owner.manager), UNKNOWN)
