"""The kinds of CAs without ACME, found by entry points, and those of them that the settings name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from certcore.plugins import PluginError, load_plugins
from certkit.settings import SettingFault
from issuer.domain.errors import CaUnfitError
from issuer.domain.signing import SigningCa, SigningCaSettings, SigningKind

__all__ = ["made", "read_by_kind", "signing_faults"]

_GROUP: Final = "certbus.cas"


def read_by_kind(value: object) -> object:
    """Settings of one CA, read by its kind: for use as a validator.

    Raises:
        ValueError: no such kind is installed, or it refuses the settings.
    """
    if not isinstance(value, Mapping):
        return value
    kinds = _kinds()
    kind = kinds.get(str(value.get("kind")))
    if kind is None:
        raise ValueError(f"kind: {value.get('kind')!r} is no kind of CA, but: {', '.join(sorted({'acme', *kinds}))}")
    return kind.settings.model_validate(value)


def made(settings: Iterable[SigningCaSettings]) -> dict[str, SigningCa]:
    """
    Raises:
        CaUnfitError: a CA can't sign as it is configured; `signing_faults` finds it before.
    """
    kinds = _kinds()
    return {one.name: kinds[one.kind].make(one) for one in settings}


def signing_faults(settings: Sequence[tuple[int, SigningCaSettings]]) -> list[SettingFault]:
    """What is wrong with the files and whatever else the settings refer to; each has its number in `cas`."""
    faults = []
    for number, one in settings:
        try:
            made([one])
        except CaUnfitError as error:
            faults.append(SettingFault(("cas", str(number), error.field), error.why))
    return faults


def _kinds() -> dict[str, SigningKind]:
    """
    Raises:
        ValueError: an installed kind can't be used.
    """
    try:
        found: Mapping[str, Any] = load_plugins(_GROUP)
    except PluginError as error:
        raise ValueError(str(error)) from error
    return {name: kind for name, kind in found.items() if issubclass(kind.settings, SigningCaSettings)}
