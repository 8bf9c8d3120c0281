"""A stored intent that this version can't read, or not wholly."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import stored
from certcore.conditions import Health
from registry.adapters.store.certificates import read_intent
from registry.domain.health import assess
from registry.domain.renewal import RenewalReason, decide
from registry.handlers.views import certificate_summary, certificate_view
from tests.unit.registry.samples import NOON, approval, certificate, placement, revision, rollout, spec

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
fields = st.sampled_from(["name", "dns_names", "exposure", "targets", "endpoints", "end_date", "labels", "proof"])


def stored_with(**changes: Any) -> dict[str, Any]:
    return stored(spec()) | changes


def test_what_was_stored_is_read() -> None:
    intent, unreadable = read_intent("checkout", stored_with())
    assert unreadable is None
    assert (intent.dns_names, [target.name for target in intent.targets]) == (("checkout.example.org",), ["web"])


def test_a_field_and_a_word_that_only_a_newer_version_knows_are_no_fault() -> None:
    newer = stored_with(colour="blue", exposure="friends", proof="by oracle")
    newer["targets"] = [*newer["targets"], {"kind": "akamai", "name": "edge", "property": 7}]
    intent, unreadable = read_intent("checkout", newer)
    assert unreadable is None
    assert (intent.exposure, [target.kind for target in intent.targets]) == ("friends", ["files", "akamai"])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"end_date": "tomorrow"}, "end_date"),
        ({"dns_names": "checkout.example.org"}, "dns_names"),
        ({"dns_names": ["checkout.example.org", 7]}, "dns_names.1"),
        ({"targets": [{"kind": "files"}]}, "targets.0"),
    ],
)
def test_by_an_intent_that_can_not_be_read_nothing_is_ordered_and_a_list_still_shows_it(
    changes: dict[str, Any], place: str
) -> None:
    intent, unreadable = read_intent("checkout", stored_with(**changes))
    assert unreadable is not None
    assert place in unreadable
    assert "tomorrow" not in unreadable
    of = rollout(certificate(intent=intent, unreadable=unreadable), placements=(placement(holds=1),))
    decision = decide(of.certificate, revision(), approval(), now=NOON, asked=True)
    assert decision.reason is RenewalReason.NOT_READABLE
    assert assess(of, [], approved=True, now=NOON).health is Health.UNKNOWN
    assert certificate_summary(of.certificate).name == "checkout"
    assert certificate_view(of, approval(), []).name == "checkout"


def test_of_a_list_what_can_be_read_is_kept() -> None:
    intent, _ = read_intent("checkout", stored_with(dns_names=["checkout.example.org", 7]))
    assert intent.dns_names == ("checkout.example.org",)


@given(json_values | st.dictionaries(fields, json_values).map(lambda changes: stored_with(**changes)))
def test_whatever_lies_in_the_row_the_certificate_can_be_shown(row: object) -> None:
    intent, unreadable = read_intent("checkout", row)
    of = rollout(replace(certificate(), intent=intent, unreadable=unreadable))
    assert certificate_summary(of.certificate).id == "c-1"
    assert certificate_view(of, None, []).id == "c-1"
