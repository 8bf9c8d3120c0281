"""A stream is lost when it is another one, or ends before what it acknowledged."""

import pytest

from registry.domain.stream_epoch import Found, StreamEpoch, Verdict, judge

KNOWN = {"CERTS": StreamEpoch("CERTS", "monday", 100)}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Found("monday", 100), Verdict.SAME),
        (Found("monday", 101), Verdict.SAME),
        (Found("monday", 99), Verdict.REWOUND),
        (Found("tuesday", 100), Verdict.REMADE),
        (Found("tuesday", 5000), Verdict.REMADE),
    ],
)
def test_what_the_broker_says_is_compared_with_what_was_known(found: Found, verdict: Verdict) -> None:
    assert dict(judge(KNOWN, {}, {"CERTS": found})) == {"CERTS": verdict}


def test_a_stream_that_ends_before_what_was_seen_is_rewound_whoever_published_there() -> None:
    known = {"STATUS_fra1": StreamEpoch("STATUS_fra1", "monday", 0)}
    found = {"STATUS_fra1": Found("monday", 7)}
    assert dict(judge(known, {"STATUS_fra1": 8}, found)) == {"STATUS_fra1": Verdict.REWOUND}
    assert dict(judge(known, {"STATUS_fra1": 7}, found)) == {"STATUS_fra1": Verdict.SAME}


def test_a_lower_acknowledgement_shows_a_rewound_stream_that_has_grown_since() -> None:
    assert dict(judge(KNOWN, {}, {"CERTS": Found("monday", 200)}, lower={"CERTS"})) == {"CERTS": Verdict.REWOUND}


def test_a_new_stream_is_no_loss_and_one_without_a_leader_is_not_gone() -> None:
    assert dict(judge(KNOWN, {}, {"DEPLOY_fra1": Found("monday", 3)}, silent={"CERTS"})) == {
        "DEPLOY_fra1": Verdict.NEW
    }
    assert dict(judge(KNOWN, {}, {})) == {"CERTS": Verdict.MISSING}
    assert {verdict for verdict in Verdict if verdict.lost} == {Verdict.REMADE, Verdict.REWOUND}
