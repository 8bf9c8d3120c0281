"""The scripted CA in its good mode: a client that isn't ours gets what RFC 8555 promises."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.json_util import JSONObjectWithFields, field
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from certcore.inspection import read_chain
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint
from tests.acme_ca.conduct import Conduct, LeafFault
from tests.acme_ca.jws import text
from tests.acme_ca.server import TlsCa, acme_ca, deaf_server
from tests.acme_ca.signing import ari_id
from tests.ports import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[TlsCa]:
    with acme_ca(tmp_path, free_port()) as running:
        yield running


def a_key() -> JWKEC:
    return JWKEC(key=ec.generate_private_key(ec.SECP256R1()))


def a_client(ca: TlsCa, key: JWKEC | None = None) -> ClientV2:
    """Of the acme package, as it comes; without an account."""
    key = key or a_key()
    network = ClientNetwork(key, alg=ES256, verify_ssl=True, user_agent="conformance")
    network.session.verify = str(ca.ca_file)
    network.session.trust_env = False
    network.verify_ssl = str(ca.ca_file)  # type: ignore[assignment] # a path is what requests takes as well
    return ClientV2(ClientV2.get_directory(ca.directory_url, network), network)


@pytest.fixture
def client(ca: TlsCa) -> Iterator[ClientV2]:
    client = a_client(ca)
    client.new_account(messages.NewRegistration.from_data(email="tls@example.org", terms_of_service_agreed=True))
    with contextlib.closing(client.net.session):
        yield client


def a_request(*names: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    return csr.add_extension(sans, critical=False).sign(key, SHA256()).public_bytes(Encoding.PEM)


def prove(client: ClientV2, order: messages.OrderResource) -> None:
    for authorization in order.authorizations:
        offer = next(one for one in authorization.body.challenges if isinstance(one.chall, challenges.DNS01))
        client.answer_challenge(offer, offer.response(client.net.key))


def issue(client: ClientV2, *names: str) -> messages.OrderResource:
    order = client.new_order(a_request(*names))
    prove(client, order)
    return client.poll_and_finalize(order)


def test_a_bare_client_gets_a_certificate(ca: TlsCa, client: ClientV2) -> None:
    issued = issue(client, "a.example.org", "*.b.example.org")
    leaf, issuing = read_chain(issued.fullchain_pem.encode())
    assert set(leaf.dns_names) == {"a.example.org", "*.b.example.org"}
    x509.load_der_x509_certificate(issuing.der).verify_directly_issued_by(ca.service.signer.root)
    (order,) = ca.finalized("a.example.org", "*.b.example.org")
    assert ca.finalized_orders() == [order.id]
    asked = ca.asked_about(order)
    assert (asked[Endpoint.FINALIZE], asked[Endpoint.CERTIFICATE]) == (1, 1)
    assert len(ca.asked(Endpoint.NEW_ORDER, "a.example.org")) == 1


def test_an_account_is_found_by_its_key_and_bound_to_a_customer(ca: TlsCa, client: ClientV2) -> None:
    again = messages.NewRegistration.from_data(terms_of_service_agreed=True)
    client.net.account = None
    with pytest.raises(errors.ConflictError) as conflict:
        client.new_account(again)
    assert conflict.value.location == f"{ca.url}/account/{next(iter(ca.books.accounts))}"
    ca.service.customers["customer-1"] = b"k" * 32
    key = a_key()
    fresh = a_client(ca, key)
    with contextlib.closing(fresh.net.session):
        with pytest.raises(messages.Error, match="externalAccountRequired"):
            fresh.new_account(again)
        for mac_key, told in ((b"x" * 32, "another key"), (b"k" * 32, "")):
            binding = messages.ExternalAccountBinding.from_data(
                account_public_key=key.public_key(),
                kid="customer-1",
                hmac_key=text(mac_key),
                directory=fresh.directory,
            )
            with pytest.raises(messages.Error, match=told) if told else contextlib.nullcontext():
                fresh.new_account(again.update(external_account_binding=binding))
    assert [account.customer for account in ca.books.accounts.values()] == [None, "customer-1"]


def test_a_renewal_says_what_it_replaces_and_may_do_so_once(ca: TlsCa, client: ClientV2) -> None:
    issue(client, "a.example.org")
    (first,) = ca.finalized()
    assert first.leaf is not None
    window = requests.get(
        f"{client.directory['renewalInfo']}/{ari_id(first.leaf)}", verify=str(ca.ca_file), timeout=10
    )
    assert set(window.json()["suggestedWindow"]) == {"start", "end"}
    assert window.headers["Retry-After"] == "21600"
    answer = _new_order(client, "a.example.org", replaces=ari_id(first.leaf))
    assert answer.json()["replaces"] == ari_id(first.leaf)
    # Even while the replacement is only pending. The library tells a 409 apart by its status alone.
    with pytest.raises(errors.ConflictError):
        _new_order(client, "a.example.org", replaces=ari_id(first.leaf))
    with pytest.raises(messages.Error, match="invalidProfile"):
        _new_order(client, "a.example.org", profile="unheard-of")


def _new_order(client: ClientV2, name: str, **fields: Any) -> requests.Response:
    class Order(JSONObjectWithFields):
        identifiers: Any = field("identifiers")
        profile: Any = field("profile", omitempty=True)
        replaces: Any = field("replaces", omitempty=True)

    body = Order(**{"identifiers": [{"type": "dns", "value": name}], "profile": None, "replaces": None, **fields})
    return client._post(client.directory["newOrder"], body)  # noqa: SLF001 # newOrder with fields that it doesn't know


def test_a_certificate_is_revoked_once_by_account_or_key(ca: TlsCa, client: ClientV2) -> None:
    issue(client, "a.example.org")
    (order,) = ca.finalized()
    assert order.leaf is not None
    client.revoke(order.leaf, 4)
    assert ca.books.revoked == {order.leaf.serial_number: 4}
    with pytest.raises(messages.Error, match="alreadyRevoked"):
        client.revoke(order.leaf, 4)


def test_what_is_another_accounts_is_not_shown(ca: TlsCa, client: ClientV2) -> None:
    order = client.new_order(a_request("a.example.org"))
    other = a_client(ca)
    with contextlib.closing(other.net.session):
        other.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
        with pytest.raises(messages.Error, match="unauthorized"):
            other._post_as_get(order.uri)  # noqa: SLF001 # the library asks only for its own


def test_a_nonce_is_good_once_and_a_signature_binds_the_url(ca: TlsCa, client: ClientV2) -> None:
    ca.service.nonces.refused = 1.0
    with pytest.raises(messages.Error, match="badNonce"):
        client.new_order(a_request("a.example.org"))
    ca.service.nonces.refused = 0.0
    url = f"{ca.url}/{Endpoint.NEW_ORDER}"
    jws = {"protected": text(b'{"alg":"ES256"}'), "payload": "", "signature": ""}
    headers = {"Content-Type": "application/jose+json"}
    told = requests.post(url, json=jws, headers=headers, verify=str(ca.ca_file), timeout=10)
    assert told.json()["type"].endswith(":badNonce")
    assert requests.post(url, data=b"{}", verify=str(ca.ca_file), timeout=10).status_code == 415


def test_a_slow_order_is_processing_until_it_is_signed(ca: TlsCa, client: ClientV2) -> None:
    ca.books.conduct["slow.example.org"] = Conduct(signing_looks=1, retry_after="1")
    issue(client, "slow.example.org")
    assert len(ca.finalized("slow.example.org")) == 1


@pytest.mark.parametrize("fault", LeafFault)
def test_a_wrong_leaf_is_wrong_once(ca: TlsCa, client: ClientV2, fault: LeafFault) -> None:
    name = "a.example.org"
    ca.books.conduct[name] = Conduct(faults=(fault,))
    for _ in range(2):
        issue(client, name)
    wrong, right = ca.finalized(name)
    assert wrong.chain != right.chain
    assert read_chain(right.chain)[0].dns_names == (name,)


def test_a_refused_proof_ends_authorization_and_order(ca: TlsCa, client: ClientV2) -> None:
    ca.books.conduct["caa.example.org"] = Conduct(verdict={"type": "urn:ietf:params:acme:error:caa", "detail": "no"})
    with pytest.raises(errors.ValidationError):
        issue(client, "caa.example.org")
    assert ca.books.orders_for("caa.example.org")[0].status == "invalid"
    assert ca.finalized() == []


def test_rules_hit_the_calls_that_they_name(ca: TlsCa, client: ClientV2) -> None:
    rule = ca.script.add(acts.refuse("serverInternal", 500), Endpoint.ORDER, per_order=True, first=2)
    order = client.new_order(a_request("a.example.org"))
    assert client._post_as_get(order.uri).ok  # noqa: SLF001
    with pytest.raises(messages.Error, match="serverInternal"):
        client._post_as_get(order.uri)  # noqa: SLF001
    assert client._post_as_get(order.uri).ok  # noqa: SLF001
    assert rule.hits == 1
    ca.script.add(acts.lost(), Endpoint.NEW_ORDER, name="b.example.org")
    with pytest.raises(requests.ConnectionError):
        client.new_order(a_request("b.example.org"))
    assert len(ca.pending("b.example.org")) == 1
    ca.script.add(acts.reset(), Endpoint.NEW_ORDER, name="c.example.org")
    with pytest.raises(requests.ConnectionError):
        client.new_order(a_request("c.example.org"))
    assert ca.pending("c.example.org") == []


def test_a_silent_answer_holds_up_nobody_else(ca: TlsCa, client: ClientV2) -> None:
    ca.script.add(acts.silence(), Endpoint.DIRECTORY)
    with pytest.raises(requests.ReadTimeout):
        requests.get(ca.directory_url, verify=str(ca.ca_file), timeout=0.3)
    issue(client, "a.example.org")


def test_a_limit_is_told_with_the_time_that_is_left(ca: TlsCa, client: ClientV2) -> None:
    ca.script.add(acts.limited(0.5, wait=lambda left: str(int(left) + 1)), Endpoint.NEW_ORDER, times=None)
    with pytest.raises(messages.Error, match="rateLimited"):
        client.new_order(a_request("a.example.org"))
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(messages.Error):
            client.new_order(a_request("a.example.org"))
            return
    pytest.fail("the limit never ended")


def test_a_deaf_server_takes_connections_and_says_nothing() -> None:
    port = free_port()
    with deaf_server(port), pytest.raises(requests.Timeout):
        requests.get(f"https://127.0.0.1:{port}/dir", verify=False, timeout=0.3)  # noqa: S501 # nobody answers
