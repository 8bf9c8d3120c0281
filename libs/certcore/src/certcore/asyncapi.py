"""The bus as an AsyncAPI 3.0 document, made from the catalogue of events: `python -m certcore.asyncapi`."""

import json
from typing import Any, Final

from certcore import events, subjects
from certcore.events import Event

__all__ = ["document"]

# stream → address with its parameters, who writes, and the events that travel there.
_CHANNELS: Final[dict[str, tuple[str, str, tuple[type[Event], ...]]]] = {
    subjects.REQUESTS: ("certs.request.{owner}.submit", "anyone allowed to ask", (events.RequestSubmitted,)),
    subjects.ANSWERS: (
        "certs.answer.{owner}.{request_event_id}",
        "registry",
        (events.RequestAccepted, events.RequestRejected),
    ),
    subjects.CERTS: (
        "certs.ev.{event}.{certificate_id}",
        "registry",
        (
            events.CertificateRequested,
            events.CertificateWaiting,
            events.CertificateApproved,
            events.CertificateDenied,
            events.CertificateIssued,
            events.CertificateDelivered,
            events.CertificateLive,
            events.CertificateRenewalDue,
            events.CertificateFailing,
            events.EndpointsExpected,
        ),
    ),
    "DEPLOY": (
        "certs.deploy.{place}.{service}.{certificate_id}",
        "registry, in the stream DEPLOY_{place}",
        (events.DeploymentOrdered,),
    ),
    "STATUS": (
        "certs.status.{place}.{service}.{event}.{about}",
        "the service that the subject names, in the stream STATUS_{place}",
        (
            events.RevisionStarted,
            events.RevisionIssued,
            events.RevisionFailed,
            events.DeliverySucceeded,
            events.DeliveryFailed,
            events.SiteReviewed,
        ),
    ),
    "LAST": (
        "certs.last.{place}.{service}.{event}.{key}",
        "the service that the subject names, in the stream LAST_{place}, which keeps the newest of each subject",
        (events.EndpointObserved, events.SiteHeartbeat),
    ),
    subjects.ALERTS: (
        "certs.alert.{owner}.{alert_id}",
        "monitor and registry",
        (events.AlertRaised, events.AlertResolved),
    ),
}


def document() -> dict[str, Any]:
    """The whole document. Every event of the catalogue stands in exactly one channel."""
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    for name, (address, writer, kinds) in _CHANNELS.items():
        for kind in kinds:
            schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
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


def _headers(kind: type[Event]) -> dict[str, Any]:
    required = (
        ["ce-id", "ce-type"] if kind is events.RequestSubmitted else ["ce-id", "ce-source", "ce-type", "ce-time"]
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
