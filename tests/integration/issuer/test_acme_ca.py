"""Orders and certificates at a CA on its bad days."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.errors import PermanentError
from certcore.sealing import encode_public_key
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import AuthorizationStatus, ChallengeKind, OrderStatus
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.key_material import make_key_material
from issuer.domain.renewal_info import RenewalInfo
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint, Reply, problem, replied
from tests.acme_ca.server import ScriptedCa, plain_ca
from tests.authority import Authority
from tests.integration.issuer.acme_book import Book, an_order, client_of, opened_order
from tests.unit.issuer.samples import order

pytestmark = pytest.mark.integration


@pytest.fixture
def scripted() -> Iterator[ScriptedCa]:
    with plain_ca() as ca:
        yield ca


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def ca(scripted: ScriptedCa, book: Book, tmp_path: Path) -> AsyncIterator[AcmeCa]:
    async with client_of(scripted, tmp_path, book=book) as made:
        yield made


async def test_a_replacement_that_the_ca_does_not_take_is_ordered_without(scripted: ScriptedCa, ca: AcmeCa) -> None:
    opened = opened_order(scripted)
    scripted.script.tell(Endpoint.NEW_ORDER, problem("alreadyReplaced", 409), opened)
    assert (await ca.open_order(("a.example.org",), replaces="an.id", profile=None)).url == f"{scripted.url}/order/1"
    first, second = (asked.payload for asked in scripted.asked(Endpoint.NEW_ORDER))
    assert first["replaces"] == "an.id"
    assert "replaces" not in second


async def test_an_order_without_its_url_counts_as_unanswered(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, replace(an_order(scripted), status=201))
    with pytest.raises(CaUnreachableError, match="doesn't say where"):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)


async def test_a_rate_limit_is_not_answered_by_asking_once_more(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, problem("rateLimited", 429))
    with pytest.raises(AcmeProblemError):
        await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert len(scripted.asked(Endpoint.NEW_ORDER)) == 1


async def test_a_ca_without_renewal_information_is_not_told_of_a_replacement(
    scripted: ScriptedCa, ca: AcmeCa
) -> None:
    scripted.service.knows_ari = False
    scripted.script.tell(Endpoint.NEW_ORDER, opened_order(scripted))
    await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert scripted.posted()[-1].payload == {"identifiers": [{"type": "dns", "value": "a.example.org"}]}


async def test_a_profile_is_asked_for_where_one_is_configured_or_wanted(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, opened_order(scripted))
    async with client_of(scripted, tmp_path, book=book, profile="shortlived") as ca:
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
        assert scripted.posted()[-1].payload["profile"] == "shortlived"
        await ca.open_order(("a.example.org",), replaces=None, profile="tlsserver")
        assert scripted.posted()[-1].payload["profile"] == "tlsserver"


async def test_a_challenge_that_was_answered_before_is_no_problem(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.CHALLENGE, problem("malformed"))
    await ca.answer(f"{scripted.url}/challenge/1")
    assert scripted.posted()[-1].payload == {}
    scripted.script.tell(Endpoint.CHALLENGE, problem("unauthorized", 403))
    with pytest.raises(AcmeProblemError):
        await ca.answer(f"{scripted.url}/challenge/1")


async def test_challenges_that_nobody_here_knows_are_left_out(scripted: ScriptedCa, ca: AcmeCa) -> None:
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    challenges = [
        {"type": "dns-persist-01", "url": "u/1", "status": "pending", "issuer-domain-names": ["ca.test"]},
        {"type": "dns-01", "url": "u/2", "status": "pending", "token": token},
        {"type": "http-01", "url": "u/3", "status": "pending", "token": token},
        {"type": "gopher-01", "url": "u/5", "status": "pending"},
        {"type": "tls-alpn-01", "url": "u/4", "status": "pending", "token": token},
    ]
    body = {
        "identifier": {"type": "dns", "value": "a.example.org"},
        "status": "expired",
        "wildcard": True,
        "challenges": challenges,
    }
    scripted.script.tell(Endpoint.AUTHORIZATION, replied(body))
    view = await ca.authorization(f"{scripted.url}/authorization/1")
    assert (view.status, view.wildcard) == (AuthorizationStatus.EXPIRED, True)
    assert [(offer.kind, offer.url) for offer in view.offers] == [
        (ChallengeKind.DNS_PERSIST_01, "u/1"),
        (ChallengeKind.DNS_01, "u/2"),
        (ChallengeKind.HTTP_01, "u/3"),
        (ChallengeKind.TLS_ALPN_01, "u/4"),
    ]
    persistent, dns, http, tls = view.offers
    assert (dns.record_name, len(dns.record_value)) == ("_acme-challenge.a.example.org", 43)
    assert (http.record_name, http.record_value[:44]) == (token, f"{token}.")
    assert persistent.record_name == "_validation-persist.a.example.org"
    account = await ca.account_url()
    assert persistent.record_value == f"ca.test; accounturi={account}; policy=wildcard"
    assert (tls.record_name, tls.record_value) == ("a.example.org", http.record_value)


async def test_a_finalize_carries_the_request_as_it_was_stored(scripted: ScriptedCa, ca: AcmeCa) -> None:
    escrow = encode_public_key(X25519PrivateKey.generate().public_key())
    material = make_key_material(order(), escrow_public_key=escrow)
    scripted.script.tell(Endpoint.FINALIZE, an_order(scripted, "processing").telling(Retry_After="3"))
    view = await ca.finalize(f"{scripted.url}/finalize/1", material.csr_der)
    assert (view.status, view.retry_after) == (OrderStatus.PROCESSING, timedelta(seconds=3))
    assert set(scripted.posted()[-1].payload) == {"csr"}


@pytest.mark.parametrize(
    "answer",
    [
        problem("serverInternal", 500),
        problem("malformed", 500),
        Reply(503, b"<html>", {"Retry-After": "5"}),
        Reply(409, b"<html>"),
        Reply(403),
        problem("rejectedIdentifier", 400),
        Reply(body=b"<html>"),
        Reply(drop=True),
    ],
)
async def test_an_exemption_is_given_up_for_no_fault(scripted: ScriptedCa, ca: AcmeCa, answer: Reply) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, answer)
    with pytest.raises((AcmeProblemError, CaUnreachableError)):
        await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    (asked,) = scripted.asked(Endpoint.NEW_ORDER)
    assert asked.payload["replaces"] == "an.id"


@pytest.mark.parametrize("refusal", [problem("malformed"), problem("malformed", 404), problem("unauthorized", 403)])
async def test_a_clear_refusal_of_a_replacement_is_ordered_without(
    scripted: ScriptedCa, ca: AcmeCa, refusal: Reply
) -> None:
    opened = opened_order(scripted)
    scripted.script.tell(Endpoint.NEW_ORDER, refusal, opened)
    await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert ["replaces" in asked.payload for asked in scripted.asked(Endpoint.NEW_ORDER)] == [True, False]


async def test_a_refusal_without_a_replacement_is_asked_once(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.NEW_ORDER, problem("malformed"))
    with pytest.raises(AcmeProblemError):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert len(scripted.asked(Endpoint.NEW_ORDER)) == 1


@pytest.mark.parametrize("answer", [replied({"status": "deactivated"}), Reply(404), Reply(410), problem("malformed")])
async def test_an_authorization_is_given_up_also_where_it_is_gone(
    scripted: ScriptedCa, ca: AcmeCa, answer: Reply
) -> None:
    scripted.script.tell(Endpoint.AUTHORIZATION, answer)
    await ca.deactivate(f"{scripted.url}/authorization/1")
    assert scripted.posted()[-1].payload == {"status": "deactivated"}


async def test_an_authorization_that_can_not_be_given_up_is_told(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.AUTHORIZATION, problem("serverInternal", 500))
    with pytest.raises(AcmeProblemError):
        await ca.deactivate(f"{scripted.url}/authorization/1")


@pytest.mark.parametrize("answer", [Reply(200), problem("alreadyRevoked")])
async def test_a_revocation_names_the_certificate_and_the_reason(
    scripted: ScriptedCa, ca: AcmeCa, answer: Reply
) -> None:
    scripted.script.tell(Endpoint.REVOKE, answer)
    await ca.revoke(b"\x00\xff", 4)
    asked = scripted.posted()[-1]
    assert asked.payload == {"certificate": "AP8", "reason": 4}
    assert "kid" in asked.protected
    await ca.revoke(b"\x00\xff", 1, key=ec.generate_private_key(ec.SECP384R1()))
    head = scripted.posted()[-1].protected
    assert (head["alg"], head["jwk"]["crv"], "kid" in head) == ("ES384", "P-384", False)


async def test_a_ca_that_revokes_nothing_says_so(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.DIRECTORY, acts.without("revokeCert"))
    with pytest.raises(PermanentError, match="scripted revokes nothing"):
        await ca.revoke(b"der", 1)


async def test_renewal_information_keeps_window_explanation_and_time(scripted: ScriptedCa, ca: AcmeCa) -> None:
    window = {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00+01:00"}
    body = {"suggestedWindow": window, "explanationURL": "https://ca.test/why"}
    scripted.script.tell(Endpoint.RENEWAL_INFO, replied(body, Retry_After="21600"))
    assert await ca.renewal_info("an.id") == RenewalInfo(
        datetime(2026, 1, 2, 4, tzinfo=UTC),
        datetime(2026, 1, 3, 3, tzinfo=UTC),
        "https://ca.test/why",
        timedelta(hours=6),
    )
    # It is asked without an account.
    assert scripted.posted() == []


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"start": "2026-01-02T04:00:00", "end": "2026-01-03T04:00:00"},
        {"start": "2026-01-03T04:00:00Z", "end": "2026-01-02T04:00:00Z"},
    ],
)
async def test_a_window_that_is_none_can_not_be_read(
    scripted: ScriptedCa, ca: AcmeCa, window: dict[str, str]
) -> None:
    scripted.script.tell(Endpoint.RENEWAL_INFO, replied({"suggestedWindow": window}))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.renewal_info("an.id")


async def test_a_ca_may_have_no_renewal_information(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.service.knows_ari = False
    assert await ca.renewal_info("an.id") is None


async def test_renewal_information_of_an_unknown_certificate_is_told(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.script.tell(Endpoint.RENEWAL_INFO, problem("malformed", 404))
    with pytest.raises(AcmeProblemError):
        await ca.renewal_info("an.id")


@pytest.mark.parametrize(
    ("preferred", "wanted"),
    [(None, "long"), ("long root", "long"), ("short root", "short"), ("third root", "long")],
)
async def test_the_preferred_chain_is_taken_where_it_is_offered(
    scripted: ScriptedCa, book: Book, tmp_path: Path, preferred: str | None, wanted: str
) -> None:
    chains = {name: Authority(name).issue("a.example.org").chain_pem for name in ("long", "short")}
    alternates = '</certificate/1/gone>; rel="alternate", </certificate/1/short>; rel="alternate"'
    scripted.script.tell(
        Endpoint.CERTIFICATE, Reply(body=chains["long"].encode(), headers={"Link": alternates}), item="1"
    )
    scripted.script.tell(Endpoint.CERTIFICATE, Reply(404), item="1/gone")
    scripted.script.tell(Endpoint.CERTIFICATE, Reply(body=chains["short"].encode()), item="1/short")
    async with client_of(scripted, tmp_path, book=book, preferred_chain=preferred) as ca:
        assert await ca.certificate(f"{scripted.url}/certificate/1") == chains[wanted]
