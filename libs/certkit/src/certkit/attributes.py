"""The names of span attributes and of log fields that mean the same: one table for all services."""

from typing import Final

__all__ = [
    "ADDRESS",
    "CA",
    "CERTIFICATE",
    "DESTINATION",
    "GENERATION",
    "KIND",
    "PLACE",
    "REASON",
    "REVISION",
    "STEP",
    "TARGET",
    "URL",
    "VARIANT",
    "VERDICT",
    "WRITES",
]

ADDRESS: Final = "certbus.address"
CA: Final = "certbus.ca"
CERTIFICATE: Final = "certbus.certificate"
DESTINATION: Final = "certbus.destination"
GENERATION: Final = "certbus.generation"
KIND: Final = "certbus.kind"
PLACE: Final = "certbus.place"
REASON: Final = "certbus.reason"
REVISION: Final = "certbus.revision"
STEP: Final = "certbus.step"
TARGET: Final = "certbus.target"
URL: Final = "certbus.url"
VARIANT: Final = "certbus.variant"
VERDICT: Final = "certbus.verdict"
WRITES: Final = "certbus.writes"
