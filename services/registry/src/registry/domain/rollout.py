"""How far a certificate's rollout has come: each placement, each endpoint, and whether all of it is proven."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Self

from certcore.api import EndpointState, TargetState
from certcore.events import AcceptedFingerprint, EndpointExpected, EndpointsExpected, ServingVerdict
from certcore.placements import PLATFORM, Action
from registry.domain.certificate import Certificate
from registry.domain.endpoint import Endpoint
from registry.domain.overview import Overview
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest

__all__ = ["Progress", "Rollout"]


@dataclass(frozen=True)
class Rollout:
    """A certificate with its revisions (newest first), placements, endpoints and signing requests."""

    certificate: Certificate
    revisions: tuple[Revision, ...]
    placements: tuple[Placement, ...]
    endpoints: tuple[Endpoint, ...]
    signing: tuple[SigningRequest, ...] = ()

    # ── what is there ───────────────────────────────────────────────────────────────────────────────────────

    def revision(self, number: int, variant: str) -> Revision | None:
        return next((item for item in self.revisions if (item.number, item.variant) == (number, variant)), None)

    def placement(self, target: str) -> Placement | None:
        return next((item for item in self.placements if item.target == target), None)

    @property
    def wanted(self) -> int:
        """The highest revision that any target should hold; 0 while there is none."""
        return max((item.wanted or 0 for item in self.placements if item.action is Action.HOLD), default=0)

    @cached_property
    def newest(self) -> Revision | None:
        """The newest revision that the issuer reported: of the platform's variant, where a target takes that."""
        platform = any(item.variant == PLATFORM for item in self.placements)
        return next(
            (item for item in self.revisions if item.announced and (item.variant == PLATFORM or not platform)), None
        )

    @property
    def shown(self) -> Revision | None:
        """The variant of the wanted revision that is shown for all: the platform's, if there is one."""
        return next(iter(self.variants), None)

    @cached_property
    def variants(self) -> tuple[Revision, ...]:
        """What the targets should hold now, the platform's variant first."""
        wanted = {(item.wanted, item.variant) for item in self.placements if item.is_wanted}
        found = [item for item in self.revisions if (item.number, item.variant) in wanted]
        own = {item.target for item in self.placements}
        return tuple(sorted(found, key=lambda item: (-item.number, item.variant in own, item.variant)))

    # ── what endpoints should serve ─────────────────────────────────────────────────────────────────────────

    def proven_by(self, endpoint: Endpoint) -> tuple[Placement, ...]:
        """The placements that this endpoint proves: the one that it names, else all that no endpoint names."""
        if endpoint.target is not None:
            return tuple(item for item in self.placements if item.target == endpoint.target)
        return self.placements

    def wanted_at(self, endpoint: Endpoint) -> tuple[Revision, ...]:
        """One leaf for each variant that may be served there; empty while nothing is wanted."""
        pairs = {(item.wanted, item.variant) for item in self.proven_by(endpoint) if item.is_wanted}
        return tuple(item for item in self.revisions if (item.number, item.variant) in pairs)

    def accepted_at(self, endpoint: Endpoint) -> tuple[Revision, ...]:
        """Leaves that are no fault there although they are not wanted: until the wanted revision was seen, all since
        the one that was last proven.
        """
        wanted = self.wanted_at(endpoint)
        if not wanted or all(item.number == endpoint.proven for item in wanted):
            return ()
        variants = {item.variant for item in wanted}
        first = min(max(endpoint.proven, 1), *(item.number for item in wanted))
        return tuple(
            item
            for item in self.revisions
            if item.variant in variants and item.number >= first and item not in wanted
        )

    @property
    def accepts_less_by_proof(self) -> bool:
        """Whether an endpoint may have accepted more before what is wanted there was seen; if not, what was announced
        with the order holds still. Not so in a first revision: there was nothing else to accept.
        """
        return any(self.accepted_at(item) != self.accepted_at(replace(item, proven=0)) for item in self.endpoints)

    def served_at(self, endpoint: Endpoint) -> Revision | None:
        """The wanted leaf that a handshake showed at every address of the endpoint; None where it didn't."""
        if endpoint.verdict is not ServingVerdict.WANTED:
            return None
        seen = endpoint.served_fingerprint_sha256
        return next((item for item in self.wanted_at(endpoint) if item.fingerprint_sha256 == seen), None)

    def is_served(self, endpoint: Endpoint) -> bool:
        return self.served_at(endpoint) is not None

    @property
    def served_until(self) -> datetime | None:
        """The earliest end of the leaves that endpoints were seen serving and that targets hold; None where no leaf
        of ours is known to be anywhere.
        """
        seen = {item.served_fingerprint_sha256 for item in self.endpoints}
        held = {(item.held, item.variant) for item in self.placements}
        ends = [
            item.not_after
            for item in self.revisions
            if item.fingerprint_sha256 in seen or (item.number, item.variant) in held
        ]
        return min(ends, default=None)

    def seen_at(self, endpoint: Endpoint) -> ServingVerdict | str | None:
        """The verdict by what is wanted now: a leaf that was wanted when it was seen may be a previous one now."""
        if endpoint.verdict is ServingVerdict.WANTED and not self.is_served(endpoint):
            return ServingVerdict.PREVIOUS
        return endpoint.verdict

    def expectation(self) -> EndpointsExpected:
        """What the certificate's endpoints should serve."""
        return EndpointsExpected(
            certificate_id=self.certificate.id,
            name=self.certificate.name,
            owner=self.certificate.owner,
            generation=self.certificate.generation,
            endpoints=tuple(
                EndpointExpected(
                    url=endpoint.url,
                    target=endpoint.target,
                    wanted=_fingerprints(self.wanted_at(endpoint)),
                    accepted=_fingerprints(self.accepted_at(endpoint)),
                )
                for endpoint in self.endpoints
            ),
            traceparent=self.certificate.traceparent,
        )

    # ── how far it is ───────────────────────────────────────────────────────────────────────────────────────

    def target_state(self, placement: Placement) -> TargetState:
        """A target is verified by the endpoints that name it, or where none does by those that name no target."""
        if placement.action is Action.WITHDRAW:
            return TargetState.WITHDRAWN if placement.is_withdrawn else TargetState.WITHDRAWING
        if placement.is_failed:
            return TargetState.FAILED
        if not placement.is_held:
            return TargetState.IN_PROGRESS if placement.step else TargetState.PENDING
        own = [item for item in self.endpoints if item.target == placement.target]
        proofs = own or [item for item in self.endpoints if item.target is None]
        verified = bool(proofs) and all(self.is_served(item) for item in proofs)
        return TargetState.VERIFIED if verified else TargetState.DELIVERED

    def endpoint_state(self, endpoint: Endpoint) -> EndpointState:
        if self.is_served(endpoint):
            return EndpointState.SERVED
        match self.seen_at(endpoint):
            case None:
                return EndpointState.UNSEEN
            case ServingVerdict.UNREACHABLE | ServingVerdict.TLS_FAILED:
                return EndpointState.UNREACHABLE
            case ServingVerdict.PREVIOUS:
                return EndpointState.PREVIOUS
            case _:
                return EndpointState.MISMATCH

    @cached_property
    def progress(self) -> "Progress":
        """What is done and what is missing. A target that still waits for its own variant is no part of it: a slow
        one holds up no other.
        """
        placed = [item for item in self.placements if item.is_wanted]
        held = [item for item in placed if item.is_held]
        due = [item for item in self.endpoints if self.wanted_at(item)]
        served = [item for item in due if self.is_served(item)]
        missing = [
            f"target {item.target} ({item.failure or item.step or 'not delivered yet'})"
            for item in placed
            if not item.is_held
        ]
        missing += [
            f"endpoint {item.url} ({self.seen_at(item) or 'not looked at yet'})"
            for item in due
            if not self.is_served(item)
        ]
        return Progress(len(held), len(placed), len(served), len(due), tuple(missing))

    def overview(self) -> Overview:
        shown, found = self.shown, self.progress
        return Overview(
            revision=shown.number if shown else None,
            not_after=shown.not_after if shown else None,
            targets_done=found.targets_done,
            targets_total=len(self.placements),
            endpoints_done=found.endpoints_done,
            endpoints_total=len(self.endpoints),
        )

    # ── changed parts ───────────────────────────────────────────────────────────────────────────────────────

    def with_certificate(self, certificate: Certificate) -> Self:
        return replace(self, certificate=certificate)

    def with_placement(self, placement: Placement) -> Self:
        placements = tuple(placement if item.target == placement.target else item for item in self.placements)
        return replace(self, placements=placements)

    def with_endpoint(self, endpoint: Endpoint) -> Self:
        return replace(
            self, endpoints=tuple(endpoint if item.url == endpoint.url else item for item in self.endpoints)
        )

    def with_revision(self, revision: Revision) -> Self:
        key = (revision.number, revision.variant)
        others = [item for item in self.revisions if (item.number, item.variant) != key]
        return replace(self, revisions=tuple(sorted([revision, *others], key=lambda item: -item.number)))

    def with_signing(self, request: SigningRequest) -> Self:
        key = (request.revision, request.variant)
        others = tuple(item for item in self.signing if (item.revision, item.variant) != key)
        return replace(self, signing=(*others, request))


def _fingerprints(revisions: Sequence[Revision]) -> tuple[AcceptedFingerprint, ...]:
    return tuple(
        AcceptedFingerprint(revision=item.number, fingerprint_sha256=item.fingerprint_sha256, variant=item.variant)
        for item in revisions
    )


@dataclass(frozen=True)
class Progress:
    """`missing` names what is not there yet, in the words that a person reads as the reason for waiting."""

    targets_done: int
    targets_total: int
    endpoints_done: int
    endpoints_total: int
    missing: tuple[str, ...]

    @property
    def proven(self) -> bool:
        return not self.missing and self.targets_total > 0

    @property
    def reason(self) -> str:
        if self.proven and self.endpoints_total:
            return f"every endpoint was seen serving it ({self.endpoints_done} of {self.endpoints_total})"
        if self.proven:
            return f"every target holds it ({self.targets_done} of {self.targets_total}); no endpoint is watched"
        if not self.missing:
            return "no target should hold anything"
        counts = (
            f"{self.targets_done} of {self.targets_total} targets hold it,"
            f" {self.endpoints_done} of {self.endpoints_total} endpoints serve it"
        )
        more = f" and {len(self.missing) - 3} more" if len(self.missing) > 3 else ""
        return f"{counts}; waiting for {', '.join(self.missing[:3])}{more}"
