from datetime import timedelta
from typing import Any

from certcore.api import CertificateState, Role
from certcore.certificate import CertificateSpec, Exposure, approval_hash
from certcore.events import CertificateApproved, CertificateRequested, CertificateWaiting
from certcore.placements import PLATFORM
from certcore.policy.document import ApprovalsNeeded
from registry.domain.access import Principal
from registry.domain.decision import Decision
from registry.domain.site import Site
from registry.domain.submission import Ids, Known, check, submit
from registry.domain.terms import Terms
from tests.unit.registry.samples import KINDS, NOON, OWNER, site, spec

ANA = Principal("ana", OWNER, frozenset({Role.REQUESTER}))
IDS = Ids(certificate="c-1", request="r-1", approval="a-1")
WEB = {"kind": "files", "name": "web", "site": "site1"}
CDN = {"kind": "cdn", "name": "cdn"}
ANY = [{"url": "https://checkout.example.org"}]


def known(*sites: Site, **changes: Any) -> Known:
    parts = {"sites": sites or (site(),), "kinds": KINDS, "carried": {}}
    return Known(**(parts | changes))


def rejected(of: CertificateSpec, *sites: Site, taken: str | None = None, **changes: Any) -> dict[str, str]:
    found = check(of, known(*sites, **changes), taken=taken, now=NOON)
    return {rejection.field: rejection.message for rejection in found}


def submitted(of: CertificateSpec) -> Decision:
    sites = known(site(), site("hub", "pusher"))
    needed = (ApprovalsNeeded(),) if of.exposure is Exposure.PUBLIC else ()
    terms = Terms(policy="d", rules=("names",), needed=needed)
    return submit(
        of,
        sites,
        owner=OWNER,
        by=ANA,
        terms=terms,
        pending=timedelta(days=14),
        ids=IDS,
        traceparent="00-trace-span-01",
        now=NOON,
    )


def test_a_request_that_keeps_to_everything_is_not_rejected() -> None:
    assert rejected(spec(end_date=NOON + timedelta(days=1))) == {}


def test_an_unknown_site_is_rejected_with_the_known_ones() -> None:
    assert rejected(spec(), site("site2"), site("hub")) == {"targets.0.site": "is no known site (known: site2)"}


def test_the_hub_is_no_site() -> None:
    target = {"kind": "files", "name": "web", "site": "hub"}
    assert rejected(spec(targets=[target]), site("hub")) == {"targets.0.site": "must be a site"}


def test_a_target_whose_service_the_site_has_not_is_rejected() -> None:
    assert rejected(spec(), site("site1", "pusher")) == {
        "targets.0.kind": "can't be delivered at site1: it has no syncer"
    }


def test_a_kind_that_the_service_says_it_does_not_deliver_to_is_rejected() -> None:
    carried = {("site1", "syncer"): frozenset({"kubernetes"})}
    assert rejected(spec(), carried=carried) == {
        "targets.0.kind": "can't be delivered at site1: its syncer delivers only to kubernetes"
    }
    assert rejected(spec(), carried={("site1", "syncer"): frozenset({"files"})}) == {}


def test_a_target_without_a_site_belongs_to_the_hub() -> None:
    of = spec(targets=[CDN], endpoints=ANY)
    assert rejected(of, site("hub", "pusher")) == {}
    assert rejected(of, site()) == {"targets.0.kind": "can't be delivered: no pusher is enrolled at hub"}
    at_site = spec(targets=[CDN | {"site": "site1"}], endpoints=ANY)
    assert rejected(at_site, site("site1", "pusher")) == {
        "targets.0.site": "must be left out: a cdn belongs to no site"
    }


def test_everything_at_fault_is_told_at_once() -> None:
    found = rejected(spec(end_date=NOON), site("site2"), taken="is taken by another certificate")
    assert set(found) == {"targets.0.site", "end_date", "name"}


def test_an_internal_name_is_approved_by_policy_at_once() -> None:
    done = submitted(spec())
    assert (done.certificate.state, done.request.state) == (CertificateState.APPROVED, "approved")
    assert done.approval is not None
    assert (done.certificate.approval_id, done.approval.id, done.approval.approved_by) == ("a-1", "a-1", ())
    assert [type(event) for event in done.announced] == [CertificateRequested, CertificateApproved]


def test_a_public_name_waits_for_a_second_person() -> None:
    done = submitted(spec(exposure="public"))
    assert (done.certificate.state, done.request.state) == (CertificateState.WAITING_FOR_APPROVAL, "waiting")
    assert (done.approval, done.certificate.ordered) == (None, 0)
    assert done.certificate.reason == done.request.reason == done.reason
    assert done.reason == "needs 1 approver, other than the requester (rule names)"
    assert done.request.expires_at == NOON + timedelta(days=14)
    assert [type(event) for event in done.announced] == [CertificateRequested, CertificateWaiting]


def test_certificate_and_request_have_one_owner_one_hash_and_one_trace() -> None:
    done = submitted(spec(owner=None))
    assert done.certificate.intent.owner == done.certificate.owner == done.request.owner == OWNER
    assert done.certificate.spec_hash == done.request.spec_hash == approval_hash(spec(), owner=OWNER)
    assert done.certificate.traceparent == done.request.traceparent == "00-trace-span-01"


def test_a_request_event_carries_the_whole_intent() -> None:
    done = submitted(spec(labels={"tier": "gold"}, contact="shop@example.org"))
    requested = done.announced[0]
    assert isinstance(requested, CertificateRequested)
    assert requested.intent == done.certificate.intent
    assert done.certificate.intent.labels == {"tier": "gold"}


def test_each_target_is_placed_with_its_service_and_variant_and_nothing_is_wanted_yet() -> None:
    done = submitted(spec(targets=[WEB, CDN], endpoints=ANY))
    placed = [(item.target, item.place, item.service, item.variant) for item in done.rollout.placements]
    assert placed == [("web", "site1", "syncer", PLATFORM), ("cdn", "hub", "pusher", "cdn")]
    assert {(item.wanted, item.generation) for item in done.rollout.placements} == {(None, 0)}
    assert [item.url for item in done.rollout.endpoints] == [ANY[0]["url"]]
    assert [item.variant for item in done.signing] == ["cdn"]
