"""What the monitor stores of endpoints, so that it goes on after a restart."""

from typing import Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from certcore.events import (
    AlertRaised,
    EndpointExpected,
    EndpointObserved,
    EndpointsExpected,
    ServingVerdict,
    Severity,
)

__all__ = ["FAULT_FROM", "EndpointRecord", "Expected", "Finding", "Key", "Rollout", "facts_of"]

Key = tuple[str, str]
"""Certificate id and URL: the same URL may be watched for two certificates, and judged differently."""

FAULT_FROM: Final = 2
"""Looks in a row that make a bad look a fault, for readers and for alerts. No decision tells higher counts apart."""


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rollout(_Stored):
    """At one endpoint. It began at `since`, with the expectation of this generation; later ones may confirm it."""

    generation: int
    since: AwareDatetime


class Expected(_Stored):
    """The newest expectation of a certificate, with the rollout of each endpoint by its URL."""

    event: EndpointsExpected
    rollouts: dict[str, Rollout]

    @classmethod
    def follow(cls, event: EndpointsExpected, *, known: "Expected | None", now: AwareDatetime) -> Self:
        """Where an endpoint wants what it wanted before, its rollout goes on; else one begins."""
        before = {endpoint.url: _leaves(endpoint) for endpoint in known.event.endpoints} if known else {}
        rollouts = {}
        for endpoint in event.endpoints:
            if known and before.get(endpoint.url) == _leaves(endpoint):
                rollouts[endpoint.url] = known.rollouts[endpoint.url]
            else:
                rollouts[endpoint.url] = Rollout(generation=event.generation, since=now)
        return cls(event=event, rollouts=rollouts)

    def endpoint(self, url: str) -> EndpointExpected | None:
        return next((endpoint for endpoint in self.event.endpoints if endpoint.url == url), None)


def _leaves(endpoint: EndpointExpected) -> set[str]:
    return {item.fingerprint_sha256 for item in endpoint.wanted}


class Finding(_Stored):
    """What is wrong with an endpoint, as far as an alert tells findings apart."""

    verdict: ServingVerdict
    severity: Severity


class EndpointRecord(_Stored):
    """`observed` is the last observation that was published, `proven_generation` that of the last proven rollout.

    `ever_served`: any accepted leaf was seen here. `bad_looks` counts those in a row, `critical_looks` those among
    them at which clients would have failed, `same_looks` those that found what the last one `found`. `alert` is the
    open one as it was last published, and `alerted` what it says.
    """

    certificate_id: str
    url: str
    observed: EndpointObserved | None = None
    proven_generation: int | None = None
    ever_served: bool = False
    bad_looks: int = 0
    critical_looks: int = 0
    same_looks: int = 0
    found: Finding | None = None
    alert: AlertRaised | None = None
    alerted: Finding | None = None

    @property
    def key(self) -> Key:
        return (self.certificate_id, self.url)

    def with_observed(self, observed: EndpointObserved) -> "EndpointRecord":
        """After an observation was published. A repetition isn't worth a write."""
        same = self.observed is not None and facts_of(self.observed) == facts_of(observed)
        return self if same else self.model_copy(update={"observed": observed})

    def differs_from(self, stored: "EndpointRecord") -> bool:
        """Whether it must be stored again. A count that only grows further isn't worth a write at each look."""
        return _capped(self) != _capped(stored)


def facts_of(observed: EndpointObserved) -> tuple[object, ...]:
    """What makes an observation another one. The wording of a failure doesn't, nor how long it lasts, nor for which
    generation it was made: what readers conclude follows from the leaf.
    """
    return (
        observed.verdict,
        (observed.in_a_row or 0) >= FAULT_FROM,
        observed.served_revision,
        observed.served_variant,
        observed.served_fingerprint_sha256,
        [(item.address, item.verdict, item.fingerprint_sha256) for item in observed.addresses],
    )


def _capped(record: EndpointRecord) -> EndpointRecord:
    counts = {name: min(getattr(record, name), FAULT_FROM) for name in ("bad_looks", "critical_looks", "same_looks")}
    return record.model_copy(update=counts)
