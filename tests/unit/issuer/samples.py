"""Jobs and issue orders for unit tests."""

from datetime import UTC, datetime
from typing import Any

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events import IssueOrder, Recipient
from issuer.domain.ca_order import AuthorizationStatus, AuthorizationView, ChallengeKind, ChallengeOffer
from issuer.domain.job import CaOrder, Job, JobId, JobState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def order(*dns_names: str, recipients: tuple[Recipient, ...] = (), **fields: Any) -> IssueOrder:
    return IssueOrder(
        **{
            "certificate_id": "a-certificate",
            "name": "shop",
            "revision": 1,
            "dns_names": dns_names or ("shop.example.org",),
            "exposure": Exposure.INTERNAL,
            "issuer": None,
            "key_algorithm": KeyAlgorithm.EC_P256,
            "approval_id": "an-approval",
            "recipients": recipients,
            **fields,
        }
    )


def job(state: JobState = JobState.ACCEPTED, **fields: Any) -> Job:
    has_order = state in {JobState.ORDERED, JobState.VALIDATING, JobState.FINALIZING, JobState.ISSUED}
    return Job(
        **{
            "id": JobId("a-certificate", 1),
            "issue_order": order(),
            "accepted_at": NOON,
            "ca": "a-ca",
            "state": state,
            "ca_order": CaOrder("https://ca.test/order/1", "https://ca.test/order/1/finalize") if has_order else None,
            **fields,
        }
    )


def offer(kind: ChallengeKind) -> ChallengeOffer:
    return ChallengeOffer(kind, f"https://ca.test/challenge/{kind}", "a-name", "a-value")


def authorization(
    *offers: ChallengeOffer, wildcard: bool = False, identifier: str = "shop.example.org"
) -> AuthorizationView:
    return AuthorizationView(
        identifier=identifier,
        wildcard=wildcard,
        status=AuthorizationStatus.PENDING,
        offers=offers,
        proven_by=None,
        problem=None,
    )
