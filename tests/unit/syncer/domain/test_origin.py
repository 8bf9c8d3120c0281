import pytest

from syncer.domain.origin import FieldOwner, OwnerReference, SecretMarks, manager_of

OURS = {"app.kubernetes.io/managed-by": "certbus", "certbus.dev/certificate-id": "crt-0001"}


@pytest.mark.parametrize(
    ("marks", "manager"),
    [
        (SecretMarks(labels=OURS), "certbus"),
        (SecretMarks(annotations={"cert-manager.io/certificate-name": "x"}), "cert-manager"),
        (SecretMarks(labels={"controller.cert-manager.io/fao": "true"}), "cert-manager"),
        (SecretMarks(owners=(OwnerReference("Certificate", "x", "cert-manager.io/v1"),)), "cert-manager"),
        (SecretMarks(labels={"app.kubernetes.io/managed-by": "Helm"}), "helm"),
        (SecretMarks(annotations={"meta.helm.sh/release-name": "x"}), "helm"),
        (SecretMarks(annotations={"argocd.argoproj.io/tracking-id": "x:/Secret:a/b"}), "argocd"),
        (SecretMarks(field_owners=(FieldOwner("kubelet", False), FieldOwner("kubectl", True))), "kubectl"),
        (SecretMarks(field_owners=(FieldOwner("kubelet", False),)), "unknown"),
        (SecretMarks(), "unknown"),
    ],
)
def test_the_manager_of_a_secret_is_told_by_its_marks(marks: SecretMarks, manager: str) -> None:
    assert manager_of(marks) == manager


def test_a_copied_label_alone_is_not_our_origin() -> None:
    assert SecretMarks(labels={"certbus.dev/certificate-id": "crt-0001"}).certificate_id is None
