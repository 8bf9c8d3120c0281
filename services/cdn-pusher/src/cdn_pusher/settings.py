"""Settings of one pusher: which place it serves, and how each of its balancers and accounts is reached."""

from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from certcore.identities import Service
from certdelivery.settings import DeliverySettings

__all__ = ["Settings"]


class Settings(DeliverySettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_PUSHER_")

    SERVICE: ClassVar = Service.PUSHER
