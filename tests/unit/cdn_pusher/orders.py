"""Deployment orders for tests."""

from datetime import UTC, datetime, timedelta

from certcore.events import DeploymentOrdered
from certcore.targets import HaproxyTarget

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


def order(revision: int = 1, *, certificate_id: str = "c1", **changes: object) -> DeploymentOrdered:
    facts: dict[str, object] = {
        "certificate_id": certificate_id,
        "name": "shop",
        "revision": revision,
        "serial": f"{revision:x}",
        "fingerprint_sha256": f"{revision:064x}",
        "not_after": NOON + timedelta(days=30),
        "dns_names": ("shop.example.org",),
        "bundle_sha256": "0" * 64,
        "targets": (HaproxyTarget(name="edge", site="site1"),),
        **changes,
    }
    return DeploymentOrdered.model_validate(facts)
