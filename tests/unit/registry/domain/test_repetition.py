from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash, stored
from certcore.intent import Intent
from registry.domain.certificate import Certificate
from registry.domain.lifecycle import IllegalStepError
from registry.domain.repetition import Standing, There, asked_again, standing_of, why_taken
from tests.unit.registry.samples import NOON, OWNER, spec

LATER = NOON + timedelta(days=1)
TWO = [{"url": "https://checkout.example.org"}, {"url": "https://checkout.example.org:8443"}]


def there(of: CertificateSpec, state: CertificateState = CertificateState.LIVE, **changes: object) -> There:
    form = stored(of.model_copy(update={"owner": OWNER}))
    certificate = Certificate(
        id="c-1",
        name=of.name,
        owner=OWNER,
        requester="ana",
        intent=Intent.model_validate(form),
        spec_hash=approval_hash(of, owner=OWNER),
        state=state,
        reason="",
        state_since=NOON,
        created_at=NOON,
    )
    return There(replace(certificate, **changes), form)  # type: ignore[arg-type] # a test's own


def standing(of: CertificateSpec, has: There | None, owner: str = OWNER) -> Standing:
    return standing_of(of, has, owner=owner)


def test_the_same_in_any_order_is_there_already() -> None:
    has = there(spec(endpoints=TWO))
    assert standing(spec(endpoints=TWO), has) is Standing.SAME
    assert standing(spec(endpoints=TWO[::-1], owner=OWNER), has) is Standing.SAME
    assert why_taken(Standing.SAME, has) is None


@pytest.mark.parametrize(
    "changes", [{"endpoints": TWO[:1]}, {"labels": {"a": "b"}}, {"description": "x"}, {"exposure": "public"}]
)
def test_another_content_is_refused_with_what_is_there(changes: dict[str, object]) -> None:
    has = there(spec(endpoints=TWO), CertificateState.WAITING_FOR_APPROVAL)
    asked = spec(**{"endpoints": TWO, **changes})
    assert standing(asked, has) is Standing.OTHER
    assert "waiting_for_approval" in str(why_taken(Standing.OTHER, has))


def test_a_field_of_a_later_version_is_another_content() -> None:
    has = there(spec())
    assert standing(spec(), There(has.certificate, {**has.form, "later": True})) is Standing.OTHER


def test_of_another_team_s_nothing_is_told() -> None:
    has = there(spec())
    for state in CertificateState:
        other = There(replace(has.certificate, state=state), has.form)
        assert standing(spec(), other, owner="archive") is Standing.FOREIGN
        assert why_taken(Standing.FOREIGN, other) == "is taken by another certificate"


def test_only_what_was_denied_before_anything_was_ordered_is_asked_for_anew() -> None:
    assert standing(spec(), None) is Standing.FREE
    assert standing(spec(), there(spec(), CertificateState.DENIED)) is Standing.DENIED
    assert standing(spec(), there(spec(), CertificateState.DENIED, ordered=2)) is Standing.ENDED
    for state in (CertificateState.RETIRED, CertificateState.REVOKED):
        has = there(spec(), state)
        assert standing(spec(), has) is Standing.ENDED
        assert state.value in str(why_taken(Standing.ENDED, has))


def test_a_denied_certificate_goes_on_with_its_id_and_its_numbers() -> None:
    before = there(spec(), CertificateState.DENIED, generation=9, generation_floor=7, version=3).certificate
    asked = replace(
        there(spec(), CertificateState.REQUESTED).certificate, id="c-2", created_at=LATER, requester="ben"
    )
    found = asked_again(before, asked)
    assert (found.id, found.created_at, found.version) == ("c-1", NOON, 3)
    assert (found.requester, found.state) == ("ben", CertificateState.REQUESTED)
    assert found.next_generation == before.next_generation == 10
    assert asked_again(replace(before, generation=4), asked).next_generation == 8
    with pytest.raises(IllegalStepError):
        asked_again(replace(before, state=CertificateState.LIVE), asked)
