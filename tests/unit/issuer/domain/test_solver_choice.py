import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import NoChallengeError
from issuer.domain.solver_choice import SolverReason, SolverRule, choose_solver, overlapping, solver_of
from tests.unit.issuer.samples import authorization, offer

DNS, HTTP = ChallengeKind.DNS_01, ChallengeKind.HTTP_01
WEB, KNOT = SolverRule("web", HTTP), SolverRule("knot", DNS)

labels = st.lists(st.sampled_from(["a", "b", "example"]), min_size=1, max_size=4)
names = labels.map(".".join)
patterns = st.one_of(names, names.map("*.{}".format))


def test_the_preferred_challenge_is_taken_where_it_is_offered() -> None:
    choice = choose_solver(authorization(offer(DNS), offer(HTTP)), preference=[HTTP, DNS], rules=[KNOT, WEB])
    assert (choice.offer.kind, choice.solver, choice.reason) == (HTTP, "web", SolverReason.DEFAULT)


def test_the_next_challenge_is_taken_where_the_preferred_is_not_offered() -> None:
    choice = choose_solver(authorization(offer(DNS)), preference=[HTTP, DNS], rules=[KNOT, WEB])
    assert (choice.solver, choice.reason) == ("knot", SolverReason.DEFAULT_OF_LESS_PREFERRED)


def test_the_next_challenge_is_taken_where_no_solver_shows_the_preferred() -> None:
    choice = choose_solver(authorization(offer(DNS), offer(HTTP)), preference=[HTTP, DNS], rules=[KNOT])
    assert (choice.solver, choice.reason) == ("knot", SolverReason.DEFAULT_OF_LESS_PREFERRED)


def test_a_pattern_goes_before_the_preference() -> None:
    rules = [WEB, SolverRule("knot", DNS, ("*.example.org",))]
    choice = choose_solver(
        authorization(offer(DNS), offer(HTTP), identifier="shop.example.org"), preference=[HTTP, DNS], rules=rules
    )
    assert (choice.solver, choice.reason, choice.pattern) == ("knot", SolverReason.PATTERN_MATCHES, "*.example.org")


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("example.org", "apex"),
        ("a.example.org", "below"),
        ("a.b.example.org", "below"),
        ("a.int.example.org", "deeper"),
        ("int.example.org", "below"),
        ("db.int.example.org", "name"),
        ("example.net", "rest"),
        ("notexample.org", "rest"),
    ],
)
def test_the_most_specific_pattern_wins(name: str, solver: str) -> None:
    rules = [
        SolverRule("rest", DNS),
        SolverRule("below", DNS, ("*.example.org",)),
        SolverRule("apex", DNS, ("example.org",)),
        SolverRule("deeper", DNS, ("*.int.example.org",)),
        SolverRule("name", DNS, ("db.int.example.org",)),
    ]
    choice = choose_solver(authorization(offer(DNS), identifier=name), preference=[DNS], rules=rules)
    assert choice.solver == solver
    assert solver_of(name, DNS, rules) == solver


def test_a_wildcard_is_proven_by_dns_whatever_is_preferred() -> None:
    wildcard = authorization(offer(HTTP), offer(DNS), wildcard=True)
    assert choose_solver(wildcard, preference=[HTTP, DNS], rules=[WEB, KNOT]).solver == "knot"


def test_a_wildcard_is_below_its_domain() -> None:
    rules = [SolverRule("apex", DNS, ("example.org",)), SolverRule("below", DNS, ("*.example.org",))]
    wildcard = authorization(offer(DNS), wildcard=True, identifier="example.org")
    assert choose_solver(wildcard, preference=[DNS], rules=rules).solver == "below"


def test_a_wildcard_without_dns_is_refused_by_name() -> None:
    with pytest.raises(NoChallengeError, match=r"\*\.shop\.example\.org"):
        choose_solver(authorization(offer(HTTP), offer(DNS), wildcard=True), preference=[HTTP], rules=[WEB, KNOT])


def test_a_name_for_which_the_ca_offers_nothing_usable_is_refused() -> None:
    with pytest.raises(NoChallengeError, match="for shop"):
        choose_solver(authorization(), preference=[HTTP, DNS], rules=[WEB, KNOT])


def test_a_name_that_no_pattern_matches_is_refused() -> None:
    with pytest.raises(NoChallengeError):
        choose_solver(
            authorization(offer(DNS)), preference=[DNS], rules=[SolverRule("knot", DNS, ("*.example.net",))]
        )


def test_rules_that_want_the_same_names_are_named() -> None:
    assert overlapping([KNOT, WEB]) is None
    assert overlapping([KNOT, SolverRule("two", DNS)]) == (
        "knot and two both match everything (they have no `match`) by dns-01"
    )


def matches(name: list[str], pattern: str) -> bool:
    first, *rest = pattern.split(".")
    return name == [first, *rest] or (first == "*" and len(name) > len(rest) and name[-len(rest) :] == rest)


@example(name="a.example", found=["*.example", "a.example", "example"])
@given(name=names, found=st.lists(patterns, max_size=6, unique=True))
def test_no_pattern_that_matches_is_more_specific_than_the_chosen_one(name: str, found: list[str]) -> None:
    rules = [SolverRule(f"solver-{number}", DNS, (pattern,)) for number, pattern in enumerate(found)]
    fitting = [pattern for pattern in found if matches(name.split("."), pattern)]
    for order in (rules, rules[::-1]):
        if not fitting:
            assert solver_of(name, DNS, order) is None
            continue
        choice = choose_solver(authorization(offer(DNS), identifier=name), preference=[DNS], rules=order)
        longest = max(pattern.count(".") for pattern in fitting)
        assert choice.pattern in fitting
        assert choice.pattern == name or (name not in fitting and choice.pattern.count(".") == longest)
        assert solver_of(name, DNS, order) == choice.solver
