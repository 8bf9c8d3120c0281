"""Whether a service can do its work, and what exactly keeps it from that."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

__all__ = ["Check", "Finding", "Readiness", "Report", "asked"]

_REASON_LENGTH: Final = 500


class Finding(BaseModel):
    """What one check found: `problem` is why the service can't do its work, None where it can as far as this goes.

    `detail` is told in both cases; `since` is since when it is so.
    """

    model_config = ConfigDict(frozen=True)

    check: str
    problem: str | None = None
    detail: str | None = None
    since: datetime | None = None

    def told(self) -> str:
        words = " ".join(word for word in (self.problem, self.detail and f"({self.detail})") if word) or "ok"
        since = f" since {self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.since is not None else ""
        return f"{self.check}: {words}{since}"


class Report(BaseModel):
    """The answer of /readyz: `reason` is None where the service is ready."""

    model_config = ConfigDict(frozen=True)

    reason: str | None
    checks: tuple[Finding, ...]

    def text(self) -> str:
        """The reason or `ready` in the first line, then a line for each check, problems first."""
        problems = [f"FAIL {finding.told()}" for finding in self.checks if finding.problem is not None]
        rest = [f"ok   {finding.told()}" for finding in self.checks if finding.problem is None]
        return "\n".join([self.reason or "ready", *problems, *rest]) + "\n"


Check = Callable[[], Sequence[Finding]]
"""Tells what it knows already, and waits for nothing: rounds of the background look, checks remember."""


class Readiness:
    """`bus`, of a service that has one, may wait, up to a second; all others are told from memory."""

    def __init__(self, *checks: Check, bus: Callable[[], Awaitable[Finding]] | None = None) -> None:
        self._checks = checks
        self._bus = bus

    async def report(self) -> Report:
        findings = [finding for check in self._checks for finding in check()]
        if self._bus is not None:
            findings.insert(0, await self._bus())
        problems = [finding.told() for finding in findings if finding.problem is not None]
        return Report(reason="; ".join(problems)[:_REASON_LENGTH] or None, checks=tuple(findings))

    async def reason(self) -> str | None:
        """Why the service can't do its work; None where it can."""
        return (await self.report()).reason


def asked(name: str, problem: Callable[[], str | None]) -> Check:
    """A check of one question: `problem` answers it, None where there is none."""

    def check() -> list[Finding]:
        return [Finding(check=name, problem=problem())]

    return check
