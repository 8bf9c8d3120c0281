import pytest
from pydantic import TypeAdapter, ValidationError

from certcore.name_patterns import ANY_NAME, NamePattern, matches_pattern, specificity


@pytest.mark.parametrize(
    ("name", "pattern", "found"),
    [
        ("example.org", "example.org", True),
        ("shop.example.org", "example.org", False),
        ("shop.example.org", "*.example.org", True),
        ("a.shop.example.org", "*.example.org", True),
        ("*.example.org", "*.example.org", True),
        ("example.org", "*.example.org", False),
        ("anexample.org", "*.example.org", False),
        ("example.org", ANY_NAME, True),
    ],
)
def test_what_a_pattern_matches(name: str, pattern: str, found: bool) -> None:  # noqa: FBT001 # a column
    assert matches_pattern(name, pattern) is found


def test_the_name_itself_is_the_most_specific_then_the_longest_pattern_then_none() -> None:
    name = "a.shop.example.org"
    patterns = [name, "*.example.org", ANY_NAME, "*.shop.example.org"]
    ranked = sorted(patterns, key=lambda pattern: specificity(name, pattern))
    assert ranked == [ANY_NAME, "*.example.org", "*.shop.example.org", name]


@pytest.mark.parametrize("pattern", ["", "*", "a b", "*.*.example.org", "-.org", "x" * 254])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(NamePattern).validate_python(pattern)


def test_patterns_are_lower_case() -> None:
    assert TypeAdapter(NamePattern).validate_python("*.Example.ORG") == "*.example.org"
