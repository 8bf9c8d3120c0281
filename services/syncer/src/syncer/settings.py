from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from certcore.identities import Service
from certdelivery.settings import DeliverySettings, Seconds

__all__ = ["SyncerSettings"]


class SyncerSettings(DeliverySettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_SYNCER_")

    SERVICE: ClassVar = Service.SYNCER

    review_every_s: Seconds = 300
