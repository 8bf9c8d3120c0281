from collections.abc import Iterator
from datetime import timedelta

import pytest

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.waiting import wait_until_live
from certcore.api import CertificateState, CertificateView
from certcore.conditions import Health
from tests.unit.certbus.samples import view

_AWAY = CommandError("the registry is away", exit_code=ExitCode.UNREACHABLE)


class Watched:
    """Shows one view after another, the last one for ever; time passes only in pauses."""

    def __init__(self, *shown: CertificateView | CommandError) -> None:
        self._shown: Iterator[CertificateView | CommandError] = iter(shown)
        self._last = shown[-1]
        self.lines: list[str] = []
        self.time_s = 0.0

    def look(self) -> CertificateView:
        found = next(self._shown, self._last)
        if isinstance(found, CommandError):
            raise found
        return found

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time_s += seconds

    def wait(self, seconds: float = 60, *, revision: int = 1) -> ExitCode:
        return wait_until_live(
            self.look,
            revision=revision,
            timeout=timedelta(seconds=seconds),
            tell=self.lines.append,
            now_s=lambda: self.time_s,
            sleep=self.sleep,
        )


def waiting() -> CertificateView:
    return view(CertificateState.WAITING_FOR_APPROVAL, issued=None, reason="needs an approval")


def test_each_step_is_told_once_until_it_is_live() -> None:
    watched = Watched(waiting(), waiting(), waiting(), view(CertificateState.DELIVERING), view())
    assert watched.wait() is ExitCode.OK
    assert [line.split(" ")[1] for line in watched.lines] == ["waiting_for_approval", "delivering", "live"]


def test_a_request_that_nobody_approves_is_waited_for_to_the_end() -> None:
    watched = Watched(waiting())
    assert watched.wait(30) is ExitCode.WAITING_FOR_APPROVAL
    assert watched.time_s == pytest.approx(30)


def test_a_denial_ends_the_waiting_at_once() -> None:
    watched = Watched(waiting(), view(CertificateState.DENIED, issued=None))
    assert watched.wait() is ExitCode.NOT_ALLOWED
    assert watched.time_s < 1


def test_a_registry_that_comes_back_is_waited_for() -> None:
    watched = Watched(view(CertificateState.ISSUING, issued=None), _AWAY, _AWAY, view())
    assert watched.wait() is ExitCode.OK
    assert sum("trying again" in line for line in watched.lines) == 1


def test_a_registry_that_stays_away_is_the_result() -> None:
    with pytest.raises(CommandError) as told:
        Watched(view(CertificateState.ISSUING, issued=None), _AWAY).wait(5)
    assert told.value.exit_code is ExitCode.UNREACHABLE


def test_a_refusal_is_not_waited_out() -> None:
    watched = Watched(CommandError("gone", exit_code=ExitCode.NOT_FOUND))
    with pytest.raises(CommandError, match="gone"):
        watched.wait()
    assert watched.time_s == 0


def test_the_revision_before_is_not_what_a_renewal_waits_for() -> None:
    watched = Watched(view(issued=1), view(CertificateState.RENEWING, issued=1), view(issued=2))
    assert watched.wait(revision=2) is ExitCode.OK
    assert len(watched.lines) == 3


def test_a_live_certificate_is_waited_for_until_its_health_is_known() -> None:
    watched = Watched(view(health=Health.UNKNOWN), view(health=Health.PROGRESSING), view())
    assert watched.wait() is ExitCode.OK
    assert len(watched.lines) == 3


def test_a_degraded_certificate_ends_the_waiting_with_its_reason() -> None:
    watched = Watched(view(health=Health.DEGRADED, health_reason="web serves another"))
    assert watched.wait() is ExitCode.FAILED
    assert "health degraded (web serves another)" in watched.lines[-1]
