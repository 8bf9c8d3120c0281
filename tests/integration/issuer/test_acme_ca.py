"""Orders and certificates at a CA on its bad days."""

from collections.abc import AsyncIterator, Iterator
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
from tests.authority import Authority
from tests.integration.issuer.acme_book import Book, client_of
from tests.integration.issuer.scripted_ca import Answer, ScriptedCa, problem, scripted_ca
from tests.unit.issuer.samples import order

pytestmark = pytest.mark.integration


@pytest.fixture
def scripted() -> Iterator[ScriptedCa]:
    with scripted_ca() as ca:
        yield ca


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def ca(scripted: ScriptedCa, book: Book, tmp_path: Path) -> AsyncIterator[AcmeCa]:
    async with client_of(scripted, tmp_path, book=book) as made:
        yield made


async def test_a_replacement_that_the_ca_does_not_take_is_ordered_without(scripted: ScriptedCa, ca: AcmeCa) -> None:
    opened = Answer(201, scripted.order(), headers={"Location": f"{scripted.url}/order/1"})
    scripted.tell("/newOrder", problem("alreadyReplaced", 409), opened)
    assert (await ca.open_order(("a.example.org",), replaces="an.id", profile=None)).url == f"{scripted.url}/order/1"
    first, second = (asked.payload for asked in scripted.asked if asked.path == "/newOrder")
    assert first["replaces"] == "an.id"
    assert "replaces" not in second


async def test_an_order_without_its_url_counts_as_unanswered(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", Answer(201, scripted.order()))
    with pytest.raises(CaUnreachableError, match="doesn't say where"):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)


async def test_a_rate_limit_is_not_answered_by_asking_once_more(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", problem("rateLimited", 429))
    with pytest.raises(AcmeProblemError):
        await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert scripted.paths().count("/newOrder") == 1


async def test_a_ca_without_renewal_information_is_not_told_of_a_replacement(
    scripted: ScriptedCa, ca: AcmeCa
) -> None:
    del scripted.directory["renewalInfo"]
    scripted.tell("/newOrder", Answer(201, scripted.order(), headers={"Location": f"{scripted.url}/order/1"}))
    await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert scripted.asked[-1].payload == {"identifiers": [{"type": "dns", "value": "a.example.org"}]}


async def test_a_profile_is_asked_for_where_one_is_configured_or_wanted(
    scripted: ScriptedCa, book: Book, tmp_path: Path
) -> None:
    scripted.tell("/newOrder", Answer(201, scripted.order(), headers={"Location": f"{scripted.url}/order/1"}))
    async with client_of(scripted, tmp_path, book=book, profile="shortlived") as ca:
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
        assert scripted.asked[-1].payload["profile"] == "shortlived"
        await ca.open_order(("a.example.org",), replaces=None, profile="tlsserver")
        assert scripted.asked[-1].payload["profile"] == "tlsserver"


async def test_a_challenge_that_was_answered_before_is_no_problem(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/challenge/1", problem("malformed"))
    await ca.answer(f"{scripted.url}/challenge/1")
    assert scripted.asked[-1].payload == {}
    scripted.tell("/challenge/1", problem("unauthorized", 403))
    with pytest.raises(AcmeProblemError):
        await ca.answer(f"{scripted.url}/challenge/1")


async def test_challenges_that_nobody_here_knows_are_left_out(scripted: ScriptedCa, ca: AcmeCa) -> None:
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    challenges = [
        {"type": "dns-persist-01", "url": "u/1", "status": "pending", "issuer-domain-names": ["ca.test"]},
        {"type": "dns-01", "url": "u/2", "status": "pending", "token": token},
        {"type": "http-01", "url": "u/3", "status": "pending", "token": token},
        {"type": "tls-alpn-01", "url": "u/4", "status": "pending", "token": token},
    ]
    body = {
        "identifier": {"type": "dns", "value": "a.example.org"},
        "status": "expired",
        "wildcard": True,
        "challenges": challenges,
    }
    scripted.tell("/authz/1", Answer(body=body))
    view = await ca.authorization(f"{scripted.url}/authz/1")
    assert (view.status, view.wildcard) == (AuthorizationStatus.EXPIRED, True)
    assert [(offer.kind, offer.url) for offer in view.offers] == [
        (ChallengeKind.DNS_01, "u/2"),
        (ChallengeKind.HTTP_01, "u/3"),
    ]
    dns, http = view.offers
    assert (dns.record_name, len(dns.record_value)) == ("_acme-challenge.a.example.org", 43)
    assert (http.record_name, http.record_value[:44]) == (token, f"{token}.")


async def test_a_finalize_carries_the_request_as_it_was_stored(scripted: ScriptedCa, ca: AcmeCa) -> None:
    escrow = encode_public_key(X25519PrivateKey.generate().public_key())
    material = make_key_material(order(), escrow_public_key=escrow)
    scripted.tell("/finalize/1", Answer(body=scripted.order("processing"), headers={"Retry-After": "3"}))
    view = await ca.finalize(f"{scripted.url}/finalize/1", material.csr_der)
    assert (view.status, view.retry_after) == (OrderStatus.PROCESSING, timedelta(seconds=3))
    assert set(scripted.asked[-1].payload) == {"csr"}


@pytest.mark.parametrize(
    "answer",
    [
        problem("serverInternal", 500),
        problem("malformed", 500),
        Answer(503, raw=b"<html>", headers={"Retry-After": "5"}),
        Answer(409, raw=b"<html>"),
        Answer(403),
        problem("rejectedIdentifier", 400),
        Answer(raw=b"<html>"),
        Answer(hang_up=True),
    ],
)
async def test_an_exemption_is_given_up_for_no_fault(scripted: ScriptedCa, ca: AcmeCa, answer: Answer) -> None:
    scripted.tell("/newOrder", answer)
    with pytest.raises((AcmeProblemError, CaUnreachableError)):
        await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    (asked,) = scripted.asked_at("/newOrder")
    assert asked.payload["replaces"] == "an.id"


@pytest.mark.parametrize("refusal", [problem("malformed"), problem("malformed", 404), problem("unauthorized", 403)])
async def test_a_clear_refusal_of_a_replacement_is_ordered_without(
    scripted: ScriptedCa, ca: AcmeCa, refusal: Answer
) -> None:
    opened = Answer(201, scripted.order(), headers={"Location": f"{scripted.url}/order/1"})
    scripted.tell("/newOrder", refusal, opened)
    await ca.open_order(("a.example.org",), replaces="an.id", profile=None)
    assert ["replaces" in asked.payload for asked in scripted.asked_at("/newOrder")] == [True, False]


async def test_a_refusal_without_a_replacement_is_asked_once(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", problem("malformed"))
    with pytest.raises(AcmeProblemError):
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert len(scripted.asked_at("/newOrder")) == 1


@pytest.mark.parametrize(
    "answer", [Answer(body={"status": "deactivated"}), Answer(404), Answer(410), problem("malformed")]
)
async def test_an_authorization_is_given_up_also_where_it_is_gone(
    scripted: ScriptedCa, ca: AcmeCa, answer: Answer
) -> None:
    scripted.tell("/authz/1", answer)
    await ca.deactivate(f"{scripted.url}/authz/1")
    assert scripted.asked[-1].payload == {"status": "deactivated"}


async def test_an_authorization_that_can_not_be_given_up_is_told(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/authz/1", problem("serverInternal", 500))
    with pytest.raises(AcmeProblemError):
        await ca.deactivate(f"{scripted.url}/authz/1")


@pytest.mark.parametrize("answer", [Answer(200), problem("alreadyRevoked")])
async def test_a_revocation_names_the_certificate_and_the_reason(
    scripted: ScriptedCa, ca: AcmeCa, answer: Answer
) -> None:
    scripted.directory["revokeCert"] = f"{scripted.url}/revokeCert"
    scripted.tell("/revokeCert", answer)
    await ca.revoke(b"\x00\xff", 4)
    asked = scripted.asked[-1]
    assert asked.payload == {"certificate": "AP8", "reason": 4}
    assert "kid" in asked.protected
    await ca.revoke(b"\x00\xff", 1, key=ec.generate_private_key(ec.SECP384R1()))
    head = scripted.asked[-1].protected
    assert (head["alg"], head["jwk"]["crv"], "kid" in head) == ("ES384", "P-384", False)


async def test_a_ca_that_revokes_nothing_says_so(ca: AcmeCa) -> None:
    with pytest.raises(PermanentError, match="scripted revokes nothing"):
        await ca.revoke(b"der", 1)


async def test_renewal_information_keeps_window_explanation_and_time(scripted: ScriptedCa, ca: AcmeCa) -> None:
    window = {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00+01:00"}
    body = {"suggestedWindow": window, "explanationURL": "https://ca.test/why"}
    scripted.tell("/renewalInfo/an.id", Answer(body=body, headers={"Retry-After": "21600"}))
    assert await ca.renewal_info("an.id") == RenewalInfo(
        datetime(2026, 1, 2, 4, tzinfo=UTC),
        datetime(2026, 1, 3, 3, tzinfo=UTC),
        "https://ca.test/why",
        timedelta(hours=6),
    )
    # It is asked without an account.
    assert scripted.asked == []


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
    scripted.tell("/renewalInfo/an.id", Answer(body={"suggestedWindow": window}))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.renewal_info("an.id")


async def test_a_ca_may_have_no_renewal_information(scripted: ScriptedCa, ca: AcmeCa) -> None:
    del scripted.directory["renewalInfo"]
    assert await ca.renewal_info("an.id") is None


async def test_renewal_information_of_an_unknown_certificate_is_told(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/renewalInfo/an.id", problem("malformed", 404))
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
    scripted.tell("/certificate/1", Answer(raw=chains["long"].encode(), headers={"Link": alternates}))
    scripted.tell("/certificate/1/gone", Answer(404))
    scripted.tell("/certificate/1/short", Answer(raw=chains["short"].encode()))
    async with client_of(scripted, tmp_path, book=book, preferred_chain=preferred) as ca:
        assert await ca.certificate(f"{scripted.url}/certificate/1") == chains[wanted]
