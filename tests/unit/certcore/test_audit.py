"""The form of an entry: what is hashed is RFC 8785, as another program would write it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from certcore.audit import Json, canonical, entry_fields, hash_of, instant_text

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.none() | words | st.integers(-(2**53) + 1, 2**53 - 1)


@pytest.mark.hypothesis
@given(st.dictionaries(st.sampled_from(["chain", "number", "time", "actor", "previous", "hash"]), values))
def test_the_canonical_form_is_that_of_rfc_8785(fields: dict[str, Json]) -> None:
    assert canonical(fields) == rfc8785.dumps(fields)


def test_an_instant_has_one_form_in_whatever_zone_it_is_told() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert instant_text(noon) == "2026-03-01T12:00:00.000000Z"
    assert instant_text(noon.astimezone(timezone(timedelta(hours=5)))) == instant_text(noon)


def test_a_hash_that_was_made_once_is_made_for_ever() -> None:
    fields = entry_fields(
        chain=1,
        number=2,
        time=datetime(2026, 3, 1, 12, tzinfo=UTC),
        actor="ana",
        way="token",
        roles="approver",
        action="approve",
        what="app",
        detail="schön",
        previous="0" * 64,
    )
    assert hash_of(fields) == hash_of(fields | {"hash": "whatever"})
    assert hash_of(fields) == "cdcf3ce14046bbff4f3d2d921b0acd0142761d636bccc40844b40e7efa49b721"
