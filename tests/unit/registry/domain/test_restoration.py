from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState as S
from certcore.api import IssuedRevision
from certcore.events import EndpointsExpected, RevisionIssued
from certcore.placements import PLATFORM, epoch_of, generation
from registry.domain.deployment import Deployment
from registry.domain.issuance import issue
from registry.domain.restoration import CaughtUp, catch_up, newest_valid
from registry.domain.revision import SigningState
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import (
    NOON,
    certificate,
    endpoint,
    fingerprint,
    placement,
    revision,
    rollout,
    sealed,
    signing,
)

LATER = NOON + timedelta(hours=1)
FLOOR = generation(1, 0)


def issued(number: int, *, variant: str = PLATFORM, ends: datetime | None = None) -> IssuedRevision:
    return IssuedRevision(
        certificate_id="c-1",
        revision=number,
        variant=variant,
        serial=f"{number:x}",
        fingerprint_sha256=fingerprint(number, variant),
        not_before=NOON,
        not_after=ends or NOON + timedelta(days=90),
    )


def copied(state: S = S.LIVE, *, holds: int | None = 1, **changes: object) -> Rollout:
    """As the copy has it: revision 1 is wanted, in the epoch that the restore began."""
    return rollout(certificate(state, generation_floor=FLOOR, **changes), placements=(placement(holds=holds),))


def caught_up(of: Rollout, *found: IssuedRevision, approved: bool = True) -> CaughtUp:
    return catch_up(of, found, sealed(*range(1, 9)), {}, approved=approved, now=LATER)


def after(of: Rollout, done: CaughtUp) -> Rollout:
    of = of.with_certificate(done.change.certificate or of.certificate)
    for item in done.change.placements:
        of = of.with_placement(item)
    for request in done.change.signing:
        of = of.with_signing(request)
    return of


def test_the_newest_valid_revision_is_wanted_and_the_certificate_renews() -> None:
    done = caught_up(copied(), issued(1), issued(2), issued(4), issued(3))
    assert [item.revision for item in done.wanted] == [4]
    moved = done.change.certificate
    assert moved is not None
    assert (moved.ordered, moved.state) == (4, S.RENEWING)
    assert "revision 4 was issued before the registry was restored" in moved.reason
    assert done.change.announced == ()


def test_an_expired_revision_is_not_wanted_and_stays_ordered() -> None:
    done = caught_up(copied(), issued(1), issued(2, ends=LATER))
    assert done.wanted == ()
    assert done.change.certificate is not None
    assert (done.change.certificate.ordered, done.change.certificate.state) == (2, S.RENEWING)


def test_a_failure_that_the_copy_knows_stays_one_where_the_issuer_has_nothing_new() -> None:
    done = caught_up(copied(S.FAILING, ordered=2), issued(1))
    assert done.change.certificate is not None
    assert done.change.certificate.state is S.FAILING


def test_what_is_held_and_the_newest_is_not_ordered_again() -> None:
    of = copied()
    done = caught_up(of, issued(1))
    assert (done.wanted, done.change.certificate) == ((), of.certificate)
    assert (done.change.placements, done.change.announced) == ((), ())


def test_what_no_target_is_known_to_hold_is_ordered_again_in_a_generation_of_the_new_epoch() -> None:
    done = caught_up(copied(S.DELIVERING, holds=None), issued(1))
    (again,) = done.change.placements
    assert (again.wanted, again.generation, epoch_of(again.generation)) == (1, FLOOR + 1, 1)
    order, expected = done.change.announced
    assert isinstance(order, Deployment)
    assert [item.generation for item in order.order.placements] == [FLOOR + 1]
    assert isinstance(expected, EndpointsExpected)
    assert expected.generation == FLOOR + 1


@pytest.mark.parametrize("found", [(), (issued(2),)])
def test_what_the_issuer_does_not_name_as_the_newest_is_not_ordered_again(found: tuple[IssuedRevision, ...]) -> None:
    # A target may hold a newer one, which the copy doesn't know of.
    assert caught_up(copied(S.DELIVERING, holds=None), *found).change.placements == ()


@pytest.mark.parametrize("state", [S.APPROVED, S.ISSUING, S.RENEWING])
def test_a_certificate_that_waits_for_the_issuer_goes_on_waiting(state: S) -> None:
    of = copied(state)
    done = caught_up(of, issued(2))
    assert [item.revision for item in done.wanted] == [2]
    assert done.change.certificate == replace(of.certificate, ordered=2)


def test_a_failing_certificate_renews() -> None:
    done = caught_up(copied(S.FAILING, ordered=2), issued(2))
    assert done.change.certificate is not None
    assert done.change.certificate.state is S.RENEWING


@pytest.mark.parametrize("state", [S.WAITING_FOR_APPROVAL, S.LIVE])
def test_without_an_approval_only_the_number_is_taken_over(state: S) -> None:
    of = copied(state)
    done = caught_up(of, issued(1), issued(3), approved=False)
    assert done.wanted == ()
    assert done.change.certificate == replace(of.certificate, ordered=3)


@pytest.mark.parametrize("state", [S.DENIED, S.RETIRED, S.REVOKED])
def test_nothing_is_wanted_of_what_is_managed_no_more(state: S) -> None:
    assert caught_up(copied(state), issued(3)).wanted == ()


def test_a_stored_revision_that_was_not_announced_is_wanted_again() -> None:
    of = replace(copied(S.RENEWING, ordered=2), revisions=(revision(2, announced=False), revision(1)))
    assert [item.revision for item in caught_up(of, issued(2)).wanted] == [2]


def test_a_variant_that_no_target_takes_is_not_wanted() -> None:
    assert caught_up(copied(), issued(1), issued(2, variant="cdn")).wanted == ()


def with_cdn(*requests: object) -> Rollout:
    cdn = placement("cdn", own_key=True, holds=1)
    return rollout(
        certificate(S.LIVE, generation_floor=FLOOR),
        revisions=(revision(), revision(variant="cdn")),
        placements=(placement(holds=1), cdn),
        signing=tuple(requests),  # type: ignore[arg-type] # signing requests
    )


def test_the_signing_request_of_a_lost_revision_is_taken_as_ordered_and_an_earlier_one_dropped() -> None:
    of = with_cdn(signing(SigningState.ISSUED), signing(SigningState.WANTED, number=2))
    done = caught_up(of, issued(1), issued(1, variant="cdn"), issued(3, variant="cdn"))
    assert [(item.revision, item.variant) for item in done.wanted] == [(3, "cdn")]
    states = {item.revision: item.state for item in done.change.signing}
    assert states == {2: SigningState.DROPPED, 3: SigningState.ORDERED}


def test_a_variant_that_was_late_leaves_the_lifecycle_as_it_is() -> None:
    of = with_cdn(signing(SigningState.ORDERED, number=2, csr_pem="csr", spki_sha256="ab"))
    of = replace(
        of, revisions=(revision(2), *of.revisions), placements=(placement(wanted=2, holds=2), of.placements[1])
    )
    done = caught_up(of, issued(2), issued(2, variant="cdn"))
    assert [(item.revision, item.variant) for item in done.wanted] == [(2, "cdn")]
    assert done.change.certificate is not None
    assert done.change.certificate.state is S.LIVE
    assert done.change.signing == ()


def test_the_newest_of_each_variant_is_chosen() -> None:
    found = [issued(2), issued(5, ends=LATER), issued(3), issued(1, variant="cdn")]
    assert [(item.revision, item.variant) for item in newest_valid(found, now=LATER)] == [(1, "cdn"), (3, PLATFORM)]


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────


def announced(number: int) -> RevisionIssued:
    return RevisionIssued(
        certificate_id="c-1",
        revision=number,
        fingerprint_sha256=fingerprint(number),
        ca="ca",
        validation_method="dns-01",
        ari_id=None,
    )


def stored_again(of: Rollout, done: CaughtUp) -> Rollout:
    """As the issuer does: it stores what is wanted and announces it."""
    for item in done.wanted:
        of = of.with_revision(revision(item.revision, announced=False))
        change = issue(of, announced(item.revision), sealed(*range(1, 9)), {}, now=LATER)
        of = of.with_certificate(change.certificate or of.certificate)
        for place in change.placements:
            of = of.with_placement(place)
        if change.revision is not None:
            of = of.with_revision(change.revision)
    return of


@given(
    state=st.sampled_from([S.APPROVED, S.ISSUING, S.DELIVERING, S.LIVE, S.RENEWING, S.FAILING]),
    copy_has=st.integers(0, 3),
    holds=st.booleans(),
    lost=st.integers(0, 4),
    parts=st.permutations([1, 2, 3, 4, 5, 6, 7]),
    restores=st.integers(1, 3),
)
def test_no_older_revision_is_wanted_after_a_newer_was_reported_and_generations_only_grow(
    *, state: S, copy_has: int, holds: bool, lost: int, parts: list[int], restores: int
) -> None:
    there = copy_has + lost
    own = placement(wanted=copy_has or None, holds=copy_has if holds and copy_has else None)
    of = rollout(
        certificate(state, ordered=max(copy_has, 1), generation=copy_has),
        revisions=tuple(revision(number) for number in range(copy_has, 0, -1)),
        placements=(own,),
        endpoints=(endpoint(),),
    )
    # What the targets hold is of the epoch before, and above all that the copy knows of.
    held = generation(0, 1000)
    report = [issued(number) for number in parts if number <= there]
    for epoch in range(1, restores + 1):
        of = of.with_certificate(replace(of.certificate, generation_floor=generation(epoch, 0)))
        before = of
        done = caught_up(of, *report)
        of = stored_again(after(of, done), done)
        (place,) = of.placements
        assert of.certificate.ordered >= there
        assert (place.wanted or 0) == there
        assert (place.wanted or 0) >= (before.placements[0].wanted or 0)
        if place.generation != before.placements[0].generation:
            assert place.generation > max(held, before.certificate.generation, generation(epoch, 0))
            held = place.generation
        assert of.certificate.generation >= before.certificate.generation
        # Reported once more, nothing changes.
        again = caught_up(
            of.with_placement(replace(place, held=place.wanted, held_generation=place.generation)), *report
        )
        assert (again.wanted, again.change.placements, again.change.announced) == ((), (), ())
