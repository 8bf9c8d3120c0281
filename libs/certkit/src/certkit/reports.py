"""What a service reports to the registry."""

from certcore import subjects
from certcore.events import Event
from certcore.identities import Service
from certkit.bus import EventPublisher

__all__ = ["StatusReports"]


class StatusReports:
    """The reports of one service at one place. The stream is chosen by the event."""

    def __init__(self, *, publisher: EventPublisher, place: str, service: Service) -> None:
        self._publisher = publisher
        self._place = place
        self._service = service

    async def publish(self, event: Event, *, about: str, event_id: str | None = None) -> None:
        """Publish one report; `about` is a certificate id, or the place itself.

        Those with the same `event_id` are one report, however often it is published.

        Raises:
            TransientError: storing it wasn't confirmed; publish it again.
        """
        route = subjects.route(event, place=self._place, service=self._service, about=about)
        await self._publisher.publish(
            event, subject=route.subject, stream=route.stream, about=about, event_id=event_id
        )
