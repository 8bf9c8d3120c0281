import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.exit_codes import ExitCode
from certbus.progress import outcome, progress_line, when_time_is_over
from certcore.api import CertificateState, CertificateView, EndpointState, TargetState
from certcore.conditions import Health
from tests.unit.certbus.samples import NOON, endpoint, target, view

_VIEWS = st.builds(
    view,
    st.sampled_from(CertificateState),
    issued=st.none() | st.integers(1, 3),
    next_try=st.none() | st.just(NOON),
    health=st.sampled_from(Health),
    targets=st.lists(
        st.builds(target, st.sampled_from(TargetState), revision=st.none() | st.integers(1, 3)), min_size=1
    ).map(tuple),
    endpoints=st.lists(
        st.builds(endpoint, st.sampled_from(EndpointState), revision=st.none() | st.integers(1, 3)), min_size=1
    ).map(tuple),
)


@given(_VIEWS, st.integers(1, 4))
def test_only_a_live_and_healthy_certificate_of_the_revision_is_a_success(
    seen: CertificateView, revision: int
) -> None:
    number = seen.revision.number if seen.revision else 0
    done = seen.state is CertificateState.LIVE and seen.health is Health.OK and number >= revision
    assert (outcome(seen, revision=revision) is ExitCode.OK) == done


@given(_VIEWS, st.integers(1, 4))
def test_running_out_of_time_is_never_a_success(seen: CertificateView, revision: int) -> None:
    assert when_time_is_over(seen, revision=revision) in {
        ExitCode.WAITING_FOR_APPROVAL,
        ExitCode.TIMED_OUT,
        ExitCode.PARTLY_DONE,
    }


@given(_VIEWS)
def test_what_the_old_revision_proved_does_not_count_for_the_next(seen: CertificateView) -> None:
    if when_time_is_over(seen, revision=4) is not ExitCode.WAITING_FOR_APPROVAL:
        assert when_time_is_over(seen, revision=4) is ExitCode.TIMED_OUT
    assert f"at 0 of {len(seen.targets)} targets, 0 of" in progress_line(seen, revision=4)


@pytest.mark.parametrize(
    ("seen", "ended"),
    [
        (view(CertificateState.DENIED, issued=None), ExitCode.NOT_ALLOWED),
        (view(CertificateState.RETIRED), ExitCode.FAILED),
        (view(CertificateState.REVOKED), ExitCode.FAILED),
        (view(CertificateState.FAILING, issued=None), ExitCode.FAILED),
        (view(CertificateState.FAILING, issued=None, next_try=NOON), None),
        (view(CertificateState.FAILING), None),
        (view(CertificateState.WAITING_FOR_APPROVAL, issued=None), None),
        (view(CertificateState.DELIVERING), None),
        (view(CertificateState.LIVE), ExitCode.OK),
        (view(CertificateState.LIVE, health=Health.UNKNOWN), None),
        (view(CertificateState.LIVE, health=Health.PROGRESSING), None),
        (view(CertificateState.LIVE, health="of-a-later-version"), None),
        (view(CertificateState.LIVE, health=Health.DEGRADED), ExitCode.FAILED),
        (view(CertificateState.DELIVERING, health=Health.DEGRADED), None),
    ],
)
def test_waiting_ends_where_nobody_will_try_again(seen: CertificateView, ended: ExitCode | None) -> None:
    assert outcome(seen, revision=1) is ended


def test_a_half_done_roll_out_is_told_from_one_that_proved_nothing() -> None:
    unproven = view(
        CertificateState.DELIVERING,
        targets=(target(TargetState.DELIVERED),),
        endpoints=(endpoint(EndpointState.UNSEEN, revision=None),),
    )
    half = view(CertificateState.DELIVERING, targets=(target(), target(TargetState.FAILED)))
    assert when_time_is_over(unproven, revision=1) is ExitCode.TIMED_OUT
    assert when_time_is_over(half, revision=1) is ExitCode.PARTLY_DONE
    waiting = view(CertificateState.WAITING_FOR_APPROVAL, issued=None)
    assert when_time_is_over(waiting, revision=1) is ExitCode.WAITING_FOR_APPROVAL


def test_a_line_of_progress_has_state_reason_and_counts() -> None:
    assert progress_line(view(CertificateState.DELIVERING, reason="ordered"), revision=1) == (
        "shop: delivering (ordered), revision 1 proven at 2 of 2 targets, 1 of 1 endpoints"
    )


def test_a_line_of_progress_says_what_is_wrong_now() -> None:
    degraded = view(health=Health.DEGRADED, health_reason="web serves another")
    assert "shop: live (every endpoint serves it), health degraded (web serves another), revision" in progress_line(
        degraded, revision=1
    )


def test_where_nobody_can_look_the_delivery_is_the_proof() -> None:
    seen = view(CertificateState.DELIVERING, targets=(target(TargetState.DELIVERED), target(TargetState.PENDING)))
    unproven = seen.model_copy(update={"endpoints": ()})
    assert "proven at 1 of 2 targets, 0 of 0 endpoints" in progress_line(unproven, revision=1)
    assert when_time_is_over(unproven, revision=1) is ExitCode.PARTLY_DONE
