"""Anchors the position of the database outside of it, so that an older copy of it is recognised."""

from collections.abc import Sequence

import structlog

from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import RegistryAnchored
from registry.adapters.anchors import AnchorPlace
from registry.adapters.store import Store, Transaction

__all__ = ["Anchoring"]

log = structlog.get_logger()


class Anchoring:
    def __init__(self, *, store: Store, places: Sequence[AnchorPlace], clock: Clock) -> None:
        self._store = store
        self._places = places
        self._clock = clock

    async def anchor(self) -> None:
        """Anchor in every place what is committed now. One that stored it is enough, until the next round.

        Raises:
            TransientError: none of the places is known to have stored it.
        """

        def position(transaction: Transaction) -> RegistryAnchored:
            return transaction.epochs.position(self._clock())

        anchor = await self._store.read(position)
        failed: list[str] = []
        for place in self._places:
            try:
                await place.keep(anchor)
            except (TransientError, OSError) as error:
                log.warning("place_not_anchored", error=str(error))
                failed.append(str(error))
        if len(failed) == len(self._places):
            raise TransientError(f"the position wasn't anchored: {'; '.join(failed)}")

    async def anchor_at_the_end(self) -> None:
        """The last anchor before a stop. One that can't be stored keeps nothing from ending."""
        try:
            await self.anchor()
        except TransientError as error:
            log.warning("not_anchored", error=str(error))
