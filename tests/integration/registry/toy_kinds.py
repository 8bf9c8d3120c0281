"""Kinds of targets of another package: one that makes its own key, one that belongs to no site."""

import shutil
from pathlib import Path
from typing import Final, Literal

from certcore.names import Label
from certcore.targets import Capabilities, KeyHolder, TargetKind, TargetRequest

__all__ = ["APPLIANCE", "TOY_CDN", "install"]


class ApplianceTarget(TargetRequest):
    site: Label
    kind: Literal["appliance"] = "appliance"
    shelf: Label = "default"


class ToyCdnTarget(TargetRequest):
    kind: Literal["toy-cdn"] = "toy-cdn"
    property: Label


APPLIANCE: Final = TargetKind(
    "appliance", "pusher", ApplianceTarget, Capabilities(key_holder=KeyHolder.TARGET, slow=True)
)
TOY_CDN: Final = TargetKind("toy-cdn", "pusher", ToyCdnTarget)


def install(folder: Path) -> Path:
    """Put this module into a folder as an installed package; with the folder on PYTHONPATH its kinds are found."""
    shutil.copy(__file__, folder / "toy_kinds.py")
    facts = folder / "toy_kinds-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-kinds\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[certbus.target_kinds]\nappliance = toy_kinds:APPLIANCE\ntoy-cdn = toy_kinds:TOY_CDN\n"
    )
    return folder
