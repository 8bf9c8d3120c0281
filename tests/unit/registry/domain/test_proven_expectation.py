"""What is expected of endpoints after a proof: announced anew only where earlier revisions are accepted no more."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState as S
from certcore.events import CertificateLive, EndpointsExpected
from certcore.events import ServingVerdict as V
from certcore.subjects import Reporter
from registry.domain.change import Change
from registry.domain.endpoint import Endpoint
from registry.domain.proof import deliver, observe
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import (
    NOON,
    certificate,
    delivered,
    endpoint,
    fingerprint,
    look,
    placement,
    revision,
    rollout,
)

LATER = NOON + timedelta(hours=1)
SYNCER = Reporter("site1", "syncer")
MONITOR = Reporter("hub", "monitor")


def kinds(change: Change) -> list[type]:
    return [type(item) for item in change.announced]


def after(of: Rollout, change: Change) -> Rollout:
    """As it is loaded again once the change was saved."""
    assert change.certificate is not None
    of = of.with_certificate(change.certificate)
    for item in change.placements:
        of = of.with_placement(item)
    for seen in change.endpoints:
        of = of.with_endpoint(seen)
    return of


def with_a_later_variant(state: S, *, revisions: tuple[int, ...]) -> tuple[Rollout, Endpoint]:
    """The platform's variant of revision 2 is proven; the CDN holds its own, whose endpoint was not looked at yet."""
    late = endpoint(target="cdn", number=1, proven=min(revisions) - 1)
    of = rollout(
        certificate(state, generation=4),
        revisions=(revision(2), *(revision(number, variant="cdn") for number in revisions)),
        placements=(placement(wanted=2, holds=2), placement("cdn", wanted=2, holds=2, own_key=True)),
        endpoints=(endpoint(V.WANTED, revision=2, proven=2), late),
    )
    return of, late


@pytest.mark.parametrize("delivered_last", [True, False], ids=["seen first", "delivered first"])
def test_a_first_revision_gets_live_under_the_expectation_that_is_announced(*, delivered_last: bool) -> None:
    of = rollout(
        certificate(S.DELIVERING),
        placements=(placement(holds=None if delivered_last else 1),),
        endpoints=(endpoint(V.WANTED, revision=1, proven=1) if delivered_last else endpoint(),),
    )
    if delivered_last:
        change = deliver(of, delivered(1, revision=1), SYNCER, now=LATER)
    else:
        change = observe(of, look(V.WANTED, 1), MONITOR, now=LATER)
    assert CertificateLive in kinds(change)
    assert EndpointsExpected not in kinds(change)
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.generation) == (S.LIVE, of.certificate.generation)


@given(
    revisions=st.sets(st.integers(1, 3), min_size=1),
    proven=st.lists(st.integers(0, 3), max_size=3),
    data=st.data(),
)
def test_what_was_announced_last_is_what_should_be_served_once_it_is_live(
    revisions: set[int], proven: list[int], data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from(sorted(revisions)), label="wanted, after a rollback also an earlier one")
    of = rollout(
        certificate(S.DELIVERING, generation=9),
        revisions=tuple(revision(number) for number in sorted(revisions, reverse=True)),
        placements=(placement(wanted=wanted, generation=9),),
        endpoints=tuple(
            endpoint(V.WANTED if seen else None, revision=seen or None, number=number, proven=seen)
            for number, seen in enumerate(seen if seen in revisions else 0 for seen in proven)
        ),
    )
    last = first = of.expectation()
    for url in [*data.draw(st.permutations([item.url for item in of.endpoints])), None]:
        if url is None:
            change = deliver(of, delivered(9, revision=wanted), SYNCER, now=LATER)
        else:
            change = observe(of, look(V.WANTED, wanted, url=url), MONITOR, now=LATER)
        of = after(of, change)
        last = next((item for item in change.announced if isinstance(item, EndpointsExpected)), last)
    assert of.certificate.state is S.LIVE
    assert last.endpoints == of.expectation().endpoints
    assert last.generation == of.certificate.generation
    if len(revisions) == 1:
        assert last is first


@pytest.mark.parametrize("state", [S.LIVE, S.RENEWING, S.FAILING])
def test_a_variant_that_is_proven_later_ends_what_was_accepted_there(state: S) -> None:
    of, late = with_a_later_variant(state, revisions=(2, 1))
    change = observe(of, look(V.WANTED, 2, url=late.url, leaf=fingerprint(2, "cdn")), MONITOR, now=LATER)
    [expected] = change.announced
    assert isinstance(expected, EndpointsExpected)
    assert [item.accepted for item in expected.endpoints] == [(), ()]
    assert change.certificate is not None
    assert change.certificate.state is state
    assert expected.generation == change.certificate.generation == 5


@pytest.mark.parametrize("state", [S.LIVE, S.RENEWING, S.FAILING])
def test_a_first_variant_that_is_proven_later_ends_nothing(state: S) -> None:
    of, late = with_a_later_variant(state, revisions=(2,))
    change = observe(of, look(V.WANTED, 2, url=late.url, leaf=fingerprint(2, "cdn")), MONITOR, now=LATER)
    assert [item.proven for item in change.endpoints] == [2]
    assert change.announced == ()
    assert change.certificate == of.certificate
