from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from certcore.api import Role
from certcore.tokens import SERVICE_ROLES, TokenKind, TokenOrder
from registry.domain.access import Party, Principal, Refusal, is_own_token, may_make, may_revoke, same_person
from registry.domain.token import (
    OVERLAP,
    Token,
    Unfit,
    fault_of,
    holds_admin,
    ordered,
    public_id,
    rotated,
    worth_noting,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = Principal("root", "platform", frozenset({Role.ADMIN, Role.VIEWER}))


def made(*roles: Role, maker: Principal = ROOT, chain: Collection[str] = (), **changes: Any) -> Token:
    order = TokenOrder.model_validate({"subject": "ana", "owner": "shop", "roles": roles} | changes)
    return ordered(order, maker=maker, chain=chain, now=NOON)


def refused(maker: Principal, *roles: Role, **changes: Any) -> tuple[str, Refusal] | None:
    endless = bool(changes.get("endless"))
    return may_make(maker, made(*roles, maker=maker, **changes).principal, endless=endless)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_an_admin_makes_tokens(role: Role) -> None:
    maker = Principal("olga", "platform", frozenset({role}))
    assert refused(maker, Role.VIEWER) == ("", Refusal.NO_ADMIN)
    assert refused(replace(ROOT, kind=TokenKind.SESSION), Role.VIEWER) == ("", Refusal.SESSION)
    assert refused(ROOT, Role.VIEWER) is None


def test_nobody_gives_themselves_what_they_do_not_have() -> None:
    assert refused(ROOT, Role.APPROVER, subject="root") == ("", Refusal.OWN_ROLES)
    assert refused(ROOT, Role.VIEWER, Role.ADMIN, subject="root") is None
    helper = replace(ROOT, subject="helper", made_by=("root",))
    assert refused(helper, Role.APPROVER, subject="root") == ("", Refusal.OWN_ROLES)
    assert refused(ROOT, Role.APPROVER, subject="ana") is None


@pytest.mark.parametrize(("kind", "role"), list(product(["person", "workload", "service"], Role)))
def test_each_kind_has_roles_of_its_own(kind: str, role: Role) -> None:
    found = refused(ROOT, role, kind=kind, site="site1", service="syncer")
    if (kind == "service") != (role in SERVICE_ROLES):
        assert found is not None
        assert found[0] == "roles"
    elif kind == "workload" and role in {Role.APPROVER, Role.ADMIN}:
        assert found == ("roles", Refusal.WORKLOAD)
    else:
        assert found is None


@pytest.mark.parametrize(
    ("roles", "changes", "field"),
    [
        ([Role.ISSUER, Role.VIEWER], {}, "roles"),
        ([Role.ISSUER, Role.ADMIN], {}, "roles"),
        ([], {"kind": "service"}, "roles"),
        ([Role.DELIVERER], {"service": "syncer"}, "site"),
        ([Role.DELIVERER], {"site": "site1"}, "service"),
        ([Role.VIEWER], {"endless": True}, "endless"),
        ([Role.VIEWER], {"kind": "workload", "endless": True}, "endless"),
        ([Role.REQUESTER], {"subject": "bus-shop"}, "subject"),
        ([Role.VIEWER], {"subject": "page"}, "subject"),
    ],
)
def test_a_token_that_can_not_be_is_refused_by_its_field(
    roles: list[Role], changes: dict[str, Any], field: str
) -> None:
    found = refused(ROOT, *roles, **changes)
    assert found is not None
    assert found[0] == field


def test_a_token_ends_unless_it_is_a_service_s_and_was_asked_for_without_an_end() -> None:
    assert made(Role.VIEWER).expires_at == NOON + 90 * DAY
    assert made(Role.REQUESTER, kind="workload").expires_at == NOON + 90 * DAY
    assert made(Role.VIEWER, days=366).expires_at == NOON + 366 * DAY
    assert made(Role.ISSUER).expires_at == NOON + 366 * DAY
    assert made(Role.ISSUER, endless=True).expires_at is None
    with pytest.raises(ValueError, match="days"):
        made(Role.VIEWER, days=367)


def test_a_token_is_unfit_when_it_has_expired_or_was_revoked() -> None:
    token = made(Role.VIEWER, days=1)
    assert fault_of(token, NOON + DAY - timedelta(microseconds=1)) is None
    assert fault_of(token, NOON + DAY) is Unfit.EXPIRED
    assert fault_of(replace(token, revoked_at=NOON), NOON) is Unfit.REVOKED


def test_who_made_the_maker_made_the_token_too() -> None:
    maker = replace(ROOT, made_by=("boss",))
    assert made(Role.VIEWER, maker=maker, chain=("founder",)).principal.made_by == ("boss", "founder", "root")
    assert made(Role.VIEWER, subject="root").principal.made_by == ()
    assert made(Role.VIEWER, subject="boss", maker=maker).principal.made_by == ("root",)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Party("ana"), Party("ana"), True),
        (Party("ana"), Party("ben"), False),
        (Party("ana"), Party("ben", ["ana"]), True),
        (Party("ana", ["ben", "root"]), Party("ben"), True),
        # Both got their tokens from the same admin, who is neither.
        (Party("ana", ["root"]), Party("ben", ["root"]), False),
        # By a provider one may be called otherwise, and have made tokens under either name.
        (Party("u-1", also=["ana"]), Party("ana"), True),
        (Party("ana"), Party("u-1", also=["ana"]), True),
        (Party("u-1", also=["ana@example.org"]), Party("u-2", also=["ana@example.org"]), True),
        (Party("u-1", also=["ana"]), Party("ben", ["ana"]), True),
        (Party("ben", ["u-1"]), Party("u-1", also=["ana"]), True),
        (Party("u-1", ["root"], ["ana"]), Party("ben", ["root"], ["ben@example.org"]), False),
    ],
)
def test_two_are_one_person_where_one_made_the_other_s_token(one: Party, other: Party, *, same: bool) -> None:
    assert same_person(one, other) == same
    assert same_person(other, one) == same


def test_one_s_own_rotation_gives_no_longer_life() -> None:
    token = made(Role.VIEWER)
    fresh, old = rotated(token, by=token.principal, chain=(), now=NOON + 80 * DAY)
    assert (fresh.expires_at, fresh.principal.made_by) == (token.expires_at, token.principal.made_by)
    assert old.expires_at == NOON + 80 * DAY + OVERLAP
    fresh, old = rotated(token, by=token.principal, chain=(), now=NOON + 90 * DAY - OVERLAP / 2)
    assert old.expires_at == token.expires_at


def test_an_admin_s_rotation_begins_a_new_life_and_counts_as_making_it() -> None:
    token = made(Role.VIEWER)
    other = replace(ROOT, subject="vera")
    fresh, _ = rotated(token, by=other, chain=("boss",), now=NOON + 80 * DAY)
    assert fresh.expires_at == NOON + 170 * DAY
    assert fresh.principal.made_by == ("boss", "root", "vera")
    endless = made(Role.ISSUER, endless=True)
    fresh, old = rotated(endless, by=ROOT, chain=(), now=NOON)
    assert (fresh.expires_at, old.expires_at) == (None, NOON + OVERLAP)


def test_the_last_admin_stays() -> None:
    assert may_revoke(admins_left=0, is_admin=True) is Refusal.LAST_ADMIN
    assert may_revoke(admins_left=1, is_admin=True) is None
    assert may_revoke(admins_left=0, is_admin=False) is None
    admin = made(Role.ADMIN)
    assert holds_admin(admin, NOON)
    # It was rotated, and ends before anybody could do anything with it.
    _, old = rotated(admin, by=ROOT, chain=(), now=NOON)
    assert not holds_admin(old, NOON)
    assert not holds_admin(replace(admin, revoked_at=NOON), NOON)
    assert not holds_admin(made(Role.VIEWER), NOON)


def test_one_s_own_tokens_are_those_of_the_subject_and_a_page_has_only_itself() -> None:
    ana = Principal("ana", "shop", frozenset(), token_id="1")
    assert is_own_token(ana, replace(ana, token_id="2", owner="press"))
    assert not is_own_token(ana, replace(ana, subject="ben"))
    assert not is_own_token(ana, replace(ana, issuer="https://login.example.org"))
    page = Principal("page", "page", frozenset(), kind=TokenKind.SESSION, token_id="3")
    assert is_own_token(page, page)
    assert not is_own_token(page, replace(page, token_id="4"))


def test_its_use_is_worth_a_note_once_an_hour() -> None:
    token = made(Role.VIEWER)
    assert worth_noting(token, NOON)
    used = replace(token, last_used_at=NOON)
    assert not worth_noting(used, NOON + timedelta(minutes=59))
    assert worth_noting(used, NOON + timedelta(hours=1))


def test_the_public_id_tells_nothing_of_the_hash() -> None:
    assert public_id("a" * 64) != public_id("b" * 64)
    assert "aaaa" not in public_id("a" * 64)
