"""What the monitor tells the registry, and the proof that ends a roll-out's trace."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.trace import Tracer

from certcore.events import EndpointObserved
from certkit.reports import StatusReports
from certkit.telemetry import parent_of
from monitor.domain.watched import Expected

__all__ = ["Observations", "Shake"]


@dataclass(frozen=True)
class Shake:
    """When one address was tried, in nanoseconds since 1970."""

    address: str
    began: int
    ended: int


class Observations:
    """Raises TransientError where the bus didn't store a report."""

    def __init__(self, *, reports: StatusReports, tracer: Tracer) -> None:
        self._reports = reports
        self._tracer = tracer

    async def report(self, observed: EndpointObserved) -> None:
        await self._reports.publish(observed, about=observed.certificate_id)

    async def prove(self, observed: EndpointObserved, shakes: Sequence[Shake], expected: Expected) -> None:
        """Report the first look that shows a revision: its handshakes are spans of the trace that led to it."""
        parent = parent_of(expected.event.traceparent)
        verdicts = {address.address: address.verdict for address in observed.addresses}
        last = None
        for shake in sorted(shakes, key=lambda shake: shake.ended):
            last = self._tracer.start_span("tls.handshake", context=parent, start_time=shake.began)
            last.set_attribute("url", observed.url)
            last.set_attribute("address", shake.address)
            last.set_attribute("revision", expected.event.wanted_revision)
            last.set_attribute("verdict", verdicts[shake.address])
            last.end(shake.ended)
        with trace.use_span(last or trace.INVALID_SPAN, end_on_exit=False):
            await self.report(observed)
