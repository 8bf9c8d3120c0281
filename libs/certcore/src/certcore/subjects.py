"""Subjects and stream names, built here and nowhere else.

| stream | subjects |
|---|---|
| REQUESTS | certs.request.<owner>.submit |
| ANSWERS_<owner> | certs.answer.<owner>.<request event id> |
| CERTS | certs.ev.<event>.<certificate id> |
| DEPLOY_<place> | certs.deploy.<place>.<service>.<certificate id> |
| STATUS_<place> | certs.status.<place>.<service>.<event>.<certificate id> |
| LAST_<place> | certs.last.<place>.<service>.<event>.<key> |
| ALERTS | certs.alert.<owner>.<alert id> |
| ANCHOR | certs.anchor.<database id> |
| DLQ_<place> | certs.dlq.<place>.<durable> |

A place is a site or `hub`. Subjects may go on below the certificate id of a deployment, so filters end in `>`.
`challenge.<slot>` may stand in place of that id.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final

from certcore.errors import PermanentError
from certcore.events import EndpointObserved, Event, ProbeRound, SiteHeartbeat, catalogue
from certcore.names import subject_token

REQUESTS: Final = "REQUESTS"
CERTS: Final = "CERTS"
ALERTS: Final = "ALERTS"
ANCHOR: Final = "ANCHOR"

# What the names of the streams of an owner begin with.
ANSWERS: Final = "ANSWERS_"

# What the names of the streams of a place begin with.
DEPLOY: Final = "DEPLOY_"
STATUS: Final = "STATUS_"
LAST: Final = "LAST_"
DLQ: Final = "DLQ_"

ANY_REQUEST: Final = "certs.request.*.submit"
ANY_EVENT: Final = "certs.ev.>"
ANY_ANSWER: Final = "certs.answer.>"
ANY_DEPLOY: Final = "certs.deploy.>"
ANY_ALERT: Final = "certs.alert.>"
ANY_ANCHOR: Final = "certs.anchor.>"

# Nouns that an event's subject leaves out: of each noun that may stand there, only these are so short of it.
_SILENT_NOUNS: Final = frozenset({"certificate", "endpoint", "endpoints", "site"})


def answers_stream(owner: str) -> str:
    return f"{ANSWERS}{owner}"


def deploy_stream(place: str) -> str:
    return f"{DEPLOY}{place}"


def status_stream(place: str) -> str:
    return f"{STATUS}{place}"


def last_stream(place: str) -> str:
    return f"{LAST}{place}"


def dead_letter_stream(place: str) -> str:
    return f"{DLQ}{place}"


def event_name(event_type: str) -> str:
    """The subject token of a type, the same for all its versions and for no other type.

    `certbus.certificate.renewal_due.v1` → `renewal_due`, `certbus.delivery.failed.v1` → `delivery_failed`.
    """
    _, noun, name, _ = event_type.split(".")
    return name if noun in _SILENT_NOUNS else f"{noun}_{name}"


def request(owner: str) -> str:
    return f"certs.request.{owner}.submit"


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
        token = "sha256-" + _digest(token)
    return f"certs.answer.{owner}.{token}"


def answers(owner: str) -> str:
    return f"certs.answer.{owner}.>"


def deploy(place: str, service: str, certificate_id: str) -> str:
    return f"certs.deploy.{place}.{service}.{certificate_id}"


def csr(place: str, service: str, certificate_id: str, target: str) -> str:
    """Beside the deployments of a certificate: one target is asked for a signing request."""
    return f"{deploy(place, service, certificate_id)}.csr.{target}"


def challenge(place: str, service: str, slot: int) -> str:
    """Beside the deployments: a site shall show the answer to a challenge, or remove it.

    A slot is used again when its challenge is over. So a removal takes the place of what it removes, and a stream
    never holds more of them than were shown at once.
    """
    return f"certs.deploy.{place}.{service}.challenge.{slot}"


def challenge_key(host: str, token: str) -> str:
    """What reports name a challenge by, as a token."""
    return _digest(f"{host} {token}")


def deploys(place: str, service: str) -> str:
    return f"certs.deploy.{place}.{service}.>"


def deploys_at(place: str) -> str:
    return f"certs.deploy.{place}.>"


def status(place: str, service: str, event_type: str, about: str) -> str:
    """`about` is a certificate id, the site itself for its review, or a `challenge_key`."""
    return f"certs.status.{place}.{service}.{event_name(event_type)}.{about}"


def statuses(place: str, service: str = "") -> str:
    """All reports of a service, or of a place."""
    return f"certs.status.{place}.{service}.>" if service else f"certs.status.{place}.>"


def last(place: str, service: str, event_type: str, key: str) -> str:
    """The newest event of a type about one thing replaces the one before; `key` is that thing."""
    return f"certs.last.{place}.{service}.{event_name(event_type)}.{key}"


def lasts(place: str, service: str = "") -> str:
    return f"certs.last.{place}.{service}.>" if service else f"certs.last.{place}.>"


def observation_key(certificate_id: str, url: str) -> str:
    """The key of an observation in LAST: a certificate's endpoint, as a token."""
    return _digest(f"{certificate_id} {url}")


def alert(owner: str, alert_id: str) -> str:
    """An alert id that can't be a subject token stands there as its digest, as in `answer`."""
    token = alert_id if subject_token(alert_id) else "sha256-" + _digest(alert_id)
    return f"certs.alert.{owner}.{token}"


def alerts(owner: str) -> str:
    return f"certs.alert.{owner}.>"


def anchor(database_id: str) -> str:
    return f"certs.anchor.{database_id}"


def dead_letter(place: str, durable: str) -> str:
    return f"certs.dlq.{place}.{durable}"


def dead_letters(place: str) -> str:
    return f"certs.dlq.{place}.>"


@dataclass(frozen=True)
class Route:
    stream: str
    subject: str


def route(event: Event, *, place: str, service: str, about: str) -> Route:
    """Where a report travels: to LAST where only the newest counts, else to STATUS.

    `about` is a certificate id, or the site itself.
    """
    match event:
        case EndpointObserved(certificate_id=certificate_id, url=url):
            key = observation_key(certificate_id, url)
        case SiteHeartbeat():
            key = service
        case ProbeRound(worker=worker):
            key = worker if subject_token(worker) else _digest(worker)
        case _:
            return Route(status_stream(place), status(place, service, event.type, about))
    return Route(last_stream(place), last(place, service, event.type, key))


@dataclass(frozen=True)
class Reporter:
    """Who published a report: the broker's permissions bind both to the connection."""

    place: str
    service: str


def reporter(subject: str) -> Reporter:
    """Read the reporter of a STATUS or LAST subject.

    Raises:
        PermanentError: it names none.
    """
    match subject.split("."):
        case ["certs", "status" | "last", place, service, _, *_]:
            return Reporter(place, service)
    raise PermanentError(f"the subject {subject} names no reporter")


def is_last(subject: str) -> bool:
    """Whether only the newest message of the subject counts."""
    return subject.startswith("certs.last.")


def family(subject: str) -> str:
    """What a subject has in common with those of other certificates, owners and keys, as a label of metrics.

    Bounded by the places, services and types of events, whatever a publisher puts into its subjects.

    `certs.last.site1.monitor.observed.3f…` → `certs.last.site1.monitor.observed`
    """
    match subject.split("."):
        case ["certs", "status" | "last" as kind, place, service, name, *_]:
            return f"certs.{kind}.{place}.{service}.{_known(name)}"
        case ["certs", "ev", name, *_]:
            return f"certs.ev.{_known(name)}"
        case ["certs", "deploy", place, service, *_]:
            return f"certs.deploy.{place}.{service}"
        case ["certs", "dlq", place, *_]:
            return f"certs.dlq.{place}"
        case ["certs", "request" | "answer" | "alert" | "anchor" as kind, *_]:
            return f"certs.{kind}"
    return "other"


def _known(name: str) -> str:
    return name if name in _event_names() else "other"


@cache
def _event_names() -> frozenset[str]:
    return frozenset(map(event_name, catalogue()))


def owner_of_request(subject: str) -> str:
    """Read who asks from a REQUESTS subject."""
    return subject.split(".")[2]


def owner_of_answer(subject: str) -> str:
    """Read who asked from the subject of an answer."""
    return subject.split(".")[2]


def _digest(text: str) -> str:
    """32 hex digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
