"""How Hypothesis draws outside of `make fuzz`."""

from hypothesis import settings


def test_every_run_draws_the_same_examples_and_gives_each_its_time() -> None:
    assert settings().derandomize
    assert settings().deadline is None
    assert settings().database is None
