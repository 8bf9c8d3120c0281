from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.api import CertificateState
from certcore.errors import PermanentError, TransientError
from certcore.events import (
    CertificateFailing,
    CertificateIssued,
    EndpointsExpected,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
)
from registry.domain.certificate import Certificate
from registry.domain.deployment import Deployment
from registry.domain.issuance import fail, issue, issue_order, start
from tests.unit.registry.samples import NOON, approval, certificate, delivery, revision, rollout, site

LATER = NOON + timedelta(hours=1)
SEALED = {"site1-syncer": b"sealed"}


def awaiting(state: CertificateState = CertificateState.RENEWING) -> Certificate:
    """One that waits for revision 2."""
    return certificate(state, ordered=2)


def announcement(number: int = 2, *, leaf: int | None = None) -> RevisionIssued:
    return RevisionIssued(
        certificate_id="c-1",
        revision=number,
        fingerprint_sha256=f"{leaf or number:064x}",
        ca="ca",
        validation_method="dns-01",
        ari_id="ari",
    )


def started(number: int) -> RevisionStarted:
    return RevisionStarted(certificate_id="c-1", revision=number, ca="ca")


def failed(number: int, reason: str = "no answer") -> RevisionFailed:
    return RevisionFailed(certificate_id="c-1", revision=number, reason=reason, next_try=LATER)


def test_an_order_is_sealed_to_the_services_of_the_targets_only() -> None:
    sites = [site("site1", "syncer", "pusher"), site("site2")]
    order = issue_order(certificate(), approval(), 2, sites, replaces="ari")
    assert [recipient.name for recipient in order.recipients] == ["site1-syncer"]
    assert (order.revision, order.approval_id, order.replaces) == (2, "a-1", "ari")


def test_a_start_is_shown_as_the_reason() -> None:
    change = start(awaiting(CertificateState.APPROVED), started(2), now=LATER)
    assert change.certificate is not None
    assert change.certificate.state is CertificateState.ISSUING
    assert change.certificate.reason == change.reason == "revision 2 is being ordered from ca"
    assert change.announced == ()


def test_a_start_keeps_the_next_try_of_a_failing_one() -> None:
    failing = replace(awaiting(CertificateState.FAILING), next_try=LATER)
    change = start(failing, started(2), now=LATER)
    assert change.certificate is not None
    assert change.certificate.next_try == LATER


@pytest.mark.parametrize("number", [1, 3])
def test_a_start_or_failure_of_a_revision_that_nobody_awaits_changes_nothing(number: int) -> None:
    for change in (start(awaiting(), started(number), now=LATER), fail(awaiting(), failed(number), now=LATER)):
        assert change.reason == f"revision {number} is not the one that is awaited"
        assert (change.certificate, change.announced) == (None, ())


def test_a_failure_is_announced_with_its_reason_and_next_try() -> None:
    change = fail(awaiting(), failed(2, "x" * 600), now=LATER)
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.next_try) == (CertificateState.FAILING, LATER)
    [failing] = change.announced
    assert isinstance(failing, CertificateFailing)
    assert (failing.reason, failing.next_try) == ("x" * 500, LATER)


def test_an_issued_revision_is_wanted_and_its_deployments_are_ordered() -> None:
    known = rollout(awaiting(), revisions=(revision(2), revision(1)), deliveries=(delivery(holds=1, failed=1),))
    change = issue(known, announcement(), SEALED, now=LATER)
    assert change.certificate is not None
    assert change.revision is not None
    assert (change.certificate.state, change.certificate.wanted) == (CertificateState.DELIVERING, 2)
    assert change.certificate.proven == 1
    assert (change.revision.announced, change.revision.ca, change.revision.ari_id) == (True, "ca", "ari")
    issued, deployment, expected = change.announced
    assert isinstance(issued, CertificateIssued)
    assert isinstance(deployment, Deployment)
    assert (deployment.site, deployment.service, deployment.order.revision) == ("site1", "syncer", 2)
    assert isinstance(expected, EndpointsExpected)
    assert [item.revision for item in expected.accepted] == [2, 1]


def test_a_new_revision_forgets_why_the_one_before_was_not_delivered() -> None:
    held = replace(delivery(holds=1, failed=1), next_try=LATER)
    known = rollout(awaiting(), revisions=(revision(2), revision(1)), deliveries=(held,))
    [found] = issue(known, announcement(), SEALED, now=LATER).deliveries
    assert (found.revision, found.failure, found.next_try) == (1, "", None)


def test_the_reason_says_what_the_new_revision_waits_for() -> None:
    change = issue(rollout(awaiting(), revisions=(revision(2),)), announcement(), SEALED, now=LATER)
    assert "0 of 1 targets hold it" in change.reason
    assert change.certificate is not None
    assert change.certificate.reason == change.reason


def test_the_wanted_revision_announced_again_changes_nothing() -> None:
    change = issue(rollout(awaiting()), announcement(1), SEALED, now=LATER)
    assert change.reason == "revision 1 is not newer than the wanted one"
    assert (change.certificate, change.revision, change.announced) == (None, None, ())


def test_a_revision_that_is_not_stored_yet_is_tried_again() -> None:
    with pytest.raises(TransientError, match="not stored yet"):
        issue(rollout(awaiting()), announcement(), SEALED, now=LATER)


def test_another_leaf_than_the_stored_one_is_refused() -> None:
    with pytest.raises(PermanentError, match="another leaf"):
        issue(rollout(awaiting(), revisions=(revision(2),)), announcement(leaf=9), SEALED, now=LATER)


def test_a_revision_that_a_recipient_can_not_open_is_refused() -> None:
    with pytest.raises(PermanentError, match="not sealed to site1-syncer"):
        issue(rollout(awaiting(), revisions=(revision(2),)), announcement(), {}, now=LATER)
