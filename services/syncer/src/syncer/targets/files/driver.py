"""Targets of kind `files`: found by its entry point."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from certcore.events import DeliveryReason
from certcore.intent import Target
from certcore.names import is_label
from certcore.reading import ReadModel
from certcore.targets import FILES
from certdelivery.model import Failure
from certdelivery.target import Destinations, DriverContext, TargetDriver, TargetPort
from syncer.targets.files.store import FileStore

__all__ = ["DRIVER", "StoreSettings"]


class StoreSettings(BaseModel):
    """A directory, and the command that makes its reader load it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path
    reload: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="Program and arguments, run without a shell after each change."
    )


class _Fields(ReadModel):
    store: str = "default"


class FilesDriver:
    kind = FILES.kind
    settings = StoreSettings
    at_once = 1

    def destinations(self, target: Target, configured: Collection[str]) -> Destinations:
        try:
            store = _Fields.model_validate(target.fields).store
        except ValidationError:
            return Destinations((), (Failure(DeliveryReason.UNREADABLE_ORDER, "its store can't be read"),))
        if not is_label(store):
            problem = f"{store!r:.80} is no name of a store"
            return Destinations((), (Failure(DeliveryReason.UNREADABLE_ORDER, problem),))
        if store not in configured:
            return Destinations((), (Failure(DeliveryReason.UNKNOWN_PLACE, f"this place has no store {store}"),))
        return Destinations((store,))

    def build(self, name: str, settings: StoreSettings, context: DriverContext) -> TargetPort:  # noqa: ARG002 # the protocol's
        return FileStore(name=name, directory=settings.directory, reload=settings.reload)


DRIVER: TargetDriver[StoreSettings] = FilesDriver()
