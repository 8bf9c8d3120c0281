"""REQUESTS and ANSWERS: who may ask → registry, and its answer."""

from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from certcore.certificate import CertificateSpec
from certcore.events.event import Event
from certcore.rejection import Rejection

__all__ = ["RequestAccepted", "RequestKind", "RequestRejected", "RequestSubmitted"]


class RequestKind(StrEnum):
    NEW = "new"
    CHANGE = "change"
    RETIRE = "retire"
    REVOKE = "revoke"
    RENEW = "renew"


class RequestSubmitted(CertificateSpec, Event):
    """The body is the API's, with `kind`. Unknown fields are refused here, as a typing error would be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar = "certbus.request.submitted.v2"


class RequestAccepted(Event):
    type: ClassVar = "certbus.request.accepted.v1"

    request_event_id: str
    request_id: str
    certificate_id: str
    name: str
    state: str
    reason: str


class RequestRejected(Event):
    type: ClassVar = "certbus.request.rejected.v1"

    request_event_id: str
    errors: tuple[Rejection, ...]
