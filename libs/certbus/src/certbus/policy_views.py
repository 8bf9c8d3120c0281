"""What policy says, as people read it."""

from datetime import timedelta

from certcore.policy.spans import span_text
from certcore.policy.verdict import NeededView, PolicyVerdict

__all__ = ["needed_words", "verdict_facts"]


def verdict_facts(verdict: PolicyVerdict) -> list[tuple[str, str]]:
    if not verdict.allowed:
        return [
            ("allowed", "no"),
            *(("because", f"{error.field}: {error.message}") for error in verdict.errors),
            ("policy", verdict.policy_digest),
        ]
    return [
        ("allowed", "yes"),
        ("exposure", str(verdict.exposure)),
        ("CA", ", else ".join(verdict.cas)),
        ("asks", needed_words(verdict.approvals) or "nobody: policy itself approves"),
        *(("because", line) for line in verdict.because),
        ("expires", _span(verdict.pending_s, "if nobody decides within ") if verdict.approvals else ""),
        ("approval", _span(verdict.approval_lasts_s, "ends after ")),
        ("renewals", _span(verdict.renewals_apart_s, "by hand at least this far apart: ")),
        ("at most", f"{verdict.most} certificates of the team" if verdict.most is not None else ""),
        ("policy", verdict.policy_digest),
    ]


def needed_words(needed: tuple[NeededView, ...]) -> str:
    return " and ".join(
        f"{item.count} of {item.group}" if item.group else f"{item.count} with the role approver" for item in needed
    )


def _span(seconds: int | None, words: str) -> str:
    return "" if seconds is None else words + span_text(timedelta(seconds=seconds))
