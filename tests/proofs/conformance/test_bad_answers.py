"""One bad answer is believed by nobody: whatever it is and wherever it comes, one order is opened and finalized."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pytest

from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint, problem
from tests.acme_ca.script import Act
from tests.proofs.conformance.stage import Stage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

_HUGE: Final = 20 * 1024 * 1024

ANSWERS: Final[Mapping[str, Act]] = {
    "404_problem": acts.refuse("malformed", 404),
    "404_html": acts.html(404),
    "403_problem": acts.refuse("unauthorized", 403),
    "403_html": acts.html(403),
    "410_empty": acts.answer(410),
    "500_problem": acts.refuse("serverInternal", 500),
    "500_empty": acts.answer(500),
    "503_html_with_seconds": acts.html(503, wait=lambda: "1"),
    "503_html_with_a_date": acts.html(503, wait=partial(acts.http_date, 1.0)),
    "empty": acts.answer(200),
    "no_json": acts.html(200),
    "half_of_it": acts.truncated(),
    "a_list": acts.answer(200, b"[]"),
    "a_problem_of_another_shape": acts.other_shape(),
    "a_redirect": acts.answer(307, headers={"Location": "https://127.0.0.1:1/elsewhere"}),
    "huge": acts.answer(200, b'{"status": "' + b"x" * _HUGE + b'"}'),
    "reset": acts.reset(),
    "lost": acts.lost(),
}
"""What is answered once, in place of what is right."""

SOME: Final = ("404_problem", "403_html", "503_html_with_a_date", "half_of_it", "lost")


@dataclass(frozen=True)
class Place:
    """Where it is answered. A slow signature makes the issuer look at the order after its finalize."""

    at: Endpoint
    answers: tuple[str, ...]
    rule: Mapping[str, Any] = field(default_factory=dict)
    conduct: Mapping[str, Any] = field(default_factory=dict)


PLACES: Final = {
    "poll_after_finalize": Place(Endpoint.ORDER, tuple(ANSWERS), {"after_finalize": True}, {"signing_looks": 1}),
    "poll_before_finalize": Place(Endpoint.ORDER, SOME),
    "authorization": Place(Endpoint.AUTHORIZATION, SOME),
    "challenge": Place(Endpoint.CHALLENGE, ("404_html", *SOME[1:])),
    "finalize": Place(Endpoint.FINALIZE, (*SOME, "reset", "404_html", "empty")),
    "certificate": Place(Endpoint.CERTIFICATE, (*SOME, "no_json", "empty", "404_html")),
}


@pytest.mark.parametrize(
    ("place", "answer"), [(place, answer) for place, where in PLACES.items() for answer in where.answers]
)
async def test_a_bad_answer_costs_no_order(stage: Stage, place: str, answer: str) -> None:
    where = PLACES[place]
    stage.conduct(**where.conduct)
    rule = stage.misbehave(ANSWERS[answer], where.at, **where.rule)
    await stage.issued_with_one_order(rule)


async def test_an_order_is_not_ready_although_it_is_signed(stage: Stage) -> None:
    rule = stage.misbehave(acts.told_as(problem("orderNotReady", 403)), Endpoint.FINALIZE)
    await stage.issued_with_one_order(rule)
    assert stage.count(Endpoint.FINALIZE) == 1


async def test_a_finalize_is_answered_by_what_was_true_before_it(stage: Stage) -> None:
    stage.conduct(signing_looks=1)
    as_before = acts.rewritten(lambda order: {**order, "status": "ready"})
    rule = stage.misbehave(as_before, Endpoint.FINALIZE)
    await stage.issued_with_one_order(rule)
    assert stage.count(Endpoint.FINALIZE) == 1


@pytest.mark.parametrize("wait", [None, "1", "date"])
async def test_a_slow_signature_is_waited_for(stage: Stage, wait: str | None) -> None:
    stage.conduct(signing_looks=3, retry_after=acts.http_date(1.0) if wait == "date" else wait)
    await stage.issued_with_one_order()
    assert stage.count(Endpoint.FINALIZE) == 1


async def test_a_signed_order_that_does_not_say_where_yet_is_looked_at_again(stage: Stage) -> None:
    stage.conduct(url_late_looks=3)
    await stage.issued_with_one_order()
    assert stage.count(Endpoint.FINALIZE) == 1


async def test_a_slow_validation_is_waited_for(stage: Stage) -> None:
    stage.conduct(validation_s=2.0)
    await stage.issued_with_one_order()


async def test_a_challenge_that_was_answered_before_may_be_refused(stage: Stage) -> None:
    stage.conduct(strict_challenges=True, validation_s=1.0)
    rule = stage.misbehave(acts.lost(), Endpoint.CHALLENGE)
    await stage.issued_with_one_order(rule)


async def test_seven_bad_nonces_in_a_row_are_borne(stage: Stage) -> None:
    rule = stage.misbehave(acts.refuse("badNonce"), Endpoint.NEW_ORDER, times=7)
    await stage.issued_with_one_order(rule)
    assert stage.failures == []


async def test_a_storm_of_bad_nonces_is_borne(stage: Stage) -> None:
    stage.ca.service.nonces.refused = 0.5
    await stage.issued_with_one_order()


async def test_answers_without_a_nonce_are_used(stage: Stage) -> None:
    rule = stage.misbehave(acts.without_headers("Replay-Nonce"), times=None)
    await stage.issued_with_one_order(rule)


async def test_a_connection_that_ends_with_each_answer_is_made_again(stage: Stage) -> None:
    rule = stage.misbehave(acts.close_after(), times=None)
    await stage.issued_with_one_order(rule)


async def test_a_clock_that_is_a_day_wrong_changes_no_wait(stage: Stage) -> None:
    stage.conduct(signing_looks=2)
    tomorrow = 86400.0

    def headers() -> Mapping[str, str]:
        return {"Date": acts.http_date(tomorrow), "Retry-After": acts.http_date(tomorrow + 1.0)}

    rule = stage.misbehave(acts.with_headers(headers), Endpoint.ORDER, Endpoint.FINALIZE, times=None)
    await stage.issued_with_one_order(rule)


async def test_an_order_that_is_silent_for_a_while_is_waited_for(stage: Stage) -> None:
    rule = stage.misbehave(acts.silence(2.0), Endpoint.ORDER, times=2)
    await stage.issued_with_one_order(rule)


async def test_a_ca_that_is_wholly_silent_for_a_while_gets_one_order(stage: Stage) -> None:
    stage.conduct(signing_looks=1)
    rule = stage.misbehave(acts.silence(1.0), times=3, after_finalize=True)
    await stage.issued_with_one_order(rule)
    assert stage.count(Endpoint.FINALIZE) == 1
