from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from certcore.names import Label
from certkit.settings import RecipientSettings, RegistrySettings, ServiceSettings

__all__ = ["ClusterSettings", "StoreSettings", "SyncerSettings"]

Seconds = Annotated[float, Field(gt=0)]


class ClusterSettings(BaseModel):
    """One cluster of the site. Without a kubeconfig: the one that this process runs in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    kubeconfig: Path | None = None
    context: str | None = Field(default=None, description="Of the kubeconfig; by default its current one.")


class StoreSettings(BaseModel):
    """A directory for targets of kind `files`, and how whatever reads it is told of a change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path
    reload: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="Program and arguments, run without a shell after each change."
    )


class SyncerSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_SYNCER_")

    site: Label
    registry: RegistrySettings
    recipient: RecipientSettings
    clusters: tuple[ClusterSettings, ...] = ()
    stores: dict[Label, StoreSettings] = Field(default_factory=dict)
    reconcile_every_s: Seconds = 60
    review_every_s: Seconds = 300
    heartbeat_every_s: Seconds = 15

    @model_validator(mode="after")
    def _clusters_have_own_names(self) -> Self:
        names = [cluster.name for cluster in self.clusters]
        if len(set(names)) < len(names):
            raise ValueError("clusters: two have the same name")
        return self
