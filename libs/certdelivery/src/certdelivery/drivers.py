"""The drivers of one service, found by entry points, and the destinations that its settings name."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from certcore.plugins import PluginError, load_kinds, load_target_kinds
from certdelivery.model import Destination
from certdelivery.target import AnyDriver, DriverContext, TargetPort
from certkit.settings import SettingFault, faults_of

__all__ = ["TargetsSetting", "built", "load_drivers", "setting_faults"]

_DRIVERS: Final = "certbus.targets"

TargetsSetting = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Kind → name of the destination → its settings, which the kind's driver reads."""


def load_drivers(service: str) -> dict[str, AnyDriver]:
    """The drivers of the kinds that this service delivers; those of other services are not imported.

    Raises:
        PluginError: a driver can't be loaded or has another kind.
    """
    own = {name for name, kind in load_target_kinds().items() if kind.service == service}
    return load_kinds(_DRIVERS, own)


def setting_faults(service: str, targets: TargetsSetting) -> Sequence[SettingFault]:
    """What is wrong with the settings of the destinations, by field: `targets.files.default.directory`."""
    try:
        drivers = load_drivers(service)
    except PluginError as error:
        return [SettingFault(("targets",), str(error))]
    faults: list[SettingFault] = []
    for kind, destinations in targets.items():
        if kind not in drivers:
            known = ", ".join(sorted(drivers)) or "none"
            faults.append(SettingFault(("targets", kind), f"is no kind that the {service} delivers to, but: {known}"))
            continue
        for name, settings in destinations.items():
            try:
                drivers[kind].settings.model_validate(settings)
            except ValidationError as error:
                faults += faults_of(error, "targets", kind, name)
    return faults


def built(
    drivers: Mapping[str, AnyDriver], targets: TargetsSetting, context: DriverContext
) -> dict[Destination, TargetPort]:
    """Every destination, in the order of the settings; `setting_faults` must have found no fault in them."""
    return {
        Destination(kind, name): drivers[kind].build(name, drivers[kind].settings.model_validate(settings), context)
        for kind, destinations in targets.items()
        for name, settings in destinations.items()
    }
