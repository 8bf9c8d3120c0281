"""Signing in by a provider, from the browser's leaving to who came back, without a network."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from registry.adapters.oidc.provider import ProviderAwayError
from registry.domain.id_token import LoginFault, LoginRefusedError
from registry.domain.identity import Identity, Named
from registry.domain.login import Answer, Login
from registry.handlers.sign_in import SignIn
from tests.unit.registry.adapters.oidc.a_provider import (
    CLIENT,
    ISSUER,
    AProvider,
    an_ec_key,
    an_rsa_key,
    encoded,
)


class Door:
    def __init__(self, at: AProvider, client: Any = CLIENT) -> None:
        self.at = at
        self.provider = at.provider(client)
        self.sign_in = SignIn(
            provider=self.provider,
            clock=at.clock,
            issuer=ISSUER,
            client_id="certbus",
            audience="certbus",
            named=Named(),
        )

    async def leave(self, code: str = "c") -> Login:
        login, url = await self.sign_in.begin(None)
        asked = parse_qs(urlsplit(url).query)
        assert asked["code_challenge_method"] == ["S256"]
        self.at.gives(code, nonce=asked["nonce"][0], challenge=asked["code_challenge"][0])
        return login

    async def come_back(self, login: Login, **answer: Any) -> Identity:
        return await self.sign_in.identity(login, Answer(**{"state": login.state, "code": "c"} | answer))


async def refused(door: Door, **answer: Any) -> LoginFault:
    login = await door.leave()
    with pytest.raises(LoginRefusedError) as refusal:
        await door.come_back(login, **answer)
    assert login.verifier not in str(refusal.value)
    return refusal.value.fault


async def test_who_comes_back_is_who_the_provider_says() -> None:
    door = Door(AProvider(claims={"email": "Ana@example.org", "email_verified": True}))
    identity = await door.come_back(await door.leave())
    assert identity == Identity(
        ISSUER, "u-1", "Ana", frozenset({"shop-people"}), frozenset({"Ana@example.org", "ana@example.org", "ana"})
    )


@pytest.mark.parametrize(
    ("claims", "also"),
    [
        ({"email": "ana@example.org", "email_verified": False}, set()),
        ({"email": "ana@example.org", "email_verified": "true"}, set()),
        ({"email": "ana@example.org"}, set()),
        ({"preferred_username": "Ana"}, {"Ana", "ana"}),
        ({"preferred_username": "ana@example.org"}, {"ana@example.org", "ana"}),
        ({"preferred_username": 7, "email": None, "email_verified": True}, set()),
    ],
)
async def test_other_names_are_those_that_the_provider_vouches_for(claims: dict[str, Any], also: set[str]) -> None:
    door = Door(AProvider(claims=claims))
    assert (await door.come_back(await door.leave())).also == also


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({"aud": "another"}, LoginFault.AUDIENCE),
        ({"aud": []}, LoginFault.AUDIENCE),
        ({"aud": None}, LoginFault.AUDIENCE),
        ({"aud": ["certbus", "another"]}, LoginFault.PARTY),
        ({"aud": ["certbus", "another"], "azp": "another"}, LoginFault.PARTY),
        ({"azp": "another"}, LoginFault.PARTY),
        ({"iss": "https://id.example.test/other"}, LoginFault.ISSUER),
        ({"iss": f"{ISSUER}/"}, LoginFault.ISSUER),
        ({"iss": None}, LoginFault.ISSUER),
        ({"exp": 0}, LoginFault.EXPIRED),
        ({"exp": None}, LoginFault.EXPIRED),
        ({"exp": "9999999999"}, LoginFault.EXPIRED),
        ({"exp": True}, LoginFault.EXPIRED),
        ({"nbf": 9_999_999_999}, LoginFault.EARLY),
        ({"nbf": "soon"}, LoginFault.EARLY),
        ({"iat": 9_999_999_999}, LoginFault.EARLY),
        ({"iat": None}, LoginFault.FORM),
        ({"iat": True}, LoginFault.FORM),
        ({"nonce": None}, LoginFault.NONCE),
        ({"nonce": "another"}, LoginFault.NONCE),
        ({"nonce": 7}, LoginFault.NONCE),
        ({"at_hash": encoded(b"0" * 16)}, LoginFault.HASH),
        ({"sub": None}, LoginFault.SUBJECT),
        ({"sub": ""}, LoginFault.SUBJECT),
        ({"sub": "x" * 64}, LoginFault.SUBJECT),
        ({"sub": "page"}, LoginFault.SUBJECT),
        ({"sub": "bus-shop"}, LoginFault.SUBJECT),
        ({"sub": "site:one"}, LoginFault.SUBJECT),
        ({"sub": "a\nb"}, LoginFault.SUBJECT),
        ({"groups": {"shop": True}}, LoginFault.GROUPS),
        ({"groups": [["shop"]]}, LoginFault.GROUPS),
    ],
)
async def test_claims_that_do_not_hold_sign_nobody_in(claims: dict[str, Any], fault: LoginFault) -> None:
    assert await refused(Door(AProvider(claims=claims))) is fault


@pytest.mark.parametrize(
    "claims", [{"aud": ["certbus"]}, {"aud": ["certbus", "b"], "azp": "certbus"}, {"at_hash": None}]
)
async def test_other_forms_of_good_claims_are_taken(claims: dict[str, Any]) -> None:
    door = Door(AProvider(claims=claims))
    assert (await door.come_back(await door.leave())).subject == "u-1"


def _unsigned(claims: dict[str, Any]) -> str:
    return f"{encoded({'alg': 'none'})}.{encoded(claims)}."


def _none_beside_a_signature(claims: dict[str, Any]) -> str:
    return f"{encoded({'alg': 'none', 'kid': 'one'})}.{encoded(claims)}.{encoded(b'x' * 256)}"


def _changed(claims: dict[str, Any]) -> str:
    head, _, signature = AProvider().signed(claims).split(".")
    return f"{head}.{encoded(claims | {'sub': 'root'})}.{signature}"


def _own_key_in_the_header(claims: dict[str, Any]) -> str:
    mine = an_rsa_key("mine")
    return AProvider().signed(claims, mine, kid="one", jwk=mine.as_dict(private=False))


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (_unsigned, LoginFault.SIGNATURE),
        (_none_beside_a_signature, LoginFault.SIGNATURE),
        (AProvider().signed_by_the_public_half, LoginFault.SIGNATURE),
        (_changed, LoginFault.SIGNATURE),
        (_own_key_in_the_header, LoginFault.SIGNATURE),
        (lambda claims: AProvider().signed(claims, an_rsa_key("mine")), LoginFault.KEY),
        (lambda claims: AProvider().signed(claims, an_ec_key("one")), LoginFault.KEY),
        (lambda claims: AProvider().signed(claims, an_rsa_key("one"), kid="../one"), LoginFault.KEY),
        (lambda _: "e30.e30.e30", LoginFault.FORM),
        (lambda _: "\xfc", LoginFault.FORM),
        (lambda _: f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.e30", LoginFault.FORM),
        (lambda _: f"{encoded({'alg': 'RS256', 'kid': 'one'})}.{encoded(b'[]')}.e30", LoginFault.SIGNATURE),
    ],
)
async def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(
    token: Callable[[dict[str, Any]], str], fault: LoginFault
) -> None:
    assert await refused(Door(AProvider(token=token))) is fault


async def test_an_answer_to_another_login_signs_nobody_in() -> None:
    door = Door(AProvider())
    assert await refused(door, state="") is LoginFault.STATE
    assert await refused(door, state=(await door.leave()).state) is LoginFault.STATE
    with pytest.raises(LoginRefusedError, match="wasn't begun here"):
        await door.sign_in.identity(None, Answer(Login("x").state, "c"))
    # The state alone is of no use without the verifier that this browser has.
    first, second = await door.leave("first"), await door.leave("second")
    with pytest.raises(LoginRefusedError, match="invalid_grant"):
        await door.come_back(second, code="first")
    assert first.verifier != second.verifier


async def test_a_code_signs_in_once() -> None:
    door = Door(AProvider())
    login = await door.leave()
    await door.come_back(login)
    with pytest.raises(LoginRefusedError, match="gives no token for this sign-in: invalid_grant") as refusal:
        await door.come_back(login)
    assert "is used" not in str(refusal.value)


async def test_a_refusal_of_the_provider_is_told_by_its_word_alone() -> None:
    door = Door(AProvider())
    for error, told in (("access_denied", "access_denied"), ("<script>", "it doesn't say why")):
        login = await door.leave()
        with pytest.raises(LoginRefusedError, match=f"signs nobody in: {told}") as refusal:
            await door.come_back(login, error=error)
        assert refusal.value.fault is LoginFault.REFUSED


@pytest.mark.parametrize(
    ("told", "required", "is_taken"),
    [
        (None, False, True),
        (ISSUER, False, True),
        (ISSUER, True, True),
        ("https://evil.example.test", False, False),
        ("https://evil.example.test", True, False),
        (None, True, False),
    ],
)
async def test_an_answer_of_another_issuer_is_no_answer(told: str | None, required: bool, is_taken: bool) -> None:  # noqa: FBT001 # a case
    door = Door(AProvider(metadata={"authorization_response_iss_parameter_supported": required}))
    if is_taken:
        assert (await door.come_back(await door.leave(), issuer=told)).subject == "u-1"
    else:
        assert await refused(door, issuer=told) is LoginFault.ISSUER


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example.test"},
        {"token_endpoint": "http://id.example.test/token"},
        {"token_endpoint": "https://user@id.example.test/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
async def test_metadata_that_lead_astray_are_not_taken(metadata: dict[str, Any]) -> None:
    with pytest.raises(ProviderAwayError):
        await Door(AProvider(metadata=metadata)).leave()


async def test_keys_that_prove_nothing_are_left_out() -> None:
    weak = AProvider(keys=[an_rsa_key("one")])
    key = an_rsa_key("one").as_dict(private=False)
    for bad in (
        {**key, "use": "enc"},
        {**key, "kty": "oct", "k": "c2VjcmV0"},
        {**key, "n": key["n"][:100]},
        {"kty": "RSA"},
    ):
        published = AProvider(keys=[])
        published.answer = _with_keys(published, [bad])  # type: ignore[method-assign]
        with pytest.raises(ProviderAwayError, match="no key that can be used"):
            await Door(published).leave()
    assert (await Door(weak).leave()).nonce


def _with_keys(at: AProvider, keys: list[Any]) -> Any:
    usual = at.answer

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"keys": keys}) if request.url.path == "/keys" else usual(request)

    return answer


async def test_a_new_key_is_found_and_a_flood_of_unknown_ones_asks_but_rarely() -> None:
    at = AProvider()
    door = Door(at)
    await door.come_back(await door.leave())
    at.keys = [an_rsa_key("two")]
    # Just now it was read: again only after a while.
    assert await refused(door) is LoginFault.KEY
    at.now += timedelta(seconds=31)
    await door.come_back(await door.leave())
    assert at.reads == 2
    at.now += timedelta(seconds=31)
    at.token = lambda claims: AProvider().signed(claims, an_rsa_key("mine"))
    for _ in range(20):
        assert await refused(door) is LoginFault.KEY
    assert at.reads == 3


async def test_a_provider_that_is_away_is_asked_again_and_what_it_published_still_counts() -> None:
    at = AProvider(away=True)
    door = Door(at)
    for _ in range(3):
        with pytest.raises(ProviderAwayError, match="nobody can sign in now: the provider doesn't answer"):
            await door.leave()
    assert "doesn't answer" in str(door.provider.findings()[0].detail)
    assert door.provider.findings()[0].problem is None
    at.away = False
    at.now += timedelta(seconds=31)
    await door.provider.look()
    assert door.provider.findings()[0].detail is None
    login = await door.leave()
    at.away, at.now = True, at.now + timedelta(hours=2)
    await door.provider.look()
    assert door.provider.findings()[0].detail is not None
    at.away = False
    assert (await door.come_back(login)).subject == "u-1"


async def test_the_secret_goes_where_the_provider_wants_it_and_a_public_client_has_none(tmp_path: Path) -> None:
    at = AProvider()
    door = Door(at)
    await door.come_back(await door.leave())
    assert (at.posted["client_id"], at.authorization) == ("certbus", "")
    (tmp_path / "secret").write_text("p:ä s\n")
    client = replace(CLIENT, secret_file=tmp_path / "secret")
    door = Door(at, client)
    await door.come_back(await door.leave())
    assert at.basic() == ("certbus", "p:ä s")
    assert "client_secret" not in at.posted
    (tmp_path / "secret").unlink()
    with pytest.raises(ProviderAwayError, match="oidc_client_secret_file can't be read: FileNotFoundError"):
        await door.come_back(await door.leave())
    (tmp_path / "secret").write_text("p:ä s\n")
    at.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    door = Door(at, client)
    await door.come_back(await door.leave())
    assert (at.posted["client_secret"], at.authorization) == ("p:ä s", "")
