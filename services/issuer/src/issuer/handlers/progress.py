"""What the run of a job knows already, so that the next step needn't ask again."""

from collections.abc import Sequence
from dataclasses import dataclass

from issuer.domain.ca_order import OrderView
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.job import Job

__all__ = ["Progress"]


@dataclass
class Progress:
    """`job` is the job as the journal has it: whoever writes it in the midst of a step notes it here, so that what
    follows from a failure is written to the job as it is then. `view` is the CA's last answer about the order,
    `records` are the job's challenge records. `behind` is the job as the journal has it, where `job` is ahead of it:
    the next step writes both. `beside` is what people are told beside a failure: why the job stays at its CA.
    """

    job: Job
    view: OrderView | None = None
    records: Sequence[ChallengeRecord] | None = None
    behind: Job | None = None
    beside: str = ""
