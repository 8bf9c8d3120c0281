"""Signing in from a machine without a browser, at a provider that keeps RFC 8628; no process, no network."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from certcore.proof_key import challenge_of
from certcore.tokens import DeviceOffer, DevicePoll, DeviceWait, TokenView
from registry.domain.errors import TooManyError
from registry.domain.id_token import LoginFault, LoginRefusedError
from registry.domain.identity import Named
from registry.domain.login import Answer, CommandDoor
from registry.handlers.device_sign_in import DeviceSignIn
from registry.handlers.http.auth import hash_token, new_token
from registry.handlers.sessions import Sessions
from registry.handlers.sign_in import SignIn
from tests.integration.registry.world import World, schema, world
from tests.unit.registry.adapters.oidc.a_provider import ISSUER, AProvider

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

VERIFIER = "v" * 43
DEVICE = {"device_authorization_endpoint": "https://id.example.test/device"}


class Doors:
    """What a registry signs in by, and its provider, by one clock."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.at = AProvider(metadata=DEVICE, now=made.now)
        provider = self.at.provider()
        self.sign_in = SignIn(
            provider=provider,
            clock=self.at.clock,
            issuer=ISSUER,
            client_id="certbus",
            audience="certbus",
            named=Named(),
        )
        self.sessions = Sessions(
            store=made.store,
            clock=self.at.clock,
            lasts=timedelta(hours=8),
            new_token=new_token,
            hash_token=hash_token,
        )
        self.devices = DeviceSignIn(
            store=made.store,
            provider=provider,
            sign_in=self.sign_in,
            sessions=self.sessions,
            clock=self.at.clock,
            most=3,
        )

    def later(self, seconds: float) -> None:
        self.at.now += timedelta(seconds=seconds)

    async def begin(self) -> DeviceOffer:
        return await self.devices.begin(verifier=VERIFIER)

    async def poll(self, offer: DeviceOffer, verifier: str = VERIFIER) -> TokenView | DeviceWait:
        return await self.devices.poll(DevicePoll(handle=offer.handle, verifier=verifier))

    async def refused(self, offer: DeviceOffer, **changes: Any) -> LoginFault:
        with pytest.raises(LoginRefusedError) as refusal:
            await self.poll(offer, **changes)
        return refusal.value.fault

    async def principal(self, token: str) -> Any:
        return await self.made.store.read(
            lambda transaction: transaction.tokens.principal(hash_token(token), self.at.now)
        )


@pytest_asyncio.fixture(loop_scope="module")
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with world(await schema(tmp_path), "device") as made:
        yield Doors(made)


async def test_who_says_yes_at_another_machine_is_who_they_are_on_the_page(doors: Doors) -> None:
    offer = await doors.begin()
    assert (offer.user_code, offer.url) == ("WDJB-0001", "https://id.example.test/device")
    assert (offer.interval_s, offer.expires_s) == (5, 600)
    doors.later(5)
    assert await doors.poll(offer) == DeviceWait(wait_s=5)
    doors.at.devices["device-0"].subject = "u-1"
    doors.later(5)
    made = await doors.poll(offer)
    assert isinstance(made, TokenView)
    # The same person by the page's way.
    login, url = await doors.sign_in.begin(CommandDoor(40000, challenge_of(VERIFIER), "s" * 43))
    query = dict(httpx.URL(url).params)
    doors.at.gives("c", nonce=query["nonce"], challenge=query["code_challenge"])
    identity = await doors.sign_in.identity(login, Answer(login.state, "c"))
    page = await doors.sessions.open_command(identity)
    by_device, by_page = await doors.principal(made.token), await doors.principal(page.token)
    assert by_device is not None
    assert by_device.__dict__ | {"token_id": ""} == by_page.__dict__ | {"token_id": ""}
    assert await doors.refused(offer) is LoginFault.CODE


async def test_the_provider_is_asked_as_seldom_as_it_says(doors: Doors) -> None:
    offer, began = await doors.begin(), doors.at.now
    for _ in range(4):
        assert await doors.poll(offer) == DeviceWait(wait_s=5 - (doors.at.now - began).total_seconds())
        doors.later(1)
    assert doors.at.polls == []
    doors.later(1)
    # Two at once are one call.
    answers = await asyncio.gather(doors.poll(offer), doors.poll(offer))
    assert [type(answer) for answer in answers] == [DeviceWait, DeviceWait]
    assert len(doors.at.polls) == 1
    # From somewhere else it was asked meanwhile: it wants five seconds more, and then always.
    doors.later(4)
    doors.at.devices["device-0"].asked_at = doors.at.now
    doors.later(1)
    assert await doors.poll(offer) == DeviceWait(wait_s=10)
    doors.later(9)
    assert await doors.poll(offer) == DeviceWait(wait_s=1)
    doors.later(1)
    assert await doors.poll(offer) == DeviceWait(wait_s=10)
    # One that is away is asked half as often, at least once a minute.
    doors.at.away = True
    for wait_s in (20, 40, 60, 60):
        doors.later(60)
        assert await doors.poll(offer) == DeviceWait(wait_s=wait_s)


async def test_who_says_no_or_comes_too_late_is_signed_in_nowhere(doors: Doors) -> None:
    denied, late, provider_s = await doors.begin(), await doors.begin(), await doors.begin()
    doors.at.devices["device-0"].denied = True
    doors.at.devices["device-2"].expires_at = doors.at.now
    doors.later(5)
    assert await doors.refused(denied) is LoginFault.REFUSED
    assert await doors.refused(denied) is LoginFault.CODE
    assert await doors.refused(provider_s) is LoginFault.REFUSED
    doors.later(600)
    asked = len(doors.at.polls)
    assert await doors.refused(late) is LoginFault.CODE
    assert len(doors.at.polls) == asked


async def test_only_the_command_that_began_gets_the_session(doors: Doors) -> None:
    offer = await doors.begin()
    doors.at.devices["device-0"].subject = "u-1"
    doors.later(5)
    assert await doors.refused(offer, verifier="w" * 43) is LoginFault.CODE
    unknown = offer.model_copy(update={"handle": "h" * 43})
    assert await doors.refused(unknown) is LoginFault.CODE
    assert doors.at.polls == []
    answers = await asyncio.gather(*(doors.poll(offer) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(TokenView) == 1


@pytest.mark.parametrize(
    "claims", [{"aud": "another"}, {"iss": "https://evil.example.test"}, {"sub": ""}, {"exp": 1}]
)
async def test_a_token_that_does_not_hold_signs_nobody_in(doors: Doors, claims: dict[str, Any]) -> None:
    offer = await doors.begin()
    doors.at.devices["device-0"].subject, doors.at.claims = "u-1", claims
    doors.later(5)
    assert await doors.refused(offer) in {
        *(LoginFault.AUDIENCE, LoginFault.ISSUER, LoginFault.SUBJECT, LoginFault.EXPIRED)
    }
    assert await doors.refused(offer) is LoginFault.CODE


@pytest.mark.parametrize(
    "answer",
    [
        {"verification_uri": "http://id.example.test/device"},
        {"verification_uri": "javascript:alert(1)"},
        {"user_code": "\x1b[2JABCD"},
        {"user_code": ""},
        {"device_code": ""},
        {"expires_in": 0},
    ],
)
async def test_an_answer_that_can_not_be_shown_or_used_begins_nothing(doors: Doors, answer: dict[str, Any]) -> None:
    doors.at.device_answer = answer
    with pytest.raises(LoginRefusedError) as refusal:
        await doors.begin()
    assert refusal.value.fault is LoginFault.FORM


async def test_a_provider_without_devices_is_told_so_and_too_many_wait_for_their_turn(doors: Doors) -> None:
    for _ in range(3):
        await doors.begin()
    with pytest.raises(TooManyError):
        await doors.begin()
    doors.later(1800)
    await doors.begin()
    doors.at.metadata = {}
    doors.later(7200)
    with pytest.raises(LoginRefusedError, match="without a browser"):
        await doors.begin()


async def test_nothing_that_is_stored_leads_to_the_provider_s_code(doors: Doors) -> None:
    offer = await doors.begin()
    login = await doors.made.store.write(lambda transaction: transaction.device_logins.hold(hash_token(offer.handle)))
    assert login is not None
    assert "device-0" not in repr(login)
    assert offer.handle not in repr(login) + repr(offer)
