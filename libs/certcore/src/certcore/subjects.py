"""Subjects and stream names, built here and nowhere else (DESIGN §3).

| stream | subjects |
|---|---|
| REQUESTS | certs.request.<owner>.> |
| CERTS | certs.ev.<event>.<certificate id>, certs.answer.<owner>.<request event id> |
| DEPLOY_<site> | certs.deploy.<site>.<service>.<certificate id> |
| STATUS | certs.status.<site>.<service>.<event>.<certificate id>, where services without a site are at `hub` |
| ALERTS | certs.alert.<severity>.<owner> |
| DLQ | certs.dlq.<durable> |
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from certcore.errors import PermanentError
from certcore.names import subject_token

REQUESTS: Final = "REQUESTS"
CERTS: Final = "CERTS"
STATUS: Final = "STATUS"
ALERTS: Final = "ALERTS"
DLQ: Final = "DLQ"

HUB: Final = "hub"
"""The place of services that belong to no site; no site may be called so."""

ANY_REQUEST: Final = "certs.request.>"
ANY_EVENT: Final = "certs.ev.>"
ANY_ANSWER: Final = "certs.answer.>"
ANY_STATUS: Final = "certs.status.>"
ANY_ALERT: Final = "certs.alert.>"
ANY_DEAD_LETTER: Final = "certs.dlq.>"


def deploy_stream(site: str) -> str:
    return f"DEPLOY_{site}"


def event_name(event_type: str) -> str:
    """The subject token of a type: `certbus.certificate.renewal_due.v1` → `renewal_due`."""
    return event_type.rsplit(".", 2)[1]


def request(owner: str, name: str) -> str:
    return f"certs.request.{owner}.{name}"


def event(event_type: str, certificate_id: str) -> str:
    return f"certs.ev.{event_name(event_type)}.{certificate_id}"


def events(event_type: str) -> str:
    return f"certs.ev.{event_name(event_type)}.>"


def answer(owner: str, request_event_id: str) -> str:
    """Where the answer to a request event is published, and kept: its last message is the answer.

    An id that can't be a subject token stands there as `sha256-` and the first 32 hex digits of its SHA-256.
    """
    token = request_event_id
    if not subject_token(token):
        token = "sha256-" + hashlib.sha256(token.encode()).hexdigest()[:32]
    return f"certs.answer.{owner}.{token}"


def deploy(site: str, service: str, certificate_id: str) -> str:
    return f"certs.deploy.{site}.{service}.{certificate_id}"


def deploys(site: str, service: str) -> str:
    return f"certs.deploy.{site}.{service}.>"


def status(place: str, service: str, event_type: str, about: str) -> str:
    """`about` is a certificate id, or the site itself for heartbeats and reviews."""
    return f"certs.status.{place}.{service}.{event_name(event_type)}.{about}"


def alert(severity: str, owner: str) -> str:
    return f"certs.alert.{severity}.{owner}"


def dead_letter(durable: str) -> str:
    return f"certs.dlq.{durable}"


@dataclass(frozen=True)
class Reporter:
    """Who published a status report: the broker's permissions bind both to the connection."""

    place: str
    service: str


def reporter(subject: str) -> Reporter:
    """Read the reporter of a STATUS subject.

    Raises:
        PermanentError: it names none.
    """
    match subject.split("."):
        case ["certs", "status", place, service, *_]:
            return Reporter(place, service)
    raise PermanentError(f"the subject {subject} names no reporter")


def owner_of_request(subject: str) -> str:
    """Read who asks from a REQUESTS subject."""
    return subject.split(".")[2]
