"""The grammar of every name that enters the system.

Names become subject tokens, file names, Kubernetes names and HAProxy commands, so they are checked once,
here, before they are stored; nothing behind this door escapes them again.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Annotated, Final

from publicsuffixlist import PublicSuffixList
from pydantic import AfterValidator, StringConstraints

__all__ = [
    "KUBERNETES_PATTERN",
    "LABEL_PATTERN",
    "MAX_DNS_NAMES",
    "CertificateName",
    "DnsName",
    "KubernetesName",
    "Label",
    "ends_in_number",
    "is_a_label",
    "is_kubernetes_name",
    "is_label",
    "matches",
    "registered_domain",
    "subject_token",
]

MAX_DNS_NAMES: Final = 100
"""Let's Encrypt's limit for its classic profile; no CA that certbus orders from allows more."""

_LABEL: Final = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$")
LABEL_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
KUBERNETES_PATTERN: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAME: Final = re.compile(LABEL_PATTERN)
_KUBERNETES_NAME: Final = re.compile(KUBERNETES_PATTERN)
_TOKEN: Final = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ACE: Final = "xn--"
_OF_LETTERS: Final = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"})
"""Categories of RFC 5892's letters and digits."""


def is_label(value: str) -> bool:
    """Whether the value is a `Label`, for names that come in a subject instead of a model."""
    return _NAME.fullmatch(value) is not None


def is_kubernetes_name(value: str) -> bool:
    """Whether the value is a `KubernetesName`: it becomes a part of an API server's path."""
    return _KUBERNETES_NAME.fullmatch(value) is not None


def subject_token(value: str) -> bool:
    """Whether the value may stand as one token of a bus subject."""
    return _TOKEN.fullmatch(value) is not None


Label = Annotated[
    str,
    StringConstraints(pattern=LABEL_PATTERN),
]
"""Sites, owners, targets: lower-case letters, digits and hyphens, at most 63."""

CertificateName = Label
KubernetesName = Annotated[
    str,
    StringConstraints(pattern=KUBERNETES_PATTERN),
]
"""RFC 1123 subdomain, as Secrets and namespaces are named."""


@lru_cache(maxsize=1)
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _check_dns_name(value: str) -> str:
    name = value.strip()
    if not name.isascii():
        raise ValueError("is not ASCII: give an internationalised name in its A-label form (xn--…)")
    name = name.lower()
    if name.endswith("."):
        raise ValueError("ends in a dot: leave the dot out")
    labels = name.split(".")
    if labels[0] == "*":
        labels = labels[1:]
    if "*" in "".join(labels):
        raise ValueError("has a wildcard in the wrong place: only the whole first label may be *")
    if len(labels) < 2:
        raise ValueError("is not a fully qualified DNS name: give at least two labels, such as www.example.org")
    if len(name) > 253:
        raise ValueError("is longer than 253 characters")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"is not a DNS name: the label {label[:70]!r} breaks RFC 1123")
    if ends_in_number(name):
        raise ValueError("is an address or ends in a number: only DNS names can be requested")
    if strange := next((label for label in labels if label.startswith(_ACE) and not is_a_label(label)), None):
        raise ValueError(f"is not a DNS name: {strange} stands for no internationalised label")
    host = ".".join(labels)
    if _public_suffixes().privatesuffix(host) is None:
        raise ValueError(f"is a public suffix or stands right above one: {host} belongs to nobody")
    return name


DnsName = Annotated[str, AfterValidator(_check_dns_name)]
"""A host name or a wildcard for one label, lower-case, under a registrable domain."""


def ends_in_number(name: str) -> bool:
    """Whether resolvers and browsers take the name for an IPv4 address, or a broken one: `127.1`, `1.2.3.0x4`."""
    return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def is_a_label(label: str) -> bool:
    """Whether it is the one A-label of a label of letters and digits, in lower case: nothing else is written so, and
    nothing that can't be seen, such as a joiner.
    """
    try:
        written = label.removeprefix(_ACE).encode("ascii").decode("punycode")
        again = written.encode("punycode").decode("ascii")
    except UnicodeError:
        return False
    # The middle dot belongs to Catalan's l·l alone.
    signs = written.replace("l·l", "ll").replace("-", "")
    return (
        label == _ACE + again
        and not written.isascii()
        and written[2:4] != "--"
        and unicodedata.is_normalized("NFKC", written)
        and not unicodedata.category(written[0]).startswith("M")
        and all(unicodedata.category(sign) in _OF_LETTERS for sign in signs)
    )


def registered_domain(dns_name: str) -> str:
    """What somebody bought of a name: one label more than its public suffix. A public suffix stands for itself."""
    host = dns_name.lower().removeprefix("*.")
    return _public_suffixes().privatesuffix(host) or host


def matches(host: str, dns_name: str) -> bool:
    """Whether a certificate for `dns_name` may serve `host` (RFC 9525 §6.3: a wildcard stands for one label)."""
    host, dns_name = host.lower().rstrip("."), dns_name.lower()
    if not dns_name.startswith("*."):
        return host == dns_name
    _, _, parent = host.partition(".")
    return bool(parent) and parent == dns_name[2:]
