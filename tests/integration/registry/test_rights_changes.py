"""Changes of rights that policy asks a second admin about; the registry's own objects, no process."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from certcore.api import Role
from certcore.policy.document import Policy
from certcore.policy.file import policy_digest
from certcore.tokens import RightsChangeView, RightsState, TokenKind, TokenOrder, TokenView
from registry.adapters.store.audit import AuditFilter
from registry.domain.access import Principal
from registry.domain.errors import ConflictError, ForbiddenError, NotFoundError
from registry.domain.rights_change import RightsChange
from registry.handlers.http.auth import hash_token
from tests.integration.registry.world import PROVIDER, World, schema, world
from tests.policies import open_policy

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ADMIN = frozenset({Role.ADMIN})


@pytest_asyncio.fixture(loop_scope="module")
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(await schema(tmp_path), "rights") as made:
        await hold(made, {"roles": ["operator", "admin"], "pending": "2d"})
        yield made


async def hold(made: World, second_admin: dict[str, Any] | None) -> None:
    changes = {"second_admin": second_admin} if second_admin is not None else {}
    read = Policy.model_validate({**open_policy(), **changes})
    document = read.model_dump_json(exclude_defaults=True)
    await made.store.write(lambda transaction: transaction.policies.keep(policy_digest(read), document, now=made.now))


async def admin(made: World, subject: str, **changes: Any) -> Principal:
    """Somebody with a token of their own, which nobody here made."""
    principal = replace(Principal(subject, "platform", ADMIN), **changes)

    def work(transaction: Any) -> Principal:
        token: Principal = transaction.tokens.add(
            hash_token(f"{subject}{changes}"), principal, now=made.now
        ).principal
        return token

    return await made.store.write(work)


def order(subject: str = "carol", *roles: str, **changes: Any) -> TokenOrder:
    return TokenOrder.model_validate(
        {"subject": subject, "owner": "shop", "roles": roles or ("operator",), **changes}
    )


async def asked(made: World, by: Principal, given: TokenOrder | None = None) -> str:
    change = await made.tokens.make(given or order(), by)
    assert isinstance(change, RightsChangeView)
    assert change.state is RightsState.WAITING
    return change.id


async def stored(made: World, *, ended: bool = True) -> list[RightsChange]:
    return await made.store.read(
        lambda transaction: transaction.rights_changes.page(now=made.now, limit=9, ended=ended)
    )


async def audited(made: World) -> list[tuple[str, str]]:
    rows = await made.store.read(lambda transaction: transaction.audit.page(AuditFilter(), before=None, limit=100))
    return [(entry.actor, entry.action) for _, entry in reversed(rows) if entry.action.endswith(("rights", "token"))]


async def test_a_token_is_made_once_another_admin_agreed_and_told_to_who_asked_alone(made: World) -> None:
    alice, bob = await admin(made, "alice"), await admin(made, "bob")
    change = await asked(made, alice)
    with pytest.raises(ConflictError, match="is waiting"):
        await made.second_admin.take(change, alice)
    agreed = await made.second_admin.confirm(change, bob)
    assert (agreed.state, agreed.decided_by) == (RightsState.CONFIRMED, "bob")
    with pytest.raises(ForbiddenError, match="handed to the admin who asked"):
        await made.second_admin.take(change, bob)
    token = await made.second_admin.take(change, alice)
    found = await made.store.read(lambda transaction: transaction.tokens.get(token.id))
    assert found is not None
    assert (found.principal.subject, found.principal.made_by) == ("carol", ("alice",))
    assert found.principal.roles == {Role.OPERATOR}
    with pytest.raises(ConflictError, match="is done"):
        await made.second_admin.take(change, alice)
    [kept] = await stored(made)
    assert (kept.state, kept.made_id) == (RightsState.DONE, token.id)
    assert await stored(made, ended=False) == []
    assert await audited(made) == [
        ("alice", "ask for rights"),
        ("bob", "confirm rights"),
        ("alice", "make token"),
    ]


async def test_what_policy_does_not_name_is_one_admin_s_to_do(made: World) -> None:
    alice = await admin(made, "alice")
    assert isinstance(await made.tokens.make(order("carol", "viewer", "requester"), alice), TokenView)
    await hold(made, None)
    assert isinstance(await made.tokens.make(order(), alice), TokenView)
    assert await stored(made) == []


async def test_nobody_is_the_second_person_of_what_they_asked_for(made: World) -> None:
    alice = await admin(made, "alice")
    # A second token, a token that alice made, the provider's account of that name: none is another person.
    second = await admin(made, "alice", owner="shop")
    puppet = await admin(made, "puppet", made_by=("alice",))
    session = await admin(made, "u-1", issuer=PROVIDER, also=frozenset({"alice"}))
    change = await asked(made, alice)
    for one in (alice, second, puppet, session):
        with pytest.raises(ForbiddenError, match="who asked for it can't confirm it"):
            await made.second_admin.confirm(change, one)
    program = replace(await admin(made, "tool"), kind=TokenKind.WORKLOAD)
    for act in (made.second_admin.confirm(change, program), made.second_admin.refuse(change, program, reason="no")):
        with pytest.raises(ForbiddenError, match="only people"):
            await act
    [kept] = await stored(made)
    assert kept.state is RightsState.WAITING


async def test_nobody_confirms_what_is_for_themselves(made: World) -> None:
    alice, carol = await admin(made, "alice"), await admin(made, "carol")
    change = await asked(made, alice, order("carol", "admin"))
    with pytest.raises(ForbiddenError, match="whom it is for"):
        await made.second_admin.confirm(change, carol)


async def test_a_life_given_to_another_s_token_waits_and_one_s_own_rotation_does_not(made: World) -> None:
    alice, bob = await admin(made, "alice"), await admin(made, "bob")
    dave = await admin(made, "dave")
    assert isinstance(await made.tokens.rotate(dave.token_id, dave), TokenView)
    change = await made.tokens.rotate(dave.token_id, alice)
    assert isinstance(change, RightsChangeView)
    assert (change.act, change.token_id, change.subject) == ("rotate", dave.token_id, "dave")
    await made.second_admin.confirm(change.id, bob)
    token = await made.second_admin.take(change.id, alice)
    assert token.subject == "dave"


async def test_tokens_end_at_once_unless_policy_asks_about_that_too(made: World) -> None:
    alice, bob = await admin(made, "alice"), await admin(made, "bob")
    first, second = await admin(made, "dave"), await admin(made, "erin")
    assert await made.tokens.revoke(first.token_id, alice) is None
    await hold(made, {"roles": ["admin"], "revoking": True})
    change = await made.tokens.revoke(second.token_id, alice)
    assert change is not None

    async def ended() -> bool:
        found = await made.store.read(lambda transaction: transaction.tokens.get(second.token_id))
        assert found is not None
        return found.revoked_at is not None

    assert not await ended()
    assert (await made.second_admin.confirm(change.id, bob)).state is RightsState.DONE
    assert await ended()
    # One's own is given up at once, whatever the policy asks.
    assert await made.tokens.revoke(bob.token_id, bob) is None


async def test_what_is_refused_or_too_old_comes_to_nothing(made: World) -> None:
    alice, bob = await admin(made, "alice"), await admin(made, "bob")
    no, late, agreed = [await asked(made, alice) for _ in range(3)]
    assert (await made.second_admin.refuse(no, bob, reason="who is carol?")).reason == "who is carol?"
    await made.second_admin.confirm(agreed, bob)
    made.now += timedelta(days=2)
    for change in (no, late):
        with pytest.raises(ConflictError, match=r"is refused|is expired"):
            await made.second_admin.confirm(change, bob)
    with pytest.raises(ConflictError, match="is expired"):
        await made.second_admin.take(agreed, alice)
    await made.second_admin.expire()
    assert {kept.id: kept.state for kept in await stored(made)} == {
        no: RightsState.REFUSED,
        late: RightsState.EXPIRED,
        agreed: RightsState.EXPIRED,
    }
    assert (await audited(made)).count(("policy", "expire rights")) == 2
    await made.second_admin.expire()
    assert (await audited(made)).count(("policy", "expire rights")) == 2
    with pytest.raises(NotFoundError):
        await made.second_admin.confirm("nowhere", bob)


async def test_what_can_not_be_is_not_asked_for_and_is_judged_again_when_it_is_taken(made: World) -> None:
    alice, bob = await admin(made, "alice"), await admin(made, "bob")
    with pytest.raises(ForbiddenError, match="nobody gives more roles to themselves"):
        await made.tokens.make(order("alice", "operator"), alice)
    change = await asked(made, alice)
    await made.second_admin.confirm(change, bob)
    with pytest.raises(ForbiddenError, match="made by who has the role admin"):
        await made.second_admin.take(change, replace(alice, roles=frozenset({Role.VIEWER})))
