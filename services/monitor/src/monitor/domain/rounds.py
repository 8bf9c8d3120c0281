"""A probe round: of all endpoints that are known, which were looked at in its time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from certcore.events import MissedEndpoint, ProbeRound
from monitor.domain.watched import Key

__all__ = ["NAMED_AT_MOST", "probe_round"]

NAMED_AT_MOST: Final = 1000
"""Missed endpoints that a round names: a message has at most 1 MiB."""


def probe_round(
    looked_at: Mapping[Key, datetime | None], *, worker: str, begun: datetime, ended: datetime, period: timedelta
) -> ProbeRound:
    """`looked_at` has the last look at each known endpoint that was judged and, where due, reported.

    A round that could not be published goes on, but what was seen more than two periods ago doesn't count for it.
    """
    started = max(begun, ended - 2 * period)
    missed = sorted(key for key, last in looked_at.items() if last is None or last < started)
    return ProbeRound(
        worker=worker,
        started=started,
        ended=ended,
        period_s=period.total_seconds(),
        looked=len(looked_at) - len(missed),
        missed=tuple(MissedEndpoint(certificate_id=key[0], url=key[1]) for key in missed[:NAMED_AT_MOST]),
        missed_count=len(missed),
    )
