"""Observations are reported; the one that proves a rollout ends its trace."""

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.trace import Tracer

from certcore.events import EndpointObserved
from certkit import attributes
from certkit.telemetry import parent_of
from monitor.adapters.reports import Reports
from monitor.handlers.handshakes import Shake

__all__ = ["Observations"]


class Observations:
    """Raises TransientError where the bus didn't store a report."""

    def __init__(self, *, reports: Reports, tracer: Tracer) -> None:
        self._reports = reports
        self._tracer = tracer

    async def report(self, observed: EndpointObserved) -> None:
        await self._reports.observed(observed)

    async def prove(self, observed: EndpointObserved, shakes: Sequence[Shake], *, traceparent: str | None) -> None:
        """Report the first look that proves a rollout: its handshakes are spans of the rollout's trace."""
        parent = parent_of(traceparent)
        verdicts = {address.address: address.verdict for address in observed.addresses}
        last = None
        for shake in sorted(shakes, key=lambda shake: shake.ended):
            last = self._tracer.start_span("tls.handshake", context=parent, start_time=shake.began)
            last.set_attribute(attributes.CERTIFICATE, observed.certificate_id)
            last.set_attribute(attributes.URL, observed.url)
            last.set_attribute(attributes.ADDRESS, shake.address)
            last.set_attribute(attributes.VERDICT, verdicts[shake.address])
            last.set_attribute(attributes.VARIANT, observed.served_variant)
            if observed.served_revision is not None:
                last.set_attribute(attributes.REVISION, observed.served_revision)
            if observed.generation is not None:
                last.set_attribute(attributes.GENERATION, observed.generation)
            last.end(shake.ended)
        with trace.use_span(last or trace.INVALID_SPAN, end_on_exit=False):
            await self.report(observed)
