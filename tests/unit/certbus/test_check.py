from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certbus.check import (
    AddressCheck,
    CheckTarget,
    Finding,
    TargetError,
    check,
    exit_code,
    finding_of,
    parse_target,
)
from certcore.inspection import read_chain
from certprobe.handshake import Handshake, HandshakeError, HandshakeProblem, Prober, TrustProblem
from tests.authority import Authority

NOW = datetime.now(UTC)
TARGET = CheckTarget("shop.example.org")


def seen(*, days: float = 30, since: float = 1, problem: TrustProblem | None = None) -> Handshake:
    issued = Authority().issue(
        "shop.example.org", not_before=NOW - timedelta(days=since), not_after=NOW + timedelta(days=days)
    )
    leaf = read_chain(issued.chain_pem.encode())[0]
    return Handshake("192.0.2.1", leaf, "TLSv1.3", problem)


def judged(found: Handshake | HandshakeError, *, min_days: int = 14) -> AddressCheck:
    return finding_of(TARGET, "192.0.2.1", found, now=NOW, min_days=min_days)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("shop.example.org", "shop.example.org", 443),
        ("Shop.Example.org.", "shop.example.org", 443),
        ("shop.example.org:8443", "shop.example.org", 8443),
        ("https://shop.example.org:8443/path?query", "shop.example.org", 8443),
        ("127.0.0.1", "127.0.0.1", 443),
        ("[::1]:8443", "::1", 8443),
        ("[::1]", "::1", 443),
        ("::1", "::1", 443),
    ],
)
def test_a_target_is_read(text: str, host: str, port: int) -> None:
    assert parse_target(text) == CheckTarget(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "host:0",
        "host:65536",
        "host:x",
        "http://host",
        "a@b",
        "host/path",
        "a b",
        "[::1",
        "[x]",
        ".",
        "..:443",
    ],
)
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        parse_target(text)


@given(st.text())
@example(".")
def test_no_argument_crashes_the_reader(text: str) -> None:
    try:
        target = parse_target(text)
    except TargetError:
        return
    assert target.host
    assert 0 < target.port < 65536


def test_a_sound_certificate_is_described() -> None:
    result = judged(seen(days=30.5))
    assert (result.finding, result.days_left, result.target) == (Finding.OK, 30, "shop.example.org:443")
    assert result.dns_names == ("shop.example.org",)
    assert result.issuer == "CN=certbus test issuing CA"
    assert exit_code([result]) == 0


@pytest.mark.parametrize(
    ("found", "finding", "days_left"),
    [
        (seen(days=13.9), Finding.EXPIRES_SOON, 13),
        (seen(days=-0.5), Finding.EXPIRED, -1),
        (seen(days=-0.5, problem=TrustProblem.WRONG_HOST), Finding.EXPIRED, -1),
        (seen(since=-1), Finding.NOT_YET_VALID, 30),
        (seen(days=3.5, problem=TrustProblem.WRONG_HOST), Finding.WRONG_HOST, 3),
    ],
)
def test_the_dates_of_a_certificate_are_judged(found: Handshake, finding: Finding, days_left: int) -> None:
    result = judged(found)
    # Not before and not after are whole seconds, so that a day that is just full may not be.
    assert (result.finding, result.days_left) in {(finding, days_left), (finding, days_left - 1)}
    assert exit_code([result]) == 1


@pytest.mark.parametrize("problem", TrustProblem)
def test_every_trust_problem_is_a_finding_with_words(problem: TrustProblem) -> None:
    result = judged(seen(problem=problem))
    assert result.finding == problem.value
    assert result.detail


@pytest.mark.parametrize(
    ("problem", "finding"),
    [
        (HandshakeProblem.UNREACHABLE, Finding.UNREACHABLE),
        (HandshakeProblem.TLS_FAILED, Finding.TLS_FAILED),
    ],
)
def test_no_handshake_is_a_finding(problem: HandshakeProblem, finding: Finding) -> None:
    result = judged(HandshakeError(problem, "connection refused"))
    assert (result.finding, result.detail, result.days_left) == (finding, "connection refused", None)


def test_how_many_days_are_enough_can_be_said() -> None:
    assert judged(seen(days=13), min_days=7).finding is Finding.OK
    assert judged(seen(days=13), min_days=90).finding is Finding.EXPIRES_SOON


async def test_a_host_without_address_is_a_finding() -> None:
    async def nowhere(_: str) -> list[str]:
        raise OSError("no such name")

    [result] = await check([TARGET], prober=Prober(), clock=lambda: NOW, addresses=nowhere)
    assert (result.finding, result.address, result.detail) == (Finding.UNRESOLVED, None, "no such name")


def test_one_finding_among_many_fails() -> None:
    good, bad = judged(seen()), judged(seen(days=1))
    assert exit_code([good, good]) == 0
    assert exit_code([good, bad, good]) == 1
