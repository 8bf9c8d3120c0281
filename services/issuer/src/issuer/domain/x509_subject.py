"""The common name of a subject, for who still wants one."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

__all__ = ["subject_of"]

_LONGEST: Final = 64
"""RFC 5280, appendix A: ub-common-name-length."""


def subject_of(dns_names: Sequence[str], *, common_name: bool) -> x509.Name:
    """With the first name that fits; empty where none does, as the names stand in the extension anyway."""
    fitting = [name for name in dns_names if len(name) <= _LONGEST]
    if not common_name or not fitting:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fitting[0])])
