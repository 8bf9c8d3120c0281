"""Which observations are published. Readers don't debounce: a fault is published when two looks in a row saw it."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import EndpointObserved, ServingVerdict
from monitor.domain.verdict import OURS, Look
from monitor.domain.watched import EndpointRecord, Rollout, facts_of

__all__ = ["DELIVERED_WITHIN", "REPORT_EVERY", "Reporting", "decide_report", "observation"]

REPORT_EVERY: Final = timedelta(minutes=10)
"""An observation is published at least so often, changed or not: a report may have been lost."""

DELIVERED_WITHIN: Final = timedelta(seconds=3)
"""From the beginning of a rollout. Until then the delivery is probably under way, and readers know that."""


class Reporting(StrEnum):
    """Why an observation is published, or why it is not."""

    ASKED = "asked"
    PROVEN = "proven"
    CHANGED = "changed"
    REPEATED = "repeated"
    UNCHANGED = "unchanged"
    HELD_BACK = "held_back"

    @property
    def published(self) -> bool:
        return self in {Reporting.ASKED, Reporting.PROVEN, Reporting.CHANGED, Reporting.REPEATED}


def observation(record: EndpointRecord, look: Look, *, generation: int, now: datetime) -> EndpointObserved:
    """The event of a look; `record` has been through it.

    During the grace of its first rollout an endpoint that serves nothing of ours is at no fault, however often it is
    looked at: `in_a_row` stays 1.
    """
    return EndpointObserved(
        certificate_id=record.certificate_id,
        url=record.url,
        verdict=look.verdict,
        served_revision=look.served_revision,
        served_fingerprint_sha256=look.served_fingerprint_sha256,
        addresses=look.addresses,
        observed_at=now,
        served_variant=look.served_variant,
        in_a_row=record.bad_looks or int(look.verdict not in OURS),
        generation=generation,
    )


def decide_report(
    observed: EndpointObserved,
    *,
    record: EndpointRecord,
    last: EndpointObserved | None,
    asked: bool,
    rollout: Rollout,
) -> Reporting:
    """`last` was published last, by this process or the one before; `asked`: a report is due whatever was found.

    A first bad look waits for the second. Soon after a rollout began only its proof is news; later, what is served
    shows why the rollout waits. The proof is published whatever was published before.
    """
    wanted = observed.verdict is ServingVerdict.WANTED
    proven = record.proven_generation == rollout.generation
    delivering = not proven and observed.observed_at - rollout.since < DELIVERED_WITHIN
    if record.bad_looks == 1 or (delivering and not wanted):
        return Reporting.HELD_BACK
    if asked or last is None:
        return Reporting.ASKED
    if wanted and not proven:
        return Reporting.PROVEN
    if facts_of(observed) != facts_of(last):
        return Reporting.CHANGED
    return Reporting.REPEATED if observed.observed_at - last.observed_at >= REPORT_EVERY else Reporting.UNCHANGED
