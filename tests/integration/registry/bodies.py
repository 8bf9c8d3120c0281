"""Bodies of requests, each for a certificate that no other test has."""

import json
from itertools import count
from typing import Any

__all__ = ["Body", "a_body", "encoded"]

Body = dict[str, Any]

_NUMBERS = count(1)


def a_body(name: str | None = None, **changes: Any) -> Body:
    """A name on one host, internal unless it is asked for as a public one; a changed field of None is left out."""
    name = name or f"app-{next(_NUMBERS)}"
    host = f"{name}.example.test" if changes.get("exposure") == "public" else f"{name}.internal.example.test"
    body: Body = {
        "name": name,
        "dns_names": [host],
        "exposure": "internal",
        "targets": [{"kind": "files", "name": "host", "site": "site1"}],
        "endpoints": [{"url": f"https://{host}:8443", "target": "host"}],
    }
    return {field: value for field, value in {**body, **changes}.items() if value is not None}


def encoded(body: Body) -> bytes:
    return json.dumps(body).encode()
