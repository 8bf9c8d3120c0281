"""The kinds of places that show answers to challenges, found by entry points, and those that the settings name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from certcore.plugins import PluginError, load_kinds, load_plugins
from certkit.settings import SettingFault, faults_of
from syncer.domain.answer_place import AnswerPlace, AnyAnswerPlaceDriver, overlapping

__all__ = ["BuiltPlace", "PlacesSetting", "built_places", "place_faults"]

_GROUP: Final = "certbus.challenges"
_SETTING: Final = "challenges"

PlacesSetting = Mapping[str, Mapping[str, Any]]
"""Name of the place → its settings, which the driver of their `kind` reads."""


@dataclass(frozen=True)
class BuiltPlace:
    place: AnswerPlace
    match: tuple[str, ...]
    check_urls: tuple[str, ...]


def built_places(places: PlacesSetting, *, user_agent: str) -> dict[str, BuiltPlace]:
    """By name; `place_faults` must have found no fault in the settings."""
    known = _drivers(places)
    return {
        name: BuiltPlace(driver.build(name, read, user_agent), read.match, read.check_urls)
        for name, settings in places.items()
        for driver in [known[settings["kind"]]]
        for read in [driver.settings.model_validate(settings)]
    }


def place_faults(places: PlacesSetting) -> Sequence[SettingFault]:
    """What is wrong with the settings, by field: `challenges.edge.socket`."""
    try:
        drivers = _drivers(places)
    except PluginError as error:
        return [SettingFault((_SETTING,), str(error))]
    faults: list[SettingFault] = []
    rules: dict[str, tuple[str, ...]] = {}
    for name, settings in places.items():
        kind = settings.get("kind")
        if not isinstance(kind, str) or kind not in drivers:
            known = ", ".join(sorted(load_plugins(_GROUP)))
            faults.append(SettingFault((_SETTING, name, "kind"), f"must be one of the installed kinds: {known}"))
            continue
        try:
            rules[name] = drivers[kind].settings.model_validate(settings).match
        except ValidationError as error:
            faults += faults_of(error, _SETTING, name)
    if (overlap := overlapping(rules)) is not None:
        faults.append(SettingFault((_SETTING,), overlap))
    return faults


def _drivers(places: PlacesSetting) -> dict[str, AnyAnswerPlaceDriver]:
    """The drivers of the configured kinds; others are not imported.

    Raises:
        PluginError: a driver can't be loaded or has another kind.
    """
    return load_kinds(_GROUP, [settings.get("kind") for settings in places.values()])
