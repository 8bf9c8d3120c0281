from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from certcore.identities import Service
from certcore.names import Label
from certdelivery.settings import DeliverySettings, Seconds
from certkit.settings import SettingFault
from syncer.installed_places import place_faults

__all__ = ["SyncerSettings"]

# A union of types, not Any: so a list in an environment variable is read as JSON.
_Value = str | int | float | bool | list[Any] | dict[str, Any]


class SyncerSettings(DeliverySettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_SYNCER_")

    SERVICE: ClassVar = Service.SYNCER

    review_every_s: Seconds = 300
    challenges: dict[Label, dict[str, _Value]] = Field(
        default_factory=dict,
        description="Where answers to http-01 challenges are shown: name of the place, and its settings: `kind`,"
        " `match`, `check_urls`, and those of its kind.",
    )

    def faults(self) -> Sequence[SettingFault]:
        return [*super().faults(), *place_faults(self.challenges)]
