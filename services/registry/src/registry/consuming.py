"""What the registry consumes of the bus, put together for `app`."""

from collections.abc import Mapping
from typing import Final

from faststream.nats import NatsBroker

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import Event
from certcore.identities import ALERTS_DURABLE, READS_REPORTS, REQUESTS_DURABLES
from certkit.bus import Handler
from certkit.discovery import Discovery, EachConsumer, EachStream
from registry.handlers.changes import Changes
from registry.handlers.intake import Intake
from registry.handlers.reports.challenges import ChallengeReports
from registry.handlers.reports.deliveries import DeliveryReports
from registry.handlers.reports.observations import ObservationReports
from registry.handlers.reports.once import Once
from registry.handlers.reports.revisions import RevisionReports
from registry.handlers.reports.sites import SiteReports

__all__ = ["discovery_of", "report_handlers"]

_REPORTS_AT_ONCE: Final = 16
"""Of one place. Their order doesn't matter: each is compared with what is stored; and they are committed together."""
_REQUESTS_AT_ONCE: Final = 8
"""Of one owner: they are committed together. Each is a certificate of its own, and an event that comes twice counts
once."""


def discovery_of(
    broker: NatsBroker, identity: str, handlers: Mapping[type[Event], Handler], intake: Intake
) -> Discovery:
    return Discovery(
        broker=broker,
        identity=identity,
        clock=system_clock,
        rules=(
            EachStream(subjects.STATUS, READS_REPORTS, handlers, at_once=_REPORTS_AT_ONCE),
            EachStream(subjects.LAST, READS_REPORTS, handlers, at_once=_REPORTS_AT_ONCE),
            EachStream(subjects.ALERTS, ALERTS_DURABLE, intake.alert_handlers()),
            # Requests are read raw: a body that is no JSON gets an answer too.
            EachConsumer(subjects.REQUESTS, REQUESTS_DURABLES, intake.on_request, at_once=_REQUESTS_AT_ONCE),
        ),
    )


def report_handlers(once: Once, changes: Changes, sites: SiteReports) -> dict[type[Event], Handler]:
    return {
        **RevisionReports(once=once, changes=changes, clock=system_clock).handlers(),
        **DeliveryReports(once=once, changes=changes, clock=system_clock).handlers(),
        **ObservationReports(once=once, changes=changes, clock=system_clock).handlers(),
        **ChallengeReports(once=once, clock=system_clock).handlers(),
        **sites.handlers(),
    }
