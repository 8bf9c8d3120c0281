"""That one HAProxy serves what was pushed: seen by handshakes, with one worker from the first to the last.

While a reload is under way two workers accept connections, and the new one read the files at some moment before:
perhaps before they were written. So a proof counts only if the worker is the same before and after it. For some time
afterwards it is looked whether another has taken over: what that one doesn't hold is loaded again.
"""

import asyncio
import time
from typing import Final

import structlog

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem
from cdn_pusher.targets.haproxy.instance import HaproxyInstance
from cdn_pusher.targets.haproxy.listeners import Fault, Listeners
from cdn_pusher.targets.haproxy.master_socket import MasterSocket
from cdn_pusher.targets.haproxy.runtime_socket import RuntimeSocket
from certcore.events import DeliveryReason

__all__ = ["Proof"]

log = structlog.get_logger()

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_LOOK_S: Final = 0.25


class Proof:
    """`patience_s` is how long the old certificate may still be served. `watch_s` is how long a reload may take: so
    long after a proof another worker is looked for; 0 looks for none.
    """

    def __init__(
        self,
        instance: HaproxyInstance,
        *,
        runtime: RuntimeSocket,
        master: MasterSocket | None,
        listeners: Listeners,
        patience_s: float,
        watch_s: float,
    ) -> None:
        self._instance = instance
        self._runtime = runtime
        self._master = master
        self._listeners = listeners
        self._patience_s = patience_s
        self._watch_s = watch_s
        self._worker = ""
        self._recent: dict[str, float] = {}
        self._watching: asyncio.Task[None] | None = None

    async def prove(self, file: str) -> None:
        """Check that the certificate on disk is served, with its chain, for all its names.

        Raises:
            DeliveryError: a listener serves another one (`not_served`), or HAProxy doesn't answer.
        """
        pushed = self._instance.pushed(file)
        pem = pushed.pem if pushed is not None else await self._instance.present(file)
        if pem is None:
            raise DeliveryError(DeliveryReason.NOT_SERVED, f"{file} holds no certificate with its key")
        worker = pushed.worker if pushed is not None else await self._runtime.worker()
        deadline, pause = time.monotonic() + self._patience_s, _FIRST_PAUSE_S
        while True:
            fault = await self._listeners.fault(pem)
            stands = await self._stands(worker)
            if fault is None and stands:
                break
            if not stands:
                if not await self._instance.load_again(file, pem):
                    raise DeliveryError(DeliveryReason.NOT_SERVED, f"{file} was changed by somebody else meanwhile")
                log.info("worker_replaced", instance=self._instance.name, file=file)
            if time.monotonic() >= deadline:
                raise DeliveryError(DeliveryReason.NOT_SERVED, await self._told(fault))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            worker = await self._runtime.worker()
        await self._instance.settle(file)
        self._watch(file, worker)

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _stands(self, worker: str) -> bool:
        """Whether no other worker has taken over since, nor is about to, as far as that can be known."""
        if await self._runtime.worker() != worker:
            return False
        return self._master is None or await self._master.serves(worker)

    async def _told(self, fault: Fault | None) -> str:
        if fault is None:
            return f"HAProxy has been reloaded all the time for {self._patience_s:g} s"
        if fault.served is None:
            return str(fault)
        holder = await self._runtime.holder(HaproxyPem((fault.served,), b"").sha1)
        return f"{fault}, from {holder}" if holder else str(fault)

    # ── afterwards ──────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, file: str, worker: str) -> None:
        if not self._watch_s:
            return
        if self._watching is None or self._watching.done():
            self._worker = worker
            self._watching = asyncio.create_task(self._watch_recent())
        self._recent[file] = time.monotonic() + self._watch_s

    async def _watch_recent(self) -> None:
        """Until nothing was pushed for that long."""
        while self._recent:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look_for_another()
            except DeliveryError as error:
                # The rounds of the engine look at all that is wanted: they report what stays so.
                log.warning("worker_not_seen", instance=self._instance.name, problem=error.detail)
            now = time.monotonic()
            self._recent = {file: until for file, until in self._recent.items() if until > now}

    async def _look_for_another(self) -> None:
        worker = await self._runtime.worker()
        if worker == self._worker:
            return
        for file in tuple(self._recent):
            if (pem := await self._instance.present(file)) is not None:
                await self._instance.load_again(file, pem)
        self._worker = worker
        log.info("worker_replaced", instance=self._instance.name, files=len(self._recent))
