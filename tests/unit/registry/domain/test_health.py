from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from certcore.api import CertificateState as S
from certcore.conditions import ConditionType, Health
from certcore.events import ServingVerdict as V
from registry.domain.health import GRACE, Assessment, assess
from registry.domain.placement import Placement
from registry.domain.revision import SigningRequest, SigningState
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import (
    NOON,
    certificate,
    endpoint,
    intent,
    placement,
    revision,
    rollout,
    signing,
    worker,
)

IN_GRACE = NOON + GRACE - timedelta(seconds=1)
LATER = NOON + GRACE


def judged(
    of: Rollout, *, now: datetime = LATER, looked: datetime | None = None, approved: bool = True
) -> Assessment:
    """While somebody looks at every endpoint."""
    return assess(of, [worker(ended=looked or now)], approved=approved, now=now)


def condition(of: Assessment, kind: ConditionType) -> tuple[str, str]:
    found = next(item for item in of.conditions if item.type is kind)
    return str(found.status), found.reason


def proven(**seen: Any) -> Rollout:
    """Live with revision 1; `seen` is what changed at its endpoint since."""
    served = endpoint(V.WANTED, revision=1, proven=1, in_a_row=0)
    return rollout(placements=(placement(holds=1),), endpoints=(replace(served, **seen),))


def renewed(**seen: Any) -> Rollout:
    """Revision 2 was ordered and is held; the endpoint served revision 1 until then."""
    served = endpoint(V.WANTED, revision=1, proven=1, in_a_row=0)
    return rollout(
        certificate(S.DELIVERING, ordered=2, generation=2),
        revisions=(revision(2), revision(1)),
        placements=(placement(wanted=2, holds=2),),
        endpoints=(replace(served, **seen),),
    )


def first(of: Placement | None = None, **seen: Any) -> Rollout:
    """The first rollout of revision 1: nothing was proven yet."""
    return rollout(
        certificate(S.DELIVERING), placements=(of or placement(holds=1),), endpoints=(replace(endpoint(), **seen),)
    )


def without_proof(*placements: Placement) -> Rollout:
    of = certificate(intent=intent(proof="none", endpoints=[]))
    return rollout(of, placements=placements, endpoints=())


BAD: dict[str, Any] = {"verdict": V.UNREACHABLE, "served_fingerprint_sha256": None, "detail": "refused"}


@pytest.mark.parametrize(
    ("of", "now", "health", "kind", "expected"),
    [
        pytest.param(proven(), LATER, Health.OK, ConditionType.SERVED, ("true", "served"), id="served"),
        pytest.param(
            proven(**BAD, in_a_row=1), LATER, Health.OK, ConditionType.SERVED, ("true", "served"),
            id="one bad look",
        ),
        pytest.param(
            first(**BAD, observed_at=NOON, in_a_row=1), LATER, Health.DEGRADED, ConditionType.SERVED,
            ("false", "unreachable"), id="one bad look where nothing was proven",
        ),
        pytest.param(
            proven(**BAD, in_a_row=2), IN_GRACE, Health.DEGRADED, ConditionType.SERVED, ("false", "unreachable"),
            id="two bad looks count at once",
        ),
        pytest.param(
            proven(**BAD, in_a_row=None), IN_GRACE, Health.DEGRADED, ConditionType.SERVED, ("false", "unreachable"),
            id="a fault of an older monitor counts at once",
        ),
        pytest.param(
            proven(verdict=V.EXPIRED, in_a_row=2), LATER, Health.DEGRADED, ConditionType.SERVED, ("false", "expired"),
            id="expired leaf",
        ),
        pytest.param(
            proven(verdict=V.OTHER, in_a_row=2), LATER, Health.DEGRADED, ConditionType.SERVED, ("false", "other"),
            id="foreign leaf",
        ),
        pytest.param(
            proven(verdict="melted", in_a_row=2), LATER, Health.DEGRADED, ConditionType.SERVED, ("false", "melted"),
            id="a verdict of a newer monitor",
        ),
        pytest.param(
            renewed(verdict=V.PREVIOUS), IN_GRACE, Health.PROGRESSING, ConditionType.SERVED, ("false", "previous"),
            id="previous within the grace",
        ),
        pytest.param(
            renewed(verdict=V.PREVIOUS), LATER, Health.DEGRADED, ConditionType.SERVED, ("false", "previous"),
            id="previous after the grace",
        ),
        pytest.param(
            renewed(), IN_GRACE, Health.PROGRESSING, ConditionType.SERVED, ("false", "previous"),
            id="the wanted one of before is the previous one now",
        ),
        pytest.param(
            first(), IN_GRACE, Health.PROGRESSING, ConditionType.SERVED, ("false", "unseen"),
            id="never served within the grace",
        ),
        pytest.param(
            first(verdict=V.TLS_FAILED, observed_at=NOON, in_a_row=5), IN_GRACE, Health.PROGRESSING,
            ConditionType.SERVED, ("false", "tls_failed"),
            id="faulty in its first rollout within the grace",
        ),
        pytest.param(
            first(verdict=V.TLS_FAILED, observed_at=NOON, in_a_row=5), LATER, Health.DEGRADED,
            ConditionType.SERVED, ("false", "tls_failed"),
            id="faulty in its first rollout after the grace",
        ),
        pytest.param(
            first(), LATER, Health.DEGRADED, ConditionType.SERVED, ("false", "unseen"),
            id="never served after the grace",
        ),
        pytest.param(
            without_proof(placement(holds=1)), LATER, Health.OK, ConditionType.SERVED, ("unknown", "no_proof"),
            id="no proof asked and delivered",
        ),
        pytest.param(
            without_proof(placement()), LATER, Health.DEGRADED, ConditionType.DELIVERED, ("false", "late"),
            id="no proof asked and late",
        ),
        pytest.param(
            first(placement()), IN_GRACE, Health.PROGRESSING, ConditionType.DELIVERED, ("false", "in_progress"),
            id="target within the grace",
        ),
        pytest.param(
            first(placement()), LATER, Health.DEGRADED, ConditionType.DELIVERED, ("false", "late"),
            id="target late",
        ),
        pytest.param(
            first(placement(failed=True)), IN_GRACE, Health.PROGRESSING, ConditionType.DELIVERED,
            ("false", "in_progress"), id="target failed within the grace",
        ),
        pytest.param(
            first(placement(failed=True)), LATER, Health.DEGRADED, ConditionType.DELIVERED, ("false", "failed"),
            id="target failed after the grace",
        ),
        pytest.param(
            without_proof(placement(step="staging: reviewed by the vendor")), LATER, Health.PROGRESSING,
            ConditionType.DELIVERED, ("false", "in_progress"), id="slow target in progress",
        ),
        pytest.param(
            without_proof(placement(step="staging", failed=True)), LATER, Health.DEGRADED,
            ConditionType.DELIVERED, ("false", "failed"), id="slow target failed",
        ),
        pytest.param(
            rollout(certificate(S.FAILING, reason="the CA refused")), LATER, Health.DEGRADED,
            ConditionType.ISSUED, ("true", "failing"), id="renewal fails",
        ),
        pytest.param(
            rollout(certificate(S.FAILING), revisions=(), placements=(placement(wanted=None),)), LATER,
            Health.DEGRADED, ConditionType.ISSUED, ("false", "failing"), id="first revision fails",
        ),
        pytest.param(
            rollout(certificate(S.ISSUING), revisions=(), placements=(placement(wanted=None),)), LATER,
            Health.PROGRESSING, ConditionType.ISSUED, ("false", "waiting"), id="being issued",
        ),
        pytest.param(
            replace(proven(), revisions=(revision(lifetime=timedelta(minutes=1)),)), LATER, Health.DEGRADED,
            ConditionType.ISSUED, ("false", "expired"), id="issued one expired",
        ),
        pytest.param(
            replace(proven(), certificate=certificate(unreadable="dns_names can't be read")), LATER,
            Health.UNKNOWN, ConditionType.ISSUED, ("unknown", "unreadable"), id="intent unreadable",
        ),
    ],
)  # fmt: skip
def test_a_certificate_is_judged_by_what_holds_now(
    of: Rollout, now: datetime, health: Health, kind: ConditionType, expected: tuple[str, str]
) -> None:
    found = judged(of, now=now)
    assert (found.health, condition(found, kind)) == (health, expected)


def test_an_endpoint_that_stopped_serving_is_degraded_from_the_second_look_on_and_ok_again_by_itself() -> None:
    one_look, two_looks, again = proven(**BAD, in_a_row=1), proven(**BAD, in_a_row=2), proven()
    doubtful = judged(one_look)
    assert doubtful.health is Health.OK
    assert doubtful.reason.endswith("the last look at https://checkout.example.org:8443 found: unreachable (refused)")
    degraded = judged(two_looks)
    assert degraded.health is Health.DEGRADED
    assert degraded.reason == "endpoint https://checkout.example.org:8443: unreachable (refused)"
    assert judged(again).health is Health.OK


def test_more_faults_than_one_are_counted() -> None:
    bad = endpoint(V.OTHER, proven=1, in_a_row=2)
    other = endpoint(V.OTHER, proven=1, in_a_row=2, number=1)
    found = judged(rollout(placements=(placement(holds=1),), endpoints=(bad, other)))
    assert found.reason.endswith("; 1 more")


def test_a_proof_ages_while_nobody_looks() -> None:
    fresh, old = NOON + timedelta(minutes=3), NOON + timedelta(minutes=3, seconds=1)
    assert judged(proven(), now=fresh, looked=NOON).health is Health.OK
    found = judged(proven(), now=old, looked=NOON)
    assert (found.health, condition(found, ConditionType.SERVED)) == (Health.UNKNOWN, ("unknown", "not_looked_at"))


def test_a_fault_ages_as_a_proof_does() -> None:
    found = judged(proven(**BAD, in_a_row=2), now=NOON + timedelta(hours=1), looked=NOON)
    assert found.health is Health.UNKNOWN


def test_what_the_last_round_missed_is_not_proven_by_it() -> None:
    of, now = proven(), NOON + timedelta(minutes=10)
    missed = worker(ended=now, missed=(of.endpoints[0].url,))
    assert assess(of, [missed], approved=True, now=now).health is Health.UNKNOWN
    looked_before = replace(of, endpoints=(replace(of.endpoints[0], looked_at=now - timedelta(minutes=1)),))
    assert assess(looked_before, [missed], approved=True, now=now).health is Health.OK


def test_what_nobody_ever_looked_at_is_unknown_after_the_grace_while_nobody_looks() -> None:
    assert assess(first(), [], approved=True, now=IN_GRACE).health is Health.PROGRESSING
    found = assess(first(), [], approved=True, now=LATER)
    assert (found.health, condition(found, ConditionType.SERVED)) == (Health.UNKNOWN, ("unknown", "not_looked_at"))


def test_waiting_for_approval_is_under_way() -> None:
    waiting = rollout(
        certificate(S.WAITING_FOR_APPROVAL, ordered=0, reason="a public name"),
        revisions=(),
        placements=(placement(wanted=None),),
    )
    found = judged(waiting, approved=False)
    assert (found.health, found.reason) == (Health.PROGRESSING, "waits for approval: a public name")


def test_an_intent_that_no_approval_covers_is_degraded() -> None:
    found = judged(proven(), approved=False)
    assert (found.health, condition(found, ConditionType.APPROVED)) == (Health.DEGRADED, ("false", "not_covered"))


@pytest.mark.parametrize("state", [S.DENIED, S.REVOKED, S.RETIRED])
def test_what_was_ended_has_no_health(state: S) -> None:
    found = judged(replace(proven(**BAD, in_a_row=9), certificate=certificate(state)), approved=False)
    assert (found.health, found.reason) == (Health.NONE, f"it is {state}")


@pytest.mark.parametrize(
    ("of", "health", "expected"),
    [
        (signing(), Health.PROGRESSING, ("true", "variant_waiting")),
        (signing(SigningState.ORDERED), Health.PROGRESSING, ("true", "variant_waiting")),
        (signing(SigningState.ORDERED, failure="the CA refused"), Health.DEGRADED, ("false", "failing")),
        (signing(SigningState.DROPPED), Health.PROGRESSING, ("true", "variant_waiting")),
    ],
)
def test_a_variant_that_waits_is_under_way(of: SigningRequest, health: Health, expected: tuple[str, str]) -> None:
    waiting = placement("cdn", wanted=None, own_key=True)
    served = endpoint(V.WANTED, revision=1, proven=1)
    found = judged(rollout(placements=(placement(holds=1), waiting), endpoints=(served,), signing=(of,)))
    assert (found.health, condition(found, ConditionType.ISSUED)) == (health, expected)


def test_where_a_variant_came_first_the_platform_s_targets_are_still_waited_for() -> None:
    cdn = placement("cdn", holds=1, own_key=True)
    served = endpoint(V.WANTED, revision=1, target="cdn", variant="cdn", proven=1)
    of = rollout(revisions=(revision(variant="cdn"),), placements=(placement(wanted=None), cdn), endpoints=(served,))
    found = judged(of)
    assert found.health is Health.PROGRESSING
    assert found.reason == "revision 1 for target web waits for the CA"
    assert condition(found, ConditionType.RENEWING) == ("true", "ordered")
    done = replace(of, revisions=(*of.revisions, revision()), placements=(placement(holds=1), cdn))
    assert judged(done).health is Health.OK


@pytest.mark.parametrize(
    ("state", "ordered", "expected"),
    [
        (S.LIVE, 1, ("false", "idle")),
        (S.RENEWING, 2, ("true", "ordered")),
        (S.FAILING, 2, ("true", "failing")),
    ],
)
def test_renewing_is_true_while_a_next_revision_is_on_its_way(
    state: S, ordered: int, expected: tuple[str, str]
) -> None:
    found = judged(replace(proven(), certificate=certificate(state, ordered=ordered)))
    assert condition(found, ConditionType.RENEWING) == expected


def test_a_condition_keeps_its_since_while_its_status_stays() -> None:
    of, times = proven(), [LATER + timedelta(minutes=minute) for minute in range(3)]
    first_look = judged(of, now=times[0])
    of = of.with_certificate(replace(of.certificate, conditions=first_look.conditions))
    same = judged(of, now=times[1])
    assert {item.since for item in same.conditions} == {times[0]}
    broken = of.with_endpoint(replace(of.endpoints[0], **BAD, in_a_row=2))
    since = {item.type: item.since for item in judged(broken, now=times[2]).conditions}
    assert since.pop(ConditionType.SERVED) == times[2]
    assert set(since.values()) == {times[0]}


def test_every_condition_is_told_once_and_in_one_order() -> None:
    assert [item.type for item in judged(proven()).conditions] == list(ConditionType)
