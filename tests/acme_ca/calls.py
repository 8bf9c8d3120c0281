"""What was asked, and what is answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

__all__ = ["PROBLEM", "Call", "Endpoint", "RefusedError", "Reply", "problem", "replied"]

PROBLEM: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:ietf:params:acme:error:"


class Endpoint(StrEnum):
    """First segment of each path."""

    DIRECTORY = "dir"
    NEW_NONCE = "new-nonce"
    NEW_ACCOUNT = "new-account"
    ACCOUNT = "account"
    NEW_ORDER = "new-order"
    ORDER = "order"
    AUTHORIZATION = "authorization"
    CHALLENGE = "challenge"
    FINALIZE = "finalize"
    CERTIFICATE = "certificate"
    REVOKE = "revoke"
    RENEWAL_INFO = "renewal-info"


@dataclass(frozen=True)
class Call:
    """One request as it came. `names` are those of its order; `item` is what follows the endpoint in the path.

    `protected` and `payload` of the JWS are decoded and not yet checked; payload None is POST-as-GET. `client_port`
    tells which process asked, `at` when (monotonic).
    """

    endpoint: Endpoint
    item: str
    method: str
    url: str
    at: float
    client_port: int
    body: bytes = field(repr=False)
    protected: dict[str, Any] = field(default_factory=dict)
    payload: Any = None
    order: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """`drop` breaks the connection instead; `close` ends it after the answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    close: bool = False

    def document(self) -> Any:
        return json.loads(self.body)

    def telling(self, **headers: str) -> "Reply":
        """With these headers; underscores in their names are dashes."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **told})


def replied(body: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; underscores in names of headers are dashes."""
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"}).telling(**headers)


def problem(kind: str, status: int = 400, detail: str = "", **more: Any) -> Reply:
    """A problem document (RFC 9457)."""
    document = {"type": _TYPE_PREFIX + kind, "detail": detail or f"{kind} it is", "status": status, **more}
    return Reply(status, json.dumps(document).encode(), {"Content-Type": PROBLEM})


class RefusedError(Exception):
    """Ends a call with a problem."""

    def __init__(self, kind: str, status: int = 400, detail: str = "", **more: Any) -> None:
        super().__init__(f"{kind}: {detail}")
        self.reply = problem(kind, status, detail, **more)
