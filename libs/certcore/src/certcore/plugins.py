"""Kinds of targets and their drivers, found by entry points: a package that is installed beside ours joins so."""

from collections.abc import Collection, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from certcore.errors import PermanentError
from certcore.targets import TargetKind, TargetKinds

__all__ = ["PluginError", "load_kinds", "load_plugins", "load_target_kinds"]

_TARGET_KINDS: Final = "certbus.target_kinds"


class PluginError(PermanentError):
    """An installed entry point can't be used; the message names it."""


def load_plugins(group: str, *, only: Collection[str] | None = None) -> Mapping[str, Any]:
    """What is installed in an entry point group, by name; `only` these names, where it is given.

    Raises:
        PluginError: one can't be imported, or two have the same name.
    """
    found: dict[str, Any] = {}
    for entry in entry_points(group=group):
        if only is not None and entry.name not in only:
            continue
        if entry.name in found:
            raise PluginError(f"{group}: two packages bring {entry.name!r}")
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # another's code runs here, and may break off in any way
            problem = f"{type(error).__name__}: {error}"
            raise PluginError(f"{group}: {entry.name} ({entry.value}) can't be imported: {problem}") from error
    return found


def load_kinds(group: str, kinds: Collection[object]) -> dict[str, Any]:
    """The drivers of these kinds, by kind; those of others are not imported, and what is no name has none.

    Raises:
        PluginError: as `load_plugins`, or a driver has another kind than its entry point says.
    """
    found = load_plugins(group, only={kind for kind in kinds if isinstance(kind, str)})
    for name, driver in found.items():
        if getattr(driver, "kind", None) != name:
            raise PluginError(f"{group}: {name} must be a driver of the kind {name!r}")
    return dict(found)


def load_target_kinds() -> TargetKinds:
    """The kinds of targets that are installed.

    Raises:
        PluginError: as `load_plugins`, or an entry point is no TargetKind of its own name.
    """
    found = load_plugins(_TARGET_KINDS)
    for name, kind in found.items():
        if not isinstance(kind, TargetKind) or kind.kind != name:
            raise PluginError(f"{_TARGET_KINDS}: {name} must be a TargetKind of the kind {name!r}")
    return TargetKinds(found.values())
