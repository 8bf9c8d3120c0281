"""Variants whose key a target makes: its signing request is wanted, offered, checked, and ordered from the issuer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from certcore.certificate import KeyAlgorithm
from certcore.errors import InspectionError, PermanentError
from certcore.events import CsrWanted
from certcore.inspection import CertificateRequest, read_csr
from certcore.placements import PLATFORM
from registry.domain.placement import Placement
from registry.domain.revision import SigningRequest, SigningState
from registry.domain.rollout import Rollout

__all__ = ["WantedCsr", "check_csr", "want_csrs", "wanted_csr"]


@dataclass(frozen=True)
class WantedCsr:
    """A signing request that is wanted from one service of a place."""

    place: str
    service: str
    event: CsrWanted


def want_csrs(
    rollout: Rollout, revision: int, *, now: datetime
) -> tuple[tuple[SigningRequest, ...], tuple[WantedCsr, ...]]:
    """Want the signing request for a revision from each target that makes its own key.

    An earlier revision that still waits for its request is dropped. One whose request went to the issuer is
    continued, and no new one is wanted from the target: it holds one pending key at a time. None
    is wanted either if its variant of this revision is issued already, or if the stored target can't be read.
    """
    requests: list[SigningRequest] = []
    asked: list[WantedCsr] = []
    for placement in rollout.placements:
        if placement.variant == PLATFORM:
            continue
        own = [item for item in rollout.signing if item.variant == placement.variant]
        is_issued = any((item.revision, item.state) == (revision, SigningState.ISSUED) for item in own)
        if is_issued or any(item.state is SigningState.ORDERED for item in own):
            continue
        requests += [
            replace(item, state=SigningState.DROPPED, since=now)
            for item in own
            if item.state is SigningState.WANTED and item.revision != revision
        ]
        wanted = SigningRequest(
            certificate_id=rollout.certificate.id,
            revision=revision,
            variant=placement.variant,
            target=placement.target,
            state=SigningState.WANTED,
            since=now,
        )
        question = wanted_csr(rollout, placement, wanted)
        if question is not None:
            requests.append(wanted)
            asked.append(question)
    return tuple(requests), tuple(asked)


def wanted_csr(rollout: Rollout, placement: Placement, request: SigningRequest) -> WantedCsr | None:
    """The event by which the request is wanted; None where the stored target can't be read."""
    certificate = rollout.certificate
    target = next((item for item in certificate.intent.targets if item.name == placement.target), None)
    if target is None:
        return None
    event = CsrWanted(
        certificate_id=certificate.id,
        name=certificate.name,
        revision=request.revision,
        variant=request.variant,
        target=target,
        dns_names=certificate.intent.dns_names,
        key_algorithm=certificate.intent.key_algorithm,
        traceparent=certificate.traceparent,
    )
    return WantedCsr(placement.place, placement.service, event)


def check_csr(csr_pem: str, *, dns_names: Sequence[str], key_algorithm: KeyAlgorithm | str) -> CertificateRequest:
    """Check an offered signing request.

    Raises:
        PermanentError: it can't be read, its signature is wrong, or it asks for other names or another kind of key
            than was approved.
    """
    try:
        csr = read_csr(csr_pem.encode())
    except InspectionError as error:
        raise PermanentError(f"the offered {error}") from None
    if set(csr.dns_names) != {name.lower() for name in dns_names}:
        raise PermanentError("the offered signing request asks for other names than were approved")
    if csr.key_algorithm != key_algorithm:
        raise PermanentError(f"the offered signing request has a key of {csr.key_algorithm}, not {key_algorithm}")
    return csr
