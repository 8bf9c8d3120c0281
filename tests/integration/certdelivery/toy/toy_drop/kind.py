"""What a request may say about a target of kind `drop`."""

from typing import Literal

from pydantic import Field

from certcore.names import Label
from certcore.targets import Capabilities, TargetKind, TargetRequest

__all__ = ["KIND", "DropTarget"]


class DropTarget(TargetRequest):
    """One PEM file in a folder. It belongs to no site: `site` stays optional, and the hub's pusher delivers it."""

    kind: Literal["drop"] = "drop"
    box: Label = Field(default="default", description="One of the folders in the pusher's settings.")


KIND = TargetKind("drop", "pusher", DropTarget, Capabilities(rolls_back=False))
