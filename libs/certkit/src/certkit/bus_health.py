"""What the broker says of its own health.

Its plain /healthz is read: with `js-enabled-only` it says ok on a full disk. A broker whose disk was full takes no
writes until it is restarted, also where there is room again.
"""

import ssl
from datetime import datetime
from typing import Final, Protocol

import httpx
import structlog
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError

from certcore.clock import Clock
from certkit import metric_names
from certkit.metric_names import gauge
from certkit.readiness import Finding

__all__ = ["BusHealth", "Listener"]

log = structlog.get_logger()

_TIMEOUT_S: Final = 3.0
_TEXT_LENGTH: Final = 300
_NO_WRITES: Final = ("write error", "no space left")


class Listener(Protocol):
    """Is told how the broker is: when it is first looked at, and when that changes.

    It is told again in the next round where it raises TransientError. `problem` is None where the broker is well.
    """

    async def bus_is(self, problem: str | None, /) -> None: ...


class _Answer(BaseModel):
    status: str = ""
    error: str = ""


class BusHealth:
    """`look` is a round of the background; `monitor_url` is the broker's HTTP monitoring."""

    def __init__(
        self,
        *,
        monitor_url: str,
        tls: ssl.SSLContext | None,
        metrics: CollectorRegistry,
        clock: Clock,
        listener: Listener | None = None,
    ) -> None:
        """`tls` is for a monitoring by https."""
        self._url = f"{monitor_url.rstrip('/')}/healthz"
        # Without TLS the empty one is never used: HTTPX would load the system's roots, which takes milliseconds.
        self._trust = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._clock = clock
        self._listener = listener
        self._healthy = gauge(metric_names.BUS_HEALTHY, metrics)
        self._problem: str | None = None
        self._answered = False
        self._since: datetime | None = None
        self._told: tuple[str | None] | None = None

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`. Where the monitoring isn't reached, the bus may work nevertheless."""
        if self._answered:
            return [Finding(check="broker", problem=self._problem, since=self._since)]
        return [Finding(check="broker", detail=self._problem, since=self._since)]

    async def look(self) -> None:
        """Read the broker's health, and tell the listener.

        Raises:
            TransientError: the listener couldn't take it.
        """
        problem = await self._ask()
        if problem != self._problem:
            self._since = self._clock() if problem is not None else None
            log.warning("bus_health_changed", problem=problem)
        self._problem = problem
        self._healthy.set(problem is None)
        if self._listener is not None and self._told != (problem,):
            await self._listener.bus_is(problem)
            self._told = (problem,)

    async def _ask(self) -> str | None:
        try:
            async with httpx.AsyncClient(verify=self._trust, trust_env=False, timeout=_TIMEOUT_S) as client:
                response = await client.get(self._url)
        except httpx.HTTPError as error:
            self._answered = False
            return f"its monitoring can't be read: {type(error).__name__}"
        self._answered = True
        if response.status_code == httpx.codes.OK:
            return None
        return _problem(response)


def _problem(response: httpx.Response) -> str:
    try:
        told = _Answer.model_validate_json(response.content)
    except ValidationError:
        told = _Answer()
    text = " ".join((told.error or told.status or f"status {response.status_code}").split())[:_TEXT_LENGTH]
    if any(sign in text for sign in _NO_WRITES):
        return f"{text}; it takes no writes until it is restarted: make room on its disk, then restart the broker"
    return text
