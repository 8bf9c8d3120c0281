"""Each period the monitor publishes that it looked, and at what it did not."""

from datetime import datetime, timedelta

import structlog

from certcore.clock import Clock
from certcore.identities import Service
from monitor.adapters.reports import Reports
from monitor.domain.roster import Roster
from monitor.domain.rounds import probe_round

__all__ = ["ProbeRounds"]

log = structlog.get_logger()


class ProbeRounds:
    """Call `complete` once a period; the first call only begins the first round."""

    def __init__(self, *, roster: Roster, reports: Reports, clock: Clock, period: timedelta) -> None:
        self._roster = roster
        self._reports = reports
        self._clock = clock
        self._period = period
        self._started: datetime | None = None

    async def complete(self) -> None:
        """Publish the round that ends now, and begin the next one.

        Raises:
            TransientError: the bus didn't store it: the round goes on.
        """
        now = self._clock()
        if self._started is not None:
            round_ = probe_round(
                self._roster.looked_at(), worker=Service.MONITOR, begun=self._started, ended=now, period=self._period
            )
            await self._reports.probe_round(round_)
            if round_.missed:
                log.info("endpoints_missed", looked=round_.looked, missed=round_.missed_count)
        self._started = now
