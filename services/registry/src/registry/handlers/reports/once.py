"""Each report is handled once, however often it comes."""

from collections.abc import Callable
from typing import Final, TypeVar

from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError
from certcore.events import Event
from certcore.subjects import Reporter, is_last, reporter
from certkit.bus import Handler
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction

__all__ = ["PATIENT_S", "Once"]

PATIENT_S: Final = 0.5
"""For reports that nothing waits for: they are committed with others."""

EventT = TypeVar("EventT", bound=Event)


class Once:
    """Makes handlers: the effect of a report and its entry in the inbox are one transaction.

    Reports of a last value (a heartbeat, a look, a round) need no entry: a repeated one changes nothing.
    """

    def __init__(self, *, store: Store, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._bell = bell
        self._clock = clock

    def handler(self, effect: Callable[[Transaction, EventT, Reporter], None], *, patience_s: float = 0.0) -> Handler:
        """A handler that raises PermanentError for a report without an id or without a reporter.

        `patience_s` is as in `Database.write`.
        """

        async def handle(event: EventT, envelope: Envelope) -> None:
            if not envelope.id:
                raise PermanentError("a report needs a ce-id: without one a repetition can't be recognised")
            # By the subject, which the broker binds to the publisher: a header could name another service.
            who = reporter(envelope.subject)

            def work(transaction: Transaction) -> bool:
                if is_last(envelope.subject) or transaction.inbox.first_time(
                    f"{who.place}/{who.service}", envelope.id, self._clock()
                ):
                    effect(transaction, event, who)
                return transaction.events.added

            # Whoever it wakes reads the database: most heartbeats, starts and looks announce nothing.
            if await self._store.write(work, patience_s=patience_s):
                self._bell.ring()

        return handle
