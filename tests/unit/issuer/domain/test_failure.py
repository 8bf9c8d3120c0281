from certcore.events import FailureCode, MustAct
from issuer.domain.failure import REPORTED_AS, FailureReason


def test_every_reason_is_reported_under_a_code_and_says_who_must_act() -> None:
    assert set(REPORTED_AS) == set(FailureReason)


def test_every_code_of_the_contract_is_used() -> None:
    assert {reported.code for reported in REPORTED_AS.values()} == set(FailureCode)


def test_nobody_must_act_where_waiting_is_enough() -> None:
    waiting = {reason for reason, reported in REPORTED_AS.items() if reported.must_act is MustAct.NOBODY}
    assert waiting == {
        FailureReason.CA_UNREACHABLE,
        FailureReason.CA_TROUBLE,
        FailureReason.RATE_LIMITED,
        FailureReason.ORDER_LOST,
        FailureReason.ORDER_UNANSWERED,
        FailureReason.ORDER_STALLED,
        FailureReason.ORDER_SLOW,
        FailureReason.REGISTRY_UNREACHABLE,
    }
