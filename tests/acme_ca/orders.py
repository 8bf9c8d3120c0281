"""Accounts, orders, authorizations and challenges as the CA holds them, and how they are shown."""

from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from josepy.jwk import JWK

from tests.acme_ca.calls import Endpoint

__all__ = ["Account", "Authorization", "Challenge", "Order"]


@dataclass
class Account:
    id: str
    key: JWK = field(repr=False)
    contact: tuple[str, ...] = ()
    customer: str | None = None
    status: str = "valid"

    def shown(self, url: str) -> dict[str, Any]:
        return {"status": self.status, "contact": list(self.contact), "orders": f"{url}/orders/{self.id}"}


@dataclass
class Challenge:
    id: str
    kind: str
    token: str
    status: str = "pending"
    error: dict[str, Any] | None = None

    def shown(self, url: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "type": self.kind,
            "url": f"{url}/{Endpoint.CHALLENGE}/{self.id}",
            "status": self.status,
            "token": self.token,
        }
        if self.error:
            shown["error"] = self.error
        return shown


@dataclass
class Authorization:
    """`answers` counts how often a challenge of it was answered."""

    id: str
    account: str
    name: str
    wildcard: bool
    challenges: list[Challenge]
    status: str = "pending"
    answers: int = 0

    def shown(self, url: str) -> dict[str, Any]:
        challenges = [one for one in self.challenges if self.status == "pending" or one.status != "pending"]
        shown: dict[str, Any] = {
            "identifier": {"type": "dns", "value": self.name},
            "status": self.status,
            "expires": "2036-01-01T00:00:00Z",
            "challenges": [challenge.shown(url) for challenge in challenges],
        }
        if self.wildcard:
            shown["wildcard"] = True
        return shown


@dataclass
class Order:
    """`nth` counts the orders for these names; `finalized_at` is when a finalize was taken (monotonic)."""

    id: str
    account: str
    names: tuple[str, ...]
    authorizations: list[Authorization]
    nth: int
    opened_at: float
    profile: str | None = None
    replaces: str | None = None
    status: str = "pending"
    error: dict[str, Any] | None = None
    csr: x509.CertificateSigningRequest | None = field(default=None, repr=False)
    finalized_at: float | None = None
    looks: int = 0
    leaf: x509.Certificate | None = field(default=None, repr=False)
    chain: bytes = field(default=b"", repr=False)

    @property
    def live(self) -> bool:
        return self.status in {"pending", "ready", "processing"}

    def settle(self) -> None:
        """Follow the authorizations (RFC 8555 §7.1.6)."""
        if self.status != "pending":
            return
        states = {authorization.status for authorization in self.authorizations}
        if states == {"valid"}:
            self.status = "ready"
        elif states - {"valid", "pending"}:
            self.status = "invalid"

    def shown(self, url: str, *, with_certificate: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "status": self.status,
            "expires": "2036-01-01T00:00:00Z",
            "identifiers": [{"type": "dns", "value": name} for name in self.names],
            "authorizations": [f"{url}/{Endpoint.AUTHORIZATION}/{one.id}" for one in self.authorizations],
            "finalize": f"{url}/{Endpoint.FINALIZE}/{self.id}",
        }
        optional = {"profile": self.profile, "replaces": self.replaces, "error": self.error}
        shown |= {name: value for name, value in optional.items() if value is not None}
        if with_certificate:
            shown["certificate"] = f"{url}/{Endpoint.CERTIFICATE}/{self.id}"
        return shown
