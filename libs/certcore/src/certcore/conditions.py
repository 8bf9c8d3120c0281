"""What holds of a certificate now, beside its lifecycle: conditions, and the health that follows from them."""

from enum import StrEnum

from pydantic import AwareDatetime

from certcore.reading import Open, ReadModel

__all__ = ["Condition", "ConditionStatus", "ConditionType", "Health"]


class ConditionType(StrEnum):
    """Renewing is true while a next revision is ordered or on its way; the others are true where all is well."""

    APPROVED = "Approved"
    ISSUED = "Issued"
    DELIVERED = "Delivered"
    SERVED = "Served"
    RENEWING = "Renewing"


class ConditionStatus(StrEnum):
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Health(StrEnum):
    """`unknown`: nobody could look lately. `none`: denied or retired, where there is nothing to be well."""

    OK = "ok"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    NONE = "none"


class Condition(ReadModel):
    """`reason` is one word for machines, `message` a sentence for people; `since` is when `status` last changed."""

    type: Open[ConditionType]
    status: Open[ConditionStatus]
    reason: str
    message: str
    since: AwareDatetime
