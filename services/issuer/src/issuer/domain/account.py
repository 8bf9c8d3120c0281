"""The account at a CA (RFC 8555 §7.1.2): one for all hosts that share a journal."""

from dataclasses import dataclass

__all__ = ["AccountRecord"]


@dataclass(frozen=True)
class AccountRecord:
    """`key_thumbprint` is that of RFC 7638, `sealed_key` the private key (PKCS #8, DER) as only an issuer's host can
    open it. `url` is None until the CA has answered: the key is stored before the CA hears of it.
    """

    ca: str
    directory_url: str
    key_thumbprint: str
    sealed_key: bytes
    url: str | None = None
