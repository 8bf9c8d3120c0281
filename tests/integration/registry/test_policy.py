"""Policy in the registry: kept, replaced, cited by decisions; approvals by several people, which expire and end."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from certcore.api import CertificateState, RequestState, Role
from certcore.policy.document import Policy
from certcore.policy.file import policy_digest
from certcore.rejection import RejectedError
from certcore.targets import Claim
from certcore.tokens import TokenKind
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.policy_file import PolicyFile
from registry.adapters.store import Transaction
from registry.domain.access import Principal
from registry.domain.certificate import Certificate, Request
from registry.domain.decision import Decision
from registry.domain.errors import ConflictError, ForbiddenError
from registry.handlers.alarms import Alarms
from registry.handlers.approval_watch import ApprovalWatch
from registry.handlers.levels import issue_orders
from registry.handlers.policies import Policies
from tests.authority import Authority
from tests.integration.registry.world import ANA, KINDS, NOON, SPEC, World, schema, world
from tests.policies import open_policy

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

POLICY: Final = open_policy()


@pytest_asyncio.fixture(loop_scope="module")
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(await schema(tmp_path), "policy") as made:
        yield made


def strict(**rule: Any) -> dict[str, Any]:
    """Public names need one of security and one of network."""
    groups = {"security": ["ben", "eve"], "network": ["nat", "eve"]}
    approvals = [{"group": "security"}, {"group": "network"}]
    public = {"name": "strict", "match": {"exposure": "public"}, "approvals": approvals, **rule}
    return {**POLICY, "groups": groups, "rules": [public, POLICY["rules"][0]]}


async def hold(made: World, policy: dict[str, Any]) -> str:
    read = Policy.model_validate(policy)
    digest, document = policy_digest(read), read.model_dump_json(exclude_defaults=True)
    await made.store.write(lambda transaction: transaction.policies.keep(digest, document, now=made.now))
    return digest


async def ask(made: World, name: str = "pay", *, by: Principal = ANA, **changes: Any) -> Decision:
    host = f"{name}.example.test"
    body = {
        "name": name,
        "dns_names": [host],
        "exposure": "public",
        "targets": [{"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["pay"], "secret": "tls"}],
        "proof": "none",
        **changes,
    }
    spec = made.door.read(json.dumps(body).encode())
    return await made.store.write(lambda transaction: made.requests.submit(transaction, spec, owner=by.owner, by=by))


def somebody(name: str, team: str = "security") -> Principal:
    return Principal(name, team, frozenset({Role.APPROVER}))


async def approve(made: World, request: Request, name: str, team: str = "security") -> Decision:
    return await made.store.write(
        lambda transaction: made.requests.approve(transaction, request.id, person=somebody(name, team), comment="")
    )


async def deny(made: World, request: Request, reason: str) -> Decision:
    return await made.store.write(
        lambda transaction: made.requests.deny(transaction, request.id, person=somebody("ben"), reason=reason)
    )


async def present(made: World, request: Request) -> Request:
    found = await made.store.read(lambda transaction: transaction.requests.get(request.id))
    assert found is not None
    return found


async def test_without_a_policy_nothing_is_allowed_and_readiness_says_so(made: World) -> None:
    def forget(transaction: Transaction) -> None:
        transaction._connection.exec_driver_sql("DELETE FROM policy")  # noqa: SLF001 # as if there never was one

    await made.store.write(forget)
    with pytest.raises(RejectedError) as refused:
        await ask(made)
    assert [item.field for item in refused.value.rejections] == ["policy"]
    policies = Policies(store=made.store, clock=made.clock, file=None)
    await policies.load()
    assert policies.findings()[0].detail == "none: no request is allowed"


async def test_two_groups_approve_each_by_a_person_of_its_own(made: World) -> None:
    digest = await hold(made, strict())
    asked = (await ask(made)).request
    assert asked.reason == "needs 1 of security and 1 of network, other than the requester (rule strict)"
    with pytest.raises(ForbiddenError, match="none of the groups"):
        await approve(made, asked, "dan")
    first = await approve(made, asked, "eve")
    assert first.certificate.state is CertificateState.WAITING_FOR_APPROVAL
    assert (await present(made, asked)).reason == "approved by eve; still needs 1 of network"
    assert (await stored(made)).reason == "approved by eve; still needs 1 of network"
    with pytest.raises(ConflictError, match="approved the request before"):
        await approve(made, asked, "eve")
    second = await approve(made, asked, "nat")
    assert second.approval is not None
    assert (second.approval.approved_by, second.approval.policy_digest) == (("eve", "nat"), digest)
    assert second.certificate.state is CertificateState.APPROVED
    given = await made.store.read(lambda transaction: transaction.votes.given(asked.id))
    assert [item.person for item in given] == ["eve", "nat"]


async def test_what_a_workload_asked_is_decided_by_another_team(made: World) -> None:
    bus = Principal("bus-shop", "shop", frozenset(), kind=TokenKind.WORKLOAD)
    asked = (await ask(made, by=bus)).request
    with pytest.raises(ForbiddenError, match="workload of your own team"):
        await approve(made, asked, "ana", "shop")
    assert (await approve(made, asked, "ben")).approval is not None


async def test_a_request_is_approved_on_the_terms_that_hold_then(made: World) -> None:
    asked = (await ask(made)).request
    digest = await hold(made, strict())
    assert (await approve(made, asked, "ben")).approval is None
    done = await approve(made, asked, "nat")
    assert done.approval is not None
    assert (done.approval.policy, done.approval.policy_digest) == ("strict", digest)


async def test_nobody_approves_what_policy_refuses_by_then(made: World) -> None:
    asked = (await ask(made)).request
    await hold(made, open_policy(public=["example.org"]))
    with pytest.raises(ConflictError, match=r"refuses it now: dns_names\.0 lies in no zone"):
        await approve(made, asked, "ben")
    assert (await present(made, asked)).state == RequestState.WAITING
    denied = await deny(made, asked, "not ours")
    assert denied.certificate.state is CertificateState.DENIED


async def test_a_request_expires_once_and_gives_its_place_back(made: World) -> None:
    await hold(made, strict(pending="2d"))
    asked = (await ask(made)).request
    with pytest.raises(RejectedError, match="is the place of certificate pay of team shop"):
        await ask(made, "other", by=somebody("lia", "treasury"))
    made.now += timedelta(days=1, hours=23)
    await made.requests.expire()
    assert (await present(made, asked)).state == RequestState.WAITING
    made.now += timedelta(hours=2)
    await made.requests.expire()
    await made.requests.expire()
    found = await present(made, asked)
    assert (found.state, found.reason) == (RequestState.EXPIRED, "expired: nobody decided within 49h")
    with pytest.raises(ConflictError, match="it is expired"):
        await approve(made, asked, "ben")
    await ask(made, "other", by=somebody("lia", "treasury"))


async def test_a_request_that_can_not_be_ended_holds_up_no_other(made: World) -> None:
    await hold(made, strict(pending="2d"))
    broken = (await ask(made)).request
    pods = {"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["pay"], "secret": "second"}
    whole = (await ask(made, "second", targets=[pods])).request

    def move(transaction: Transaction) -> None:
        transaction._connection.exec_driver_sql("UPDATE certificate SET state = 'live' WHERE name = 'pay'")  # noqa: SLF001

    await made.store.write(move)
    made.now += timedelta(days=3)
    await made.requests.expire()
    assert (await present(made, broken)).state == RequestState.WAITING
    assert (await present(made, whole)).state == RequestState.EXPIRED


async def test_a_policy_that_a_later_version_kept_allows_nothing_here(made: World) -> None:
    await made.store.write(lambda transaction: transaction.policies.keep("sha256:new", '{"version": 2}', now=NOON))
    with pytest.raises(RejectedError) as refused:
        await ask(made)
    assert [item.field for item in refused.value.rejections] == ["policy"]


async def test_a_certificate_that_is_made_again_takes_what_nobody_has(made: World) -> None:
    def work(transaction: Transaction) -> list[str]:
        held = Claim("kubernetes/site2/pay/tls")
        transaction.claims.add_free(made.certificate_id, [held, Claim("free")])
        return [item.name for item in transaction.claims.held([held, Claim("free")])]

    await ask(made)
    assert await made.store.write(work) == ["app", "pay"]


async def test_two_teams_share_a_name_only_where_policy_says_so(made: World) -> None:
    lia = somebody("lia", "treasury")
    pods = {"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["pay"], "secret": "second"}
    same: dict[str, Any] = {"dns_names": ["other.example.test", "pay.example.test"], "targets": [pods]}
    asked = (await ask(made)).request
    with pytest.raises(RejectedError) as refused:
        await ask(made, "other", by=lia, **same)
    [rejection] = refused.value.rejections
    assert rejection.field == "dns_names.1"
    assert "certificate pay of team shop" in rejection.message
    await hold(made, {**POLICY, "shared_names": ["pay.example.test"]})
    await ask(made, "other", by=lia, **same)
    await hold(made, POLICY)
    await deny(made, asked, "no")
    third = {**same, "dns_names": ["pay.example.test"], "targets": [{**pods, "secret": "third"}]}
    with pytest.raises(RejectedError, match="certificate other of team treasury"):
        await ask(made, "third", **third)
    await ask(made, "fourth", by=lia, **third)


async def test_a_team_has_at_most_what_the_rule_lets_it(made: World) -> None:
    await hold(made, strict(most=2))
    await ask(made)
    pods = {"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["pay"], "secret": "second"}
    with pytest.raises(RejectedError, match=r"owner has 2 certificates: policy allows 2 \(rule strict\)"):
        await ask(made, "second", targets=[pods])


async def test_an_approval_ends_is_told_before_and_is_renewed_without_an_order(made: World) -> None:
    lasting = {"rules": [{"name": "short", "approvals": [{"count": 1}], "approval_lasts": "40d"}]}
    await hold(made, {**POLICY, **lasting})
    asked = (await ask(made)).request
    first = (await approve(made, asked, "ben")).approval
    assert first is not None
    assert first.ends_at == NOON + timedelta(days=40)
    alarms = Alarms(outbox=made.outbox, clock=made.clock)
    watch = ApprovalWatch(store=made.store, alarms=alarms, bell=Bell(), clock=made.clock)

    async def told() -> list[tuple[str, str]]:
        await watch.look()
        records = await made.store.read(
            lambda transaction: transaction.alerts.open(source=SOURCE, reasons=["approval_ends"])
        )
        return [(record.owner, record.severity) for record in records]

    assert await told() == []
    made.now += timedelta(days=20)
    assert await told() == [("shop", "warning")]
    made.now += timedelta(days=21)
    assert await told() == [("shop", "critical")]
    again = (await reapprove(made)).request
    assert (again.kind, again.state, (await reapprove(made)).request.id) == ("renew", "waiting", again.id)
    with pytest.raises(ForbiddenError):
        await approve(made, again, "ana", "shop")
    done = await approve(made, again, "ben")
    assert done.approval is not None
    assert (done.certificate.approval_id, done.certificate.ordered) == (done.approval.id, 1)
    assert done.announced == ()
    assert await told() == []


async def stored(made: World) -> Certificate:
    found = await made.store.read(lambda transaction: transaction.certificates.named("pay"))
    assert found is not None
    return found


async def reapprove(made: World) -> Decision:
    def work(transaction: Transaction) -> Decision:
        certificate = transaction.certificates.named("pay")
        assert certificate is not None
        return made.requests.ask_again(transaction, certificate, by=ANA)

    return await made.store.write(work)


async def test_an_ended_approval_and_a_bound_on_renewals_by_hand_hold_them_up(made: World) -> None:
    await hold(
        made, {**POLICY, "rules": [{"name": "r", "approvals": [], "approval_lasts": "9d", "renewals_apart": "2d"}]}
    )
    made.certificate_id = await made.submit(SPEC.model_copy(update={"name": "slow"}))
    await made.issue(Authority())
    with pytest.raises(ConflictError, match="can't be renewed by hand before 2026-03-03T12:00Z"):
        await made.renew("slow", person="ana")
    made.now += timedelta(days=2)
    await made.renew("slow", person="ana")
    await made.issue(Authority(), 2)
    made.now += timedelta(days=8)
    with pytest.raises(ConflictError, match="approval ended"):
        await made.renew("slow", person="ana")


async def test_a_file_is_read_when_it_changes_and_one_that_can_not_be_used_changes_nothing(
    made: World, tmp_path: Path
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(POLICY))
    policies = Policies(store=made.store, clock=made.clock, file=PolicyFile(path, KINDS))
    await policies.load()

    async def digest() -> str | None:
        return await made.store.read(lambda transaction: transaction.policies.digest())

    first = await digest()
    path.write_text(json.dumps(strict(name="other")))
    await policies.look()
    second = await digest()
    assert first != second
    assert policies.findings()[0].detail is None
    for broken in ("teams: [", "version: 3", ""):
        path.write_text(broken)
        await policies.look()
        assert await digest() == second
        assert "is not taken" in (policies.findings()[0].detail or "")
    path.unlink()
    await policies.look()
    assert "is not taken" in (policies.findings()[0].detail or "")
    path.write_text(json.dumps(POLICY))
    await policies.look()
    assert (await digest(), policies.findings()[0].detail) == (first, None)
    replica = Policies(store=made.store, clock=made.clock, file=None)
    kept = await made.store.read(replica.present)
    assert kept is not None
    assert (kept[0], kept[1]) == (first, Policy.model_validate(POLICY))


async def orders(made: World) -> list[tuple[str, ...]]:
    """The CAs of each order that the issuer has still to carry out."""
    level = await made.store.read(
        lambda transaction: issue_orders(transaction, after="", limit=10, known=frozenset())
    )
    return [order.cas for order in level.items or ()]


async def test_an_order_names_the_cas_that_policy_allows_when_it_is_made(made: World) -> None:
    assert await orders(made) == [("ca-one", "ca-two")]
    await made.issue(Authority())

    await hold(made, open_policy(cas=["ca-three", "ca-two"]))
    made.now += timedelta(days=70)
    await made.renewals.sweep()
    assert await orders(made) == [("ca-three", "ca-two")]
    await made.issue(Authority(), 2)

    await hold(made, {**open_policy(), "cas": {"public": ["ca-one"]}})
    made.now += timedelta(days=70)
    await made.renewals.sweep()
    assert await orders(made) == []
    with pytest.raises(ConflictError, match="policy allows no ca"):
        await made.renew("app", person="ben")
