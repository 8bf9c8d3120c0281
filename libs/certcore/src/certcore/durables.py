from typing import Final

__all__ = ["DURABLES"]


class DURABLES:
    """Names of the durable consumers: also the names of their dead-letter subjects."""

    REGISTRY_REQUESTS: Final = "registry-requests"
    REGISTRY_STATUS: Final = "registry-status"
    REGISTRY_ALERTS: Final = "registry-alerts"
    ISSUER: Final = "issuer"
    MONITOR: Final = "monitor"

    @staticmethod
    def of(site: str, service: str) -> str:
        return f"{site}-{service}"
