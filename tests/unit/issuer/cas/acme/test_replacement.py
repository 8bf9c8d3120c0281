import pytest

from issuer.cas.acme.replacement import GivenUp, why_without_replaces
from issuer.domain.errors import AcmeProblemError


def why(type_: str, status: int) -> GivenUp | None:
    return why_without_replaces(AcmeProblemError(type=type_, status=status, detail="it is so"))


@pytest.mark.parametrize(("type_", "status"), [("alreadyReplaced", 409), ("alreadyReplaced", 403), ("conflict", 409)])
def test_what_was_replaced_already_is_ordered_without(type_: str, status: int) -> None:
    assert why(type_, status) is GivenUp.ALREADY_REPLACED


@pytest.mark.parametrize(("type_", "status"), [("malformed", 400), ("malformed", 404), ("unauthorized", 403)])
def test_a_clear_refusal_is_asked_without(type_: str, status: int) -> None:
    assert why(type_, status) is GivenUp.REFUSED


@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("", 400),
        ("", 403),
        ("", 404),
        ("", 409),
        ("", 500),
        ("", 503),
        ("alreadyReplaced", 500),
        ("malformed", 500),
        ("malformed", 429),
        ("serverInternal", 500),
        ("rateLimited", 429),
        ("rateLimited", 403),
        ("badNonce", 400),
        ("accountDoesNotExist", 400),
        ("userActionRequired", 403),
        ("rejectedIdentifier", 400),
        ("caa", 403),
        ("invalidProfile", 400),
        ("conflict", 400),
    ],
)
def test_anything_else_says_nothing_about_replaces(type_: str, status: int) -> None:
    assert why(type_, status) is None
