"""An answer of a CA, made by hand."""

import json

from issuer.cas.acme.answer import Answer

__all__ = ["an_answer"]


def an_answer(body: object = None, *, status: int = 200, raw: bytes | None = None, **headers: str) -> Answer:
    links = (headers.pop("link"),) if "link" in headers else ()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = json.dumps(body).encode() if raw is None else raw
    return Answer("https://ca.test/acme/1", status, named, content, links)
