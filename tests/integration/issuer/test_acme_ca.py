"""The ACME client against a CA on its bad days."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.sealing import encode_public_key
from issuer.adapters.account_key import load_account_key
from issuer.adapters.acme_ca import AcmeCa
from issuer.domain.ca_order import AuthorizationStatus, ChallengeKind, OrderStatus
from issuer.domain.errors import AcmeProblemError, CaUnreachableError, Subproblem
from issuer.domain.key_material import make_key_material
from issuer.settings import CaSettings
from tests.integration.issuer.scripted_ca import Answer, ScriptedCa, problem, scripted_ca
from tests.unit.issuer.samples import order

pytestmark = pytest.mark.integration


class RememberedAccount:
    """The part of a journal that a CA needs."""

    def __init__(self) -> None:
        self.url: str | None = None

    async def account(self, ca: str, directory_url: str) -> str | None:
        del ca, directory_url
        return self.url

    async def remember_account(self, ca: str, directory_url: str, url: str) -> None:
        del ca, directory_url
        self.url = url


@contextmanager
def client_of(scripted: ScriptedCa, folder: Path, *, account: RememberedAccount, **fields: Any) -> Iterator[AcmeCa]:
    settings = CaSettings(
        name="scripted", directory_url=f"{scripted.url}/dir", challenges=(ChallengeKind.HTTP_01,), **fields
    )
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield AcmeCa(settings=settings, state_folder=folder, accounts=account, executor=executor)


@pytest.fixture
def scripted() -> Iterator[ScriptedCa]:
    with scripted_ca() as ca:
        yield ca


@pytest.fixture
def account() -> RememberedAccount:
    return RememberedAccount()


@pytest.fixture
def ca(scripted: ScriptedCa, account: RememberedAccount, tmp_path: Path) -> Iterator[AcmeCa]:
    with client_of(scripted, tmp_path, account=account) as made:
        yield made


async def test_seven_bad_nonces_in_a_row_are_borne(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", *[problem("badNonce")] * 7, Answer(body=scripted.order()))
    assert (await ca.order(f"{scripted.url}/order/1")).status is OrderStatus.PENDING
    nonces = [asked.protected["nonce"] for asked in scripted.asked]
    assert len(set(nonces)) == len(nonces)
    # The answer that refuses a nonce brings the next one.
    assert scripted.nonce_requests == 1


async def test_eight_bad_nonces_are_the_cas_trouble(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", problem("badNonce"))
    with pytest.raises(AcmeProblemError) as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert raised.value.type == "badNonce"
    assert scripted.paths().count("/order/1") == 8


async def test_a_rate_limit_keeps_type_detail_and_retry_after(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/newOrder", problem("rateLimited", 429, headers={"Retry-After": "3600"}))
    with pytest.raises(AcmeProblemError, match="rateLimited: rateLimited it is") as raised:
        await ca.open_order(("a.example.org",), replaces=None, profile=None)
    assert (raised.value.status, raised.value.retry_after) == (429, timedelta(hours=1))


async def test_a_retry_after_date_counts_from_the_cas_own_clock(scripted: ScriptedCa, ca: AcmeCa) -> None:
    scripted.tell("/order/1", Answer(body=scripted.order("processing"), headers={"Retry-After": "later"}))
    assert (await ca.order(f"{scripted.url}/order/1")).retry_after is None
    in_two_minutes = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    scripted.tell("/order/1", Answer(body=scripted.order("processing"), headers={"Retry-After": in_two_minutes}))
    waiting = (await ca.order(f"{scripted.url}/order/1")).retry_after
    assert waiting is not None
    assert timedelta(seconds=110) < waiting <= timedelta(seconds=121)


async def test_subproblems_name_who_is_at_fault(scripted: ScriptedCa, ca: AcmeCa) -> None:
    inner = {
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "forbidden by CAA",
        "identifier": {"type": "dns", "value": "b.example.org"},
    }
    scripted.tell("/newOrder", problem("compound", 403, subproblems=[inner]))
    with pytest.raises(AcmeProblemError, match=r"b\.example\.org: forbidden by CAA") as raised:
        await ca.open_order(("a.example.org", "b.example.org"), replaces=None, profile=None)
    assert raised.value.subproblems == (Subproblem("b.example.org", "caa", "forbidden by CAA"),)


@pytest.mark.parametrize("status", [400, 404, 409, 503])
async def test_an_answer_without_a_problem_document_is_told_by_its_status(
    scripted: ScriptedCa, ca: AcmeCa, status: int
) -> None:
    scripted.tell("/order/1", Answer(status, raw=b"<html>\x00sorry</html>"))
    with pytest.raises(AcmeProblemError, match=f"HTTP {status}") as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert (raised.value.type, raised.value.status) == ("", status)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"status": "splendid", "finalize": "x"}', b"\xff\xfe"])
async def test_an_answer_that_can_not_be_read_counts_as_none(scripted: ScriptedCa, ca: AcmeCa, raw: bytes) -> None:
    scripted.tell("/order/1", Answer(raw=raw))
    with pytest.raises(CaUnreachableError, match="can't be read"):
        await ca.order(f"{scripted.url}/order/1")


async def test_a_question_that_hangs_is_given_up_and_told_from_a_ca_that_is_away(
    scripted: ScriptedCa, ca: AcmeCa
) -> None:
    scripted.tell("/order/1", Answer(hang=True))
    with pytest.raises(CaUnreachableError, match="no answer in 5 s") as raised:
        await ca.order(f"{scripted.url}/order/1")
    assert raised.value.timed_out
    assert await ca.answers()


async def test_a_ca_that_is_away_is_unreachable(account: RememberedAccount, tmp_path: Path) -> None:
    with scripted_ca() as gone:
        pass
    with client_of(gone, tmp_path, account=account) as ca:
        with pytest.raises(CaUnreachableError) as raised:
            await ca.order(f"{gone.url}/order/1")
        assert not raised.value.timed_out
        assert not await ca.answers()


@pytest.mark.parametrize("status", [200, 201])
async def test_an_account_is_found_again_by_its_key(
    scripted: ScriptedCa, ca: AcmeCa, account: RememberedAccount, status: int
) -> None:
    location = {"Location": f"{scripted.url}/account/7"}
    scripted.tell("/newAccount", Answer(status, {"status": "valid"}, headers=location))
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert account.url == f"{scripted.url}/account/7"
    registering, asking = scripted.asked
    assert "jwk" in registering.protected
    assert "kid" not in registering.protected
    assert registering.payload == {"termsOfServiceAgreed": True}
    assert asking.protected["kid"] == account.url
    assert asking.payload is None


async def test_a_conflict_that_names_the_account_is_taken(
    scripted: ScriptedCa, ca: AcmeCa, account: RememberedAccount
) -> None:
    location = {"Location": f"{scripted.url}/account/7"}
    scripted.tell("/newAccount", Answer(409, {}, headers=location))
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert account.url == f"{scripted.url}/account/7"


async def test_a_stored_account_is_used_without_asking(
    scripted: ScriptedCa, ca: AcmeCa, account: RememberedAccount
) -> None:
    account.url = f"{scripted.url}/account/3"
    scripted.tell("/order/1", Answer(body=scripted.order()))
    await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths() == ["/order/1"]


async def test_a_ca_that_forgot_the_account_gets_it_again_with_the_same_key(
    scripted: ScriptedCa, ca: AcmeCa, account: RememberedAccount, tmp_path: Path
) -> None:
    account.url = f"{scripted.url}/account/old"
    scripted.tell("/order/1", problem("accountDoesNotExist"), Answer(404))
    with pytest.raises(AcmeProblemError, match="HTTP 404"):
        await ca.order(f"{scripted.url}/order/1")
    assert scripted.paths() == ["/order/1", "/newAccount", "/order/1"]
    assert account.url == f"{scripted.url}/account/1"
    key = load_account_key(tmp_path, ca="scripted", directory_url=f"{scripted.url}/dir")
    assert scripted.asked[1].protected["jwk"]["x"] == key.public_key().to_json()["x"]


async def test_an_account_is_bound_to_the_customer_where_the_ca_wants_it(
    scripted: ScriptedCa, account: RememberedAccount, tmp_path: Path
) -> None:
    mac_key = tmp_path / "mac"
    mac_key.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
    eab = {"kid": "customer-1", "hmac_key_file": mac_key}
    scripted.tell("/order/1", Answer(body=scripted.order()))
    with client_of(scripted, tmp_path, account=account, eab=eab, contact="tls@example.org") as ca:
        await ca.order(f"{scripted.url}/order/1")
    payload = scripted.asked[0].payload
    assert payload["contact"] == ["mailto:tls@example.org"]
    assert set(payload["externalAccountBinding"]) == {"protected", "payload", "signature"}


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
    scripted: ScriptedCa, account: RememberedAccount, tmp_path: Path
) -> None:
    scripted.tell("/newOrder", Answer(201, scripted.order(), headers={"Location": f"{scripted.url}/order/1"}))
    with client_of(scripted, tmp_path, account=account, profile="shortlived") as ca:
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
        {"type": "gopher-01", "url": "u/5", "status": "pending"},
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
    scripted.tell("/finalize/1", Answer(body=scripted.order("processing"), headers={"Retry-After": "3"}))
    view = await ca.finalize(f"{scripted.url}/finalize/1", material.csr_der)
    assert (view.status, view.retry_after) == (OrderStatus.PROCESSING, timedelta(seconds=3))
    assert set(scripted.asked[-1].payload) == {"csr"}
