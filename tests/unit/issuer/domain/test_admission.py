import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events import IssueOrder, Recipient
from certcore.names import is_label
from issuer.domain.admission import identify, objection_to
from issuer.domain.errors import UnidentifiedIssueOrderError
from issuer.domain.failure import FailureReason
from issuer.domain.job import JobId
from tests.unit.issuer.samples import order

SITE = Recipient(name="site1-syncer", public_key="a key")


def read(**fields: Any) -> IssueOrder:
    """The issue order as it is read from the bus."""
    return IssueOrder.model_validate_json(json.dumps({**order().model_dump(mode="json"), **fields}))


def test_an_issue_order_of_a_newer_registry_is_acted_on_all_the_same() -> None:
    newer = read(a_new_field={"with": "something"}, cause="a-new-cause", priority="a-new-priority")
    assert objection_to(newer) is None
    assert identify(newer) == JobId("a-certificate", 1, "platform")


@pytest.mark.parametrize("variant", ["platform-rsa", "cdn1"])
def test_each_variant_of_a_revision_is_a_job_of_its_own(variant: str) -> None:
    assert identify(order(variant=variant)) == JobId("a-certificate", 1, variant)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"exposure": "partner"}, "does not know the exposure 'partner'"),
        ({"key_algorithm": "ml-dsa-65"}, "does not know the key algorithm 'ml-dsa-65'"),
    ],
)
def test_what_this_issuer_does_not_know_is_unsupported(fields: dict[str, Any], detail: str) -> None:
    objection = objection_to(read(**fields))
    assert objection is not None
    assert objection.reason is FailureReason.ISSUE_ORDER_UNSUPPORTED
    assert detail in objection.detail


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"dns_names": []}, "0 DNS names"),
        ({"dns_names": [f"n{number}.example.org" for number in range(101)]}, "101 DNS names"),
        ({"dns_names": ["shop.example.org", "../../escaped"]}, "'../../escaped' is not a DNS name"),
        ({"dns_names": ["192.0.2.1"]}, "is not a DNS name"),
        ({"dns_names": ["a.*.example.org"]}, "is not a DNS name"),
        ({"dns_names": ["localhost"]}, "is not a DNS name"),
        ({"dns_names": ["Shop.example.org"]}, "is not a DNS name"),
        ({"dns_names": ["shop.example.org\n"]}, "is not a DNS name"),
        ({"dns_names": ["a" * 64 + ".example.org"]}, "is not a DNS name"),
        ({"profile": "../short"}, "'../short' is not a name of a profile"),
        ({"recipients": [{"name": "site1|x", "public_key": "k"}]}, "'site1|x' is not a name of a recipient"),
        ({"recipients": [{"name": "escrow", "public_key": "k"}]}, "'escrow' is not a name of a recipient"),
        ({"recipients": [SITE.model_dump(), SITE.model_dump()]}, "two recipients have one name"),
        ({"recipients": [SITE.model_dump(), {"name": "site2-syncer"}]}, "can't be read: recipients.1"),
    ],
)
def test_what_is_no_name_is_not_used(fields: dict[str, Any], detail: str) -> None:
    objection = objection_to(read(**fields))
    assert objection is not None
    assert objection.reason is FailureReason.ISSUE_ORDER_UNFIT
    assert detail in objection.detail


@pytest.mark.parametrize("name", ["a.b", "*.a.example.org", "xn--bcher-kva.example", "1.2.example", "co.uk"])
def test_a_name_that_was_approved_before_is_issued_whatever_the_public_suffixes_say_now(name: str) -> None:
    assert objection_to(order(name, recipients=(SITE,), profile="shortlived")) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"certificate_id": "../../escaped"},
        {"certificate_id": "a.b"},
        {"certificate_id": ""},
        {"name": "x" * 64},
        {"variant": "a/b"},
        {"variant": ""},
        {"revision": 0},
        {"revision": 2**31},
    ],
)
def test_an_issue_order_that_names_no_job_is_set_aside(fields: dict[str, Any]) -> None:
    with pytest.raises(UnidentifiedIssueOrderError):
        identify(order(**fields))


@given(st.text(), st.sampled_from(["exposure", "key_algorithm", "profile", "variant", "certificate_id", "name"]))
def test_no_word_crashes_the_reader(word: str, field: str) -> None:
    some = read(**{field: word})
    objection = objection_to(some)
    known: dict[str, set[str]] = {"exposure": set(Exposure), "key_algorithm": set(KeyAlgorithm)}
    if field in known:
        assert (objection is None) == (word in known[field])
    try:
        identify(some)
    except UnidentifiedIssueOrderError:
        assert not is_label(word)
