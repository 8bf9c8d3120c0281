import pytest

from certcore.certificate import Exposure
from issuer.domain.rehearsal import Outcome, Step, exit_code, line, rehearsed_order, summary

CA = Step("CA", Outcome.PROVEN, "main: policy.public")
RECORD = Step("record", Outcome.FAILED, "REFUSED")
ORDER = Step("order", Outcome.NOT_TRIED, "no sibling")


def test_each_outcome_has_its_sign() -> None:
    assert [line(step)[:4].strip() for step in (CA, RECORD, ORDER)] == ["✓", "✗", "-"]
    assert line(CA) == "  ✓ CA          main: policy.public"


@pytest.mark.parametrize(
    ("steps", "code", "told"),
    [
        ([CA], 0, "a.test: nothing failed"),
        ([CA, ORDER], 0, "a.test: nothing failed; not tried: order"),
        ([CA, RECORD, ORDER], 1, "a.test: failed: record"),
    ],
)
def test_only_a_step_that_failed_is_a_failure(steps: list[Step], code: int, told: str) -> None:
    assert exit_code(steps) == code
    assert summary("a.test", steps) == told


@pytest.mark.parametrize(
    ("name", "given", "exposure"),
    [
        ("shop.example.org", None, Exposure.PUBLIC),
        ("shop.example.internal", None, Exposure.INTERNAL),
        ("shop.example.org", Exposure.INTERNAL, Exposure.INTERNAL),
    ],
)
def test_a_name_is_public_unless_it_is_private_or_said_to_be(
    name: str, given: Exposure | None, exposure: Exposure
) -> None:
    assert rehearsed_order(name, exposure=given, ca=None).exposure == exposure
