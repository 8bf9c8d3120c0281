"""Targets of kind `kubernetes`: found by its entry point, imported only where it is installed."""

from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from certcore.events import DeliveryReason
from certcore.intent import Target
from certcore.targets import KUBERNETES
from certdelivery.model import Failure
from certdelivery.target import Destinations, DriverContext, TargetDriver, TargetPort
from syncer.targets.kubernetes.fields import read_fields

__all__ = ["DRIVER", "ClusterSettings"]


class ClusterSettings(BaseModel):
    """One cluster of the site. Without a kubeconfig: the one that this process runs in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path | None = None
    context: str | None = Field(default=None, description="Of the kubeconfig; by default its current one.")


class KubernetesDriver:
    kind = KUBERNETES.kind
    settings = ClusterSettings
    at_once = 8

    def destinations(self, target: Target, configured: Collection[str]) -> Destinations:
        """A target that names no cluster is delivered to all of them."""
        fields = read_fields(target)
        if not fields.namespaces:
            return Destinations((), fields.failures or (_unknown("it names no namespace"),))
        named = fields.clusters or tuple(configured)
        missing = sorted(name for name in named if name not in configured)
        failures = list(fields.failures)
        if not named:
            failures.append(_unknown("this place has no cluster"))
        if missing:
            failures.append(_unknown(f"this place has no cluster {', '.join(missing)[:200]}"))
        return Destinations(tuple(name for name in named if name in configured), tuple(failures))

    def build(self, name: str, settings: ClusterSettings, context: DriverContext) -> TargetPort:
        # Imported here: it costs a second and 40 MB, which a host that only has files need not pay.
        from syncer.targets.kubernetes.api import ClusterApi  # noqa: PLC0415 # see above
        from syncer.targets.kubernetes.cluster import KubernetesCluster  # noqa: PLC0415 # see above

        api = ClusterApi(
            name=name, kubeconfig=settings.kubeconfig, context=settings.context, user_agent=context.user_agent
        )
        return KubernetesCluster(api=api)


def _unknown(detail: str) -> Failure:
    return Failure(DeliveryReason.UNKNOWN_PLACE, detail)


DRIVER: TargetDriver[ClusterSettings] = KubernetesDriver()
