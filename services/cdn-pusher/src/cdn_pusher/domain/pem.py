"""The one form in which HAProxy gets a certificate: leaf, chain, key; LF; nothing before, between or after.

A blank line would end the payload of a runtime command, and the chain after it would be lost.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from certcore.errors import InspectionError
from certcore.inspection import X509Certificate, check_pair, read_chain

__all__ = ["HaproxyPem", "normal_pem", "read_pem"]

_KEY: Final = re.compile(
    rb"-----BEGIN (?P<kind>(?:RSA |EC )?PRIVATE KEY)-----\s(?P<body>[A-Za-z0-9+/=\s]+)-----END (?P=kind)-----"
)

_MARK: Final = b"CERTIFICATE-----"


@dataclass(frozen=True)
class HaproxyPem:
    chain: tuple[X509Certificate, ...]
    content: bytes = field(repr=False)

    @property
    def leaf(self) -> X509Certificate:
        return self.chain[0]

    @property
    def sha1(self) -> str:
        """Upper-case hex, as HAProxy shows it for the leaf in memory."""
        return hashlib.sha1(self.leaf.der, usedforsecurity=False).hexdigest().upper()

    @property
    def presented(self) -> tuple[str, ...]:
        """The SHA-256 fingerprints that a handshake must show, the leaf's first."""
        return tuple(certificate.fingerprint_sha256 for certificate in self.chain)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def normal_pem(chain_pem: bytes, key_pem: bytes) -> HaproxyPem:
    """Bring chain and key into the normal form, whatever blank lines, CRLF, comments or order they came with.

    Raises:
        InspectionError: they can't be read or don't fit together.
    """
    chain = read_chain(chain_pem)
    if chain_pem.count(_MARK) != 2 * len(chain):
        # A block with a broken BEGIN or END line would be skipped, and missing from the chain.
        raise InspectionError("chain holds a certificate whose borders are broken")
    key = _KEY.search(key_pem)
    if key is None:
        raise InspectionError(f"no private key comes with the certificate with serial {chain[0].serial}")
    kind, digits = key["kind"], b"".join(key["body"].split())
    body = b"\n".join(digits[start : start + 64] for start in range(0, len(digits), 64))
    key_block = b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (kind, body, kind)
    check_pair(chain, key_block)
    return HaproxyPem(chain, "".join(certificate.pem for certificate in chain).encode() + key_block)


def read_pem(content: bytes) -> HaproxyPem:
    """Read a file's content; the result's `content` equals it only if it is in normal form.

    Raises:
        InspectionError: it can't be read or doesn't fit together.
    """
    return normal_pem(content, content)
