import pytest

from certcore.bearer import is_bearer


@pytest.mark.parametrize("text", ["cb_Ab9-._~+/", "none", "a==", "0"])
def test_what_a_header_may_carry_is_a_token(text: str) -> None:
    assert is_bearer(text)


@pytest.mark.parametrize("text", ["", "=", "a=b", "two words", "a\nb", "a\n", "zwölf", "a\x00"])
def test_anything_else_is_none(text: str) -> None:
    assert not is_bearer(text)
