"""The CAs of a standing approval, by the policy that holds now."""

from dataclasses import replace

from certcore.intent import Intent
from certcore.policy.document import Policy
from certcore.policy.judgement import allowed_cas
from registry.domain.certificate import Approval

__all__ = ["with_present_cas"]


def with_present_cas(approval: Approval | None, intent: Intent, policy: Policy | None) -> Approval | None:
    """One that policy doesn't name any more gets no further order."""
    if approval is None or policy is None:
        return approval
    cas = allowed_cas(policy, intent.exposure, intent.dns_names, asked=intent.issuer)
    return approval if cas == approval.cas else replace(approval, cas=cas)
