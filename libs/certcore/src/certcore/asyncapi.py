"""The bus as an AsyncAPI 3.0 document, made from the catalogue of events: `python -m certcore.asyncapi`."""

import json
from typing import Final, TypedDict

from pydantic import JsonValue

from certcore import events, subjects
from certcore.door import RequestDoor
from certcore.events import Event
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds

__all__ = ["Channel", "Components", "Document", "Headers", "Info", "Message", "Reference", "document"]

Schema = dict[str, JsonValue]
"""A JSON schema, as pydantic writes it."""

Reference = TypedDict("Reference", {"$ref": str})


class Headers(TypedDict):
    type: str
    required: list[str]
    properties: dict[str, dict[str, str]]


class Message(TypedDict):
    name: str
    contentType: str  # as AsyncAPI has it
    headers: Headers
    payload: Reference


class Channel(TypedDict):
    address: str
    description: str
    parameters: dict[str, dict[str, str]]
    messages: dict[str, Reference]


class Info(TypedDict):
    title: str
    version: str
    description: str


class Components(TypedDict):
    messages: dict[str, Message]
    schemas: dict[str, JsonValue]


class Document(TypedDict):
    asyncapi: str
    info: Info
    defaultContentType: str  # as AsyncAPI has it
    channels: dict[str, Channel]
    components: Components


# stream → address with its parameters, who writes, and the events that travel there.
_CHANNELS: Final[dict[str, tuple[str, str, tuple[type[Event], ...]]]] = {
    subjects.REQUESTS: (
        "certs.request.{owner}.submit",
        "anyone allowed to ask",
        (events.RequestSubmitted, events.RequestSubmittedV1),
    ),
    "ANSWERS": (
        "certs.answer.{owner}.{request_event_id}",
        "registry, in the stream ANSWERS_{owner}",
        (events.RequestAccepted, events.RequestRejected),
    ),
    subjects.CERTS: (
        "certs.ev.{event}.{certificate_id}",
        "registry",
        (
            events.CertificateRequested,
            events.CertificateWaiting,
            events.CertificateApproved,
            events.CertificateApprovedForCsr,
            events.CertificateDenied,
            events.CertificateIssued,
            events.CertificateIssuingWaits,
            events.CertificateDelivered,
            events.CertificateLive,
            events.CertificateRenewalDue,
            events.CertificateRenewalDueForCsr,
            events.CertificateFailing,
            events.CertificateHealthChanged,
            events.CsrAccepted,
            events.EndpointsExpected,
            events.EndpointsExpectedV1,
        ),
    ),
    "DEPLOY": (
        "certs.deploy.{place}.{service}.{certificate_id}",
        "registry, in the stream DEPLOY_{place}",
        (events.DeploymentOrdered, events.DeploymentOrderedV1, events.CsrWanted, events.ChallengeWanted),
    ),
    "STATUS": (
        "certs.status.{place}.{service}.{event}.{about}",
        "the service that the subject names, in the stream STATUS_{place}",
        (
            events.RevisionStarted,
            events.RevisionIssued,
            events.RevisionFailed,
            events.RevisionRenewalWindow,
            events.RevisionWaits,
            events.DeliverySucceeded,
            events.DeliverySucceededV1,
            events.DeliveryFailed,
            events.DeliveryFailedV1,
            events.DeliveryProgressed,
            events.DeliveryRolledBack,
            events.DeliveryWithdrawn,
            events.CsrOffered,
            events.CsrExpired,
            events.SiteReviewed,
            events.ChallengeShown,
        ),
    ),
    "LAST": (
        "certs.last.{place}.{service}.{event}.{key}",
        "the service that the subject names, in the stream LAST_{place}, which keeps the newest of each subject",
        (events.EndpointObserved, events.ProbeRound, events.SiteHeartbeat),
    ),
    subjects.ALERTS: (
        "certs.alert.{owner}.{alert_id}",
        "monitor and registry",
        (
            events.AlertRaised,
            events.AlertRaisedV1,
            events.AlertUpdated,
            events.AlertAcknowledged,
            events.AlertResolved,
            events.AlertResolvedV1,
        ),
    ),
    subjects.ANCHOR: ("certs.anchor.{database_id}", "registry", (events.RegistryAnchored,)),
}


def document() -> Document:
    """The whole document. Every event of the catalogue stands in exactly one channel."""
    messages: dict[str, Message] = {}
    schemas: dict[str, JsonValue] = {}
    channels: dict[str, Channel] = {}
    for name, (address, writer, kinds) in _CHANNELS.items():
        for kind in kinds:
            schema = _schema(kind)
            parts = schema.pop("$defs", {})
            assert isinstance(parts, dict), "a schema's parts have names"
            schemas.update(parts)
            schemas[kind.__name__] = schema
            messages[kind.type] = {
                "name": kind.type,
                "contentType": "application/json",
                "headers": _headers(kind),
                "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
            }
        parameters = [part.partition("}")[0] for part in address.split("{")[1:]]
        channels[name] = {
            "address": address,
            "description": f"Written by {writer}.",
            "parameters": {parameter: {} for parameter in parameters},
            "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.type}"} for kind in kinds},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "certbus",
            "version": "1",
            "description": "CloudEvents 1.0 in binary mode on NATS JetStream.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _schema(kind: type[Event]) -> Schema:
    template = "#/components/schemas/{model}"
    if kind not in {events.RequestSubmitted, events.RequestSubmittedV1}:
        return kind.model_json_schema(ref_template=template)
    # With the kinds of targets that every installation has; others add their own.
    door = RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES]))
    return {**door.model.model_json_schema(ref_template=template), "title": kind.__name__}


def _headers(kind: type[Event]) -> Headers:
    required = (
        ["ce-id", "ce-type"]
        if kind in {events.RequestSubmitted, events.RequestSubmittedV1}
        else ["ce-id", "ce-source", "ce-type", "ce-time"]
    )
    return {
        "type": "object",
        "required": required,
        "properties": {
            "ce-id": {"type": "string"},
            "ce-source": {"type": "string"},
            "ce-specversion": {"const": "1.0"},
            "ce-type": {"const": kind.type},
            "ce-time": {"type": "string", "format": "date-time"},
            "ce-subject": {"type": "string"},
            "traceparent": {"type": "string"},
        },
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=2))  # noqa: T201 # a command
