"""Bodies that are refused, each with the fields that its refusal names."""

from dataclasses import dataclass
from typing import Any

from tests.integration.registry.bodies import Body, a_body, encoded

__all__ = ["CASES", "FILES", "PODS", "URL", "Bad"]


@dataclass(frozen=True)
class Bad:
    """A body and the fields that its refusal names."""

    what: str
    body: bytes
    fields: tuple[str, ...]


def body_with(**changes: Any) -> Body:
    return {**a_body("bad-input"), **changes}


def bad(what: str, *fields: str, **changes: Any) -> Bad:
    return Bad(what, encoded(body_with(**changes)), fields)


def raw(what: str, body: bytes, *fields: str) -> Bad:
    return Bad(what, body, fields or ("body",))


def with_text(text: str) -> bytes:
    """The good body with more text before its last brace."""
    return encoded(a_body("bad-input"))[:-1] + text.encode() + b"}"


FILES = {"kind": "files", "name": "host", "site": "site1"}
PODS = {"kind": "kubernetes", "name": "pods", "site": "site1", "namespaces": ["web"], "secret": "tls"}
NAME = "bad-input.internal.example.test"
URL = f"https://{NAME}:8443"

CASES = [
    raw("malformed JSON", b'{"name": "x",'),
    raw("no JSON", b"name=x&exposure=internal"),
    raw("nothing", b""),
    raw("a list", b"[]"),
    raw("null", b"null"),
    raw("a string", b'"request"'),
    raw("a number", b"7"),
    raw("two objects", b"{}{}"),
    raw("a byte order mark", b"\xef\xbb\xbf" + encoded(a_body("bad-input"))),
    raw("UTF-16", encoded(a_body("bad-input")).decode().encode("utf-16")),
    raw("no UTF-8", b'{"name": "\xff\xfe"}'),
    raw("half of a surrogate pair", with_text(', "owner": "\\ud800"')),
    raw("a deep nest", b'{"name":' * 5000 + b"1" + b"}" * 5000),
    raw("a deeper nest", b"[" * 30_000),
    raw("NaN", with_text(', "end_date": NaN')),
    raw("Infinity", with_text(', "end_date": -Infinity')),
    raw("a control character in a string", b'{"name": "a\nb"}'),
    raw("a larger body than is read", encoded({**a_body("bad-input"), "pad": "x" * 70_000})),
    raw("a field given twice", with_text(', "name": "another"'), "name"),
    raw("a field of a target given twice", b'{"targets": [{"site": "site1", "site": "site2"}]}', "site"),
    bad("an unknown field", "colour", colour="blue"),
    bad("an unknown field of a target", "targets.0.path", targets=[{**FILES, "path": "/etc"}]),
    bad("an unknown field of an endpoint", "endpoints.0.sni", endpoints=[{"url": URL, "sni": "x"}]),
    bad("a null for a name", "name", name=None),
    bad("a number for a name", "name", name=7),
    bad("a boolean for a name", "name", name=True),
    bad("a list for a name", "name", name=["bad-input"]),
    bad("a huge number for a name", "name", name=10**400),
    bad("an empty name", "name", name=""),
    bad("a name of 64 letters", "name", name="a" * 64),
    bad("a name in capitals", "name", name="Bad-Input"),
    bad("bus metacharacters in a name", "name", name="a.*.>"),
    bad("a name that ends a line", "name", name="bad-input\n"),
    bad("a name with CRLF", "name", name="bad\r\ninput"),
    bad("a text for DNS names", "dns_names", dns_names=NAME),
    bad("an object for DNS names", "dns_names", dns_names={"0": NAME}),
    bad("no DNS name", "dns_names", dns_names=[]),
    bad("a number for a DNS name", "dns_names.0", dns_names=[7]),
    bad("a null for a DNS name", "dns_names.1", dns_names=[NAME, None]),
    bad("one label", "dns_names.0", dns_names=["localhost"]),
    bad("an empty label", "dns_names.0", dns_names=["a..example.org"]),
    bad("a hyphen at the start", "dns_names.0", dns_names=["-a.example.org"]),
    bad("an underscore", "dns_names.0", dns_names=["a_b.example.org"]),
    bad("a space inside", "dns_names.0", dns_names=["a b.example.org"]),
    bad("CRLF inside", "dns_names.0", dns_names=["a.exam\r\nple.org"]),
    bad("an IPv4 address", "dns_names.0", dns_names=["192.0.2.7"]),
    bad("an IPv6 address", "dns_names.0", dns_names=["[2001:db8::1]"]),
    bad("a URL", "dns_names.0", dns_names=["https://a.example.org"]),
    bad("an email address", "dns_names.0", dns_names=["a@example.org"]),
    bad("a trailing dot", "dns_names.0", dns_names=["a.example.org."]),
    bad("letters that are not ASCII", "dns_names.0", dns_names=["ünïcode.example.org"]),
    bad("a label of 64 letters", "dns_names.0", dns_names=["a" * 64 + ".example.org"]),
    bad("a name of 254 letters", "dns_names.0", dns_names=[".".join(["a" * 62] * 3 + ["a" * 61, "org"])]),
    bad("a wildcard below the first label", "dns_names.0", dns_names=["a.*.example.org"]),
    bad("a wildcard for part of a label", "dns_names.0", dns_names=["a*.example.org"]),
    bad("two wildcards", "dns_names.0", dns_names=["*.*.example.org"]),
    bad("nothing but a wildcard", "dns_names.0", dns_names=["*"]),
    bad("a wildcard for a top level", "dns_names.0", dns_names=["*.org"]),
    bad("a public suffix", "dns_names.0", dns_names=["co.uk"]),
    bad("a wildcard above a public suffix", "dns_names.0", dns_names=["*.co.uk"]),
    bad("somebody else's suffix", "dns_names.0", dns_names=["github.io"]),
    bad("101 names", "dns_names", dns_names=[NAME, *(f"h{number}.example.org" for number in range(100))]),
    bad("a name given twice", "dns_names.1", dns_names=[NAME, NAME.upper()]),
    bad("an unknown exposure", "exposure", exposure="secret"),
    bad("a number for an exposure", "exposure", exposure=1),
    bad("an unknown issuer", "issuer", issuer="somebody"),
    bad("an unknown key algorithm", "key_algorithm", key_algorithm="rsa-512"),
    bad("another team", "owner", owner="treasury"),
    bad("an object for targets", "targets", targets={"0": FILES}),
    bad("no target", "targets", targets=[], endpoints=[{"url": URL}]),
    bad("an unknown site", "targets.0.site", targets=[{**FILES, "site": "site9"}]),
    bad("the hub as a site", "targets.0.site", targets=[{**FILES, "site": "hub"}]),
    bad("an unknown kind", "targets.0.kind", targets=[{**FILES, "kind": "ftp"}]),
    bad("no kind", "targets.0.kind", targets=[{"name": "host", "site": "site1"}]),
    bad(
        "a kind that nobody delivers there", "targets.0.kind", targets=[{**FILES, "kind": "haproxy", "site": "site2"}]
    ),
    bad("no namespace", "targets.0.namespaces", targets=[{**PODS, "namespaces": []}], endpoints=[{"url": URL}]),
    bad(
        "a secret that is a path", "targets.0.secret", targets=[{**PODS, "secret": "../x"}], endpoints=[{"url": URL}]
    ),
    bad("a target given twice", "targets.1", targets=[FILES, {**FILES, "site": "site2"}]),
    bad("a null for endpoints", "endpoints", endpoints=None),
    bad("no endpoint", "endpoints", endpoints=[]),
    bad("plain http", "endpoints.0.url", endpoints=[{"url": f"http://{NAME}"}]),
    bad("credentials in a URL", "endpoints.0.url", endpoints=[{"url": f"https://user:word@{NAME}"}]),
    bad("a path in a URL", "endpoints.0.url", endpoints=[{"url": f"https://{NAME}/health"}]),
    bad("CRLF in a URL", "endpoints.0.url", endpoints=[{"url": f"https://{NAME}\r\nHost: x"}]),
    bad("port 0", "endpoints.0.url", endpoints=[{"url": f"https://{NAME}:0"}]),
    bad("port 65536", "endpoints.0.url", endpoints=[{"url": f"https://{NAME}:65536"}]),
    bad("a file", "endpoints.0.url", endpoints=[{"url": "file:///etc/passwd"}]),
    bad("a host that is not requested", "endpoints.0.url", endpoints=[{"url": "https://other.example.org"}]),
    bad("an endpoint of no target", "endpoints.0.target", endpoints=[{"url": URL, "target": "nowhere"}]),
    bad("an endpoint given twice", "endpoints.1", endpoints=[{"url": URL}, {"url": URL}]),
    bad("an end in the past", "end_date", end_date="2020-01-01T00:00:00Z"),
    bad("an end without a time zone", "end_date", end_date="2100-01-01T00:00:00"),
    bad("an end beyond all calendars", "end_date", end_date="99999-01-01T00:00:00Z"),
    bad("several faults at once", "name", "exposure", name="No Name", exposure="x"),
]
