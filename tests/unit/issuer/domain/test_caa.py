from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.caa import CaaAsker, CaaReason, CaaRecord, climbed, judge_caa

ACCOUNT = "https://ca.test/acct/1"
ASKER = CaaAsker(identities=("ca.test", "Ca.Example"), account_url=ACCOUNT, methods=frozenset({"dns-01"}))

labels = st.lists(st.sampled_from(["a", "b", "xn--c"]), min_size=1, max_size=6)
records = st.builds(
    CaaRecord,
    flags=st.sampled_from([0, 128]),
    tag=st.sampled_from(["issue", "issuewild", "iodef", "Issue"]),
    value=st.sampled_from(["ca.test", "other.test", ";", "", "ca.test; accounturi=https://ca.test/acct/2", "%%"]),
)


def issue(value: str, *, tag: str = "issue", flags: int = 0) -> CaaRecord:
    return CaaRecord(flags, tag, value)


def judged(*of: CaaRecord, name: str = "a.example.org", owner: str = "example.org") -> tuple[bool, CaaReason]:
    verdict = judge_caa(name, {owner: of}, ASKER)
    return verdict.allowed, verdict.reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["ca.test"], CaaReason.CA_NAMED),
        (["CA.TEST"], CaaReason.CA_NAMED),
        (["ca.example"], CaaReason.CA_NAMED),
        (["  ca.test ;  "], CaaReason.CA_NAMED),
        (["other.test", "ca.test"], CaaReason.CA_NAMED),
        (["ca.test; unknown=thing"], CaaReason.CA_NAMED),
        ([f"ca.test; accounturi={ACCOUNT}"], CaaReason.CA_NAMED),
        (["ca.test; validationmethods=http-01,dns-01"], CaaReason.CA_NAMED),
        ([f"ca.test; validationmethods=dns-01; AccountUri={ACCOUNT}"], CaaReason.CA_NAMED),
        (["ca.test; accounturi=https://ca.test/acct/2", "ca.test"], CaaReason.CA_NAMED),
        (["other.test"], CaaReason.CA_NOT_NAMED),
        ([";"], CaaReason.CA_NOT_NAMED),
        ([""], CaaReason.CA_NOT_NAMED),
        (["ca.test evil"], CaaReason.CA_NOT_NAMED),
        (["ca.test; =x"], CaaReason.CA_NOT_NAMED),
        (["sub.ca.test"], CaaReason.CA_NOT_NAMED),
        (["ca.test; accounturi=https://ca.test/acct/2"], CaaReason.OTHER_ACCOUNT),
        ([f"ca.test; accounturi={ACCOUNT}; accounturi={ACCOUNT}"], CaaReason.OTHER_ACCOUNT),
        (["ca.test; validationmethods=http-01"], CaaReason.OTHER_METHOD),
        (["ca.test; validationmethods="], CaaReason.OTHER_METHOD),
        (["ca.test; validationmethods=dns-01; validationmethods=dns-01"], CaaReason.OTHER_METHOD),
    ],
)
def test_issue_properties(values: list[str], reason: CaaReason) -> None:
    assert judged(*map(issue, values)) == (reason is CaaReason.CA_NAMED, reason)


def test_without_records_everybody_may_issue() -> None:
    assert judged() == (True, CaaReason.NO_RECORDS)


def test_records_about_something_else_restrict_nothing() -> None:
    assert judged(issue("mailto:a@example.org", tag="iodef")) == (True, CaaReason.NOT_RESTRICTED)
    assert judged(issue(";", tag="issuewild")) == (True, CaaReason.NOT_RESTRICTED)


def test_the_nearest_records_count_alone() -> None:
    sets = {"a.example.org": [issue("ca.test")], "example.org": [issue(";")]}
    assert judge_caa("a.example.org", sets, ASKER).allowed
    assert not judge_caa("b.example.org", sets, ASKER).allowed


def test_a_wildcard_goes_by_issuewild_where_there_is_any() -> None:
    both = [issue("ca.test"), issue("other.test", tag="issuewild")]
    assert judged(*both) == (True, CaaReason.CA_NAMED)
    assert judged(*both, name="*.example.org") == (False, CaaReason.CA_NOT_NAMED)
    assert judged(issue("ca.test"), name="*.example.org") == (True, CaaReason.CA_NAMED)
    assert judged(issue(";"), issue("ca.test", tag="IssueWild"), name="*.example.org") == (True, CaaReason.CA_NAMED)


def test_a_critical_property_that_nobody_knows_forbids() -> None:
    assert judged(issue("ca.test"), issue("x", tag="future", flags=128)) == (False, CaaReason.UNKNOWN_CRITICAL)
    assert judged(issue("ca.test"), issue("x", tag="future")) == (True, CaaReason.CA_NAMED)
    assert judged(issue("ca.test", flags=128)) == (True, CaaReason.CA_NAMED)


def test_a_ca_that_names_no_identity_is_not_held_up() -> None:
    unknown = CaaAsker(identities=(), account_url=ACCOUNT, methods=frozenset({"dns-01"}))
    verdict = judge_caa("example.org", {"example.org": [issue("other.test")]}, unknown)
    assert (verdict.allowed, verdict.reason) == (True, CaaReason.CA_WITHOUT_IDENTITY)


def test_whose_records_say_what_is_told() -> None:
    verdict = judge_caa("a.example.org", {"example.org": [issue("b.test"), issue("a.test")]}, ASKER)
    assert verdict.detail == (
        "CAA of example.org lets a.test, b.test issue for a.example.org, and this CA is ca.example or ca.test"
    )


@given(name=labels.map(".".join), wildcard=st.booleans(), sets=st.data())
def test_only_the_records_of_the_nearest_name_that_has_some_decide(
    name: str, sets: st.DataObject, *, wildcard: bool
) -> None:
    where = climbed(name)
    assert where[0] == name
    assert all(parent == child.partition(".")[2] for child, parent in pairwise(where))
    drawn = {at: sets.draw(st.lists(records, max_size=2)) for at in where}
    shown = f"*.{name}" if wildcard else name
    verdict = judge_caa(shown, drawn, ASKER)
    nearest = next((at for at in where if drawn[at]), None)
    alone = {} if nearest is None else {nearest: drawn[nearest]}
    assert judge_caa(shown, alone, ASKER) == verdict
    assert verdict.allowed or verdict.detail


@given(found=st.lists(records, max_size=4), wildcard=st.booleans())
def test_naming_the_ca_as_well_always_allows(found: list[CaaRecord], *, wildcard: bool) -> None:
    name, tag = ("*.example.org", "issuewild") if wildcard else ("example.org", "issue")
    assert judge_caa(name, {"example.org": [*found, issue("ca.test", tag=tag)]}, ASKER).allowed
