"""The settings of every service that delivers: its place, and the destinations of each kind."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from certcore.identities import Service
from certcore.names import Label
from certdelivery.drivers import setting_faults
from certkit.settings import RecipientSettings, RegistrySettings, ServiceSettings, SettingFault

__all__ = ["DeliverySettings", "Seconds"]

# A union of types, not Any: so a list in an environment variable is read as JSON.
_Value = str | int | float | bool | list[JsonValue] | dict[str, JsonValue]

Seconds = Annotated[float, Field(gt=0)]


class DeliverySettings(ServiceSettings):
    SERVICE: ClassVar[Service]

    place: Label = Field(description="The site, or `hub` for targets that belong to none.")
    registry: RegistrySettings
    recipient: RecipientSettings
    targets: dict[str, dict[Label, dict[str, _Value]]] = Field(
        default_factory=dict, description="Kind, name of the destination, and its settings: see the kind's page."
    )
    reconcile_every_s: Seconds = 60.0
    heartbeat_every_s: Seconds = 15.0

    def faults(self) -> Sequence[SettingFault]:
        return setting_faults(self.SERVICE, self.targets)
