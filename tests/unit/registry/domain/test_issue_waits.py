from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from certcore.api import CertificateState
from certcore.events import CertificateIssuingWaits, MustAct, RevisionWaits, WaitCode
from registry.domain.change import Change
from registry.domain.issue_waits import wait
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import NOON, certificate, placement, revision, rollout

TOMORROW = NOON + timedelta(days=1)


def renewing(state: CertificateState = CertificateState.RENEWING, **fields: Any) -> Rollout:
    of = certificate(state, ordered=2, **fields)
    return rollout(of, revisions=(revision(),), placements=(placement(holds=1),))


def waited(of: Rollout, **fields: Any) -> Change:
    told: dict[str, Any] = {"reason": "ca_limits: 50 a week", "until": TOMORROW, "code": WaitCode.CA_LIMITS, **fields}
    report = RevisionWaits(**{"certificate_id": "c-1", "revision": 2, "ca": "acme", "since": NOON, **told})
    return wait(of, report, now=NOON)


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (CertificateState.APPROVED, CertificateState.ISSUING),
        (CertificateState.ISSUING, CertificateState.ISSUING),
        (CertificateState.RENEWING, CertificateState.RENEWING),
        (CertificateState.FAILING, CertificateState.FAILING),
    ],
)
def test_what_it_waits_for_and_until_when_is_told_and_nothing_has_failed(
    state: CertificateState, after: CertificateState
) -> None:
    change = waited(renewing(state))
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.next_try) == (after, TOMORROW)
    assert change.certificate.reason == "revision 2 waits: ca_limits: 50 a week"
    [told] = change.announced
    assert isinstance(told, CertificateIssuingWaits)
    assert (told.revision, told.code, told.until, told.must_act) == (2, WaitCode.CA_LIMITS, TOMORROW, MustAct.NOBODY)


def test_who_must_act_is_part_of_the_reason() -> None:
    change = waited(renewing(), must_act=MustAct.DNS_OWNER, reason="not_propagated: ns2 lacks it")
    assert change.reason == "revision 2 waits: not_propagated: ns2 lacks it; dns_owner must act"


@pytest.mark.parametrize("next_try", [None, TOMORROW])
def test_one_that_fails_is_given_up_by_a_wait_without_end_as_little_as_taken_up(next_try: datetime | None) -> None:
    change = waited(renewing(CertificateState.FAILING, next_try=next_try), until=None, code="of_tomorrow")
    assert change.certificate is not None
    assert change.certificate.next_try == next_try
    assert waited(renewing(), until=None).certificate == replace(
        renewing().certificate, reason="revision 2 waits: ca_limits: 50 a week"
    )


def test_what_is_not_awaited_changes_nothing() -> None:
    change = waited(renewing(), revision=1)
    assert (change.certificate, change.announced) == (None, ())


def test_another_variant_is_announced_and_leaves_the_state_to_the_platform_s() -> None:
    cdn = placement("cdn", holds=1, own_key=True)
    of = replace(renewing(), placements=(placement(holds=1), cdn))
    change = waited(of, variant="cdn")
    assert change.certificate == of.certificate
    [told] = change.announced
    assert isinstance(told, CertificateIssuingWaits)
    assert told.variant == "cdn"
