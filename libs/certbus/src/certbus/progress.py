"""How far a roll-out is, and what that means for somebody who waits for it."""

from certbus.exit_codes import ExitCode
from certcore.api import CertificateState, CertificateView, EndpointState, TargetState
from certcore.conditions import Health

__all__ = ["outcome", "progress_line", "when_time_is_over"]


def outcome(view: CertificateView, *, revision: int) -> ExitCode | None:
    """How waiting for this revision ended, or None while it goes on.

    Live alone is no success: it says that the revision was proven once, and health says what holds now. While health
    is neither ok nor degraded, it goes on. A failing roll-out goes on as long as somebody will try again: only an
    issuer that gave up ends it.
    """
    issued = view.revision is not None and view.revision.number >= revision
    match view.state:
        case CertificateState.LIVE if issued and view.health == Health.OK:
            return ExitCode.OK
        case CertificateState.LIVE if issued and view.health == Health.DEGRADED:
            return ExitCode.FAILED
        case CertificateState.DENIED:
            return ExitCode.NOT_ALLOWED
        case CertificateState.REVOKED | CertificateState.RETIRED:
            return ExitCode.FAILED
        case CertificateState.FAILING if not issued and view.next_try is None:
            return ExitCode.FAILED
        case _:
            return None


def when_time_is_over(view: CertificateView, *, revision: int) -> ExitCode:
    """Which way it was unfinished."""
    if view.state in {CertificateState.REQUESTED, CertificateState.WAITING_FOR_APPROVAL}:
        return ExitCode.WAITING_FOR_APPROVAL
    if _targets_proven(view, revision) or _endpoints_proven(view, revision):
        return ExitCode.PARTLY_DONE
    return ExitCode.TIMED_OUT


def progress_line(view: CertificateView, *, revision: int) -> str:
    """State, reason and counts; it changes only when something was achieved or failed."""
    counts = (
        f"{_targets_proven(view, revision)} of {len(view.targets)} targets, "
        f"{_endpoints_proven(view, revision)} of {len(view.endpoints)} endpoints"
    )
    return f"{view.name}: {view.state}{_reason(view.reason)}{_health(view)}, revision {revision} proven at {counts}"


def _health(view: CertificateView) -> str:
    """Empty where it tells nothing beside the state."""
    if view.health == Health.DEGRADED or (view.state == CertificateState.LIVE and view.health != Health.OK):
        return f", health {view.health}{_reason(view.health_reason)}"
    return ""


def _reason(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _targets_proven(view: CertificateView, revision: int) -> int:
    # Where nothing can be looked at, the delivery itself is the proof.
    proven = {TargetState.VERIFIED} if view.endpoints else {TargetState.VERIFIED, TargetState.DELIVERED}
    return sum(target.state in proven and (target.revision or 0) >= revision for target in view.targets)


def _endpoints_proven(view: CertificateView, revision: int) -> int:
    return sum(
        endpoint.state == EndpointState.SERVED and (endpoint.served_revision or 0) >= revision
        for endpoint in view.endpoints
    )
