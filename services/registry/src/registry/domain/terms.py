"""On which terms a request was taken: what policy asked for, and what its approval will be bounded by."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from certcore.policy.document import ApprovalsNeeded
from certcore.policy.judgement import Judgement
from certcore.policy.quorum import needed_text

__all__ = ["BEFORE_POLICIES", "Terms"]

_RULE: Final = 64


@dataclass(frozen=True)
class Terms:
    """What policy asked for when the request was made: `rules` of the policy with this digest. `because` says in
    lines what each rule was found for; `cas` are the CAs that may sign it, None where the issuer chooses.
    """

    policy: str
    rules: tuple[str, ...]
    needed: tuple[ApprovalsNeeded, ...]
    approval_lasts: timedelta | None = None
    renewals_apart: timedelta | None = None
    because: tuple[str, ...] = ()
    cas: tuple[str, ...] | None = None

    @classmethod
    def of(cls, judged: Judgement, digest: str) -> "Terms":
        return cls(
            policy=digest,
            rules=judged.rules,
            needed=judged.approvals,
            approval_lasts=judged.approval_lasts,
            renewals_apart=judged.renewals_apart,
            because=judged.because,
            cas=judged.cas,
        )

    @property
    def rule(self) -> str:
        """The rules as approvals and events name them."""
        return "+".join(self.rules)[:_RULE]

    @property
    def reason(self) -> str:
        """Why the request waits."""
        return f"needs {needed_text(self.needed)}, other than the requester (rule {self.rule})"


BEFORE_POLICIES: Final = Terms(
    policy="", rules=("public-names-need-a-second-person",), needed=(ApprovalsNeeded(count=1),)
)
"""Of requests from before there was a policy file."""
