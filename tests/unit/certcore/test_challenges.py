from datetime import UTC, datetime
from typing import Final

import pytest
from pydantic import TypeAdapter, ValidationError

from certcore.challenges import ChallengeOrder, ChallengeToken, unfit_challenge

TOKEN: Final = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
ANSWER: Final = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
HOST: Final = "shop.example.org"
SOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)


def order(**changes: object) -> ChallengeOrder:
    return ChallengeOrder.model_validate(
        {"host": HOST, "key_authorization": ANSWER, "expires_at": SOON.isoformat()} | changes
    )


def test_what_a_ca_chooses_is_fit() -> None:
    assert unfit_challenge(host=HOST, token=TOKEN, key_authorization=ANSWER) is None
    assert order().host == HOST


BAD_TOKENS: Final = (
    "",
    "short",
    "../../../../etc/passwd-of-the-host",
    "a" * 201,
    f"{TOKEN}\n",
    f"{TOKEN} x",
    f"{TOKEN};",
    f"{TOKEN}.",
    f"{TOKEN}ä",
)


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_a_token_that_could_be_more_than_a_word_is_none(token: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ChallengeToken).validate_python(token)
    assert unfit_challenge(host=HOST, token=token, key_authorization=ANSWER) is not None


@pytest.mark.parametrize(
    "answer", ["", TOKEN, f"{ANSWER}\n", f"{ANSWER} more", f"{'b' * 43}.{'a' * 43}", f"{TOKEN}.{'a' * 42}"]
)
def test_an_answer_that_is_not_the_token_s_is_unfit(answer: str) -> None:
    assert unfit_challenge(host=HOST, token=TOKEN, key_authorization=answer) is not None


@pytest.mark.parametrize("answer", ["", TOKEN, f"{ANSWER}\n", f"{ANSWER} more", f"{TOKEN}.{'a' * 42}"])
def test_the_door_takes_nothing_else_than_a_key_authorization(answer: str) -> None:
    with pytest.raises(ValidationError):
        order(key_authorization=answer)


@pytest.mark.parametrize(
    "host", ["", "*.example.org", "192.0.2.1", "shop.example.org\r\nX: y", "shop", "a b.example.org"]
)
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        order(host=host)
    assert unfit_challenge(host=host, token=TOKEN, key_authorization=ANSWER) is not None


def test_the_door_takes_no_field_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        order(later=1)
