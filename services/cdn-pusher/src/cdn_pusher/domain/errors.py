from certcore.errors import CertbusError
from certcore.events import DeliveryReason

__all__ = ["DeliveryError"]


class DeliveryError(CertbusError):
    """A try that failed: the reason goes into the report, and the target holds what it held before."""

    def __init__(self, reason: DeliveryReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
