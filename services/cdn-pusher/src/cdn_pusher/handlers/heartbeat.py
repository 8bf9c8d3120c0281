import asyncio

import structlog

from cdn_pusher.handlers.reports import Reports
from certcore.errors import TransientError

__all__ = ["keep_beating"]

log = structlog.get_logger()


async def keep_beating(reports: Reports, *, every_s: float) -> None:
    while True:
        try:
            await reports.alive()
        except TransientError as error:
            log.warning("heartbeat_not_stored", error=str(error))
        await asyncio.sleep(every_s)
