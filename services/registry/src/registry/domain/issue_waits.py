"""What an order waits for, as the issuer reports it: nothing has failed, and people see why it isn't issued yet."""

from datetime import datetime
from typing import Final

from certcore.api import CertificateState
from certcore.events import CertificateIssuingWaits, MustAct, RevisionWaits
from certcore.placements import PLATFORM
from registry.domain.change import Change
from registry.domain.lifecycle import Trigger, follow
from registry.domain.orders import is_awaited
from registry.domain.rollout import Rollout

__all__ = ["wait"]

_REASON: Final = 500


def wait(rollout: Rollout, report: RevisionWaits, *, now: datetime) -> Change:
    """The certificate keeps its state and tells what is waited for. One that fails goes on to fail."""
    certificate = rollout.certificate
    if not is_awaited(rollout, report.revision, report.variant):
        return Change(f"revision {report.revision} ({report.variant}) is not the one that is awaited")
    why = report.reason[:_REASON]
    acts = f"; {report.must_act} must act" if report.must_act != MustAct.NOBODY else ""
    reason = f"revision {report.revision} waits: {why}{acts}"
    waits = CertificateIssuingWaits(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=report.revision,
        variant=report.variant,
        code=report.code,
        must_act=report.must_act,
        reason=why,
        since=report.since,
        until=report.until,
    )
    delivered = certificate.state in {CertificateState.DELIVERING, CertificateState.LIVE}
    if report.variant == PLATFORM and not delivered:
        state = follow(certificate.state, Trigger.ISSUING_STARTED)
        # Without a next try, one that fails counts as given up.
        failing = certificate.next_try if state is CertificateState.FAILING else None
        certificate = certificate.moved(state, reason, now, report.until or failing)
    return Change(reason, certificate=certificate, announced=(waits,))
