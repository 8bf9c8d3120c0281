from datetime import timedelta

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec
from certcore.events import CertificateApproved, CertificateRequested, CertificateWaiting
from registry.domain.decision import Decision
from registry.domain.site import Site
from registry.domain.submission import Ids, check, submit
from tests.unit.registry.samples import NOON, OWNER, site, spec

IDS = Ids(certificate="c-1", request="r-1", approval="a-1")


def rejected(of: CertificateSpec, *sites: Site, is_taken: bool = False) -> dict[str, str]:
    found = check(of, sites=sites or (site(),), issuers=frozenset({"ours"}), is_taken=is_taken, now=NOON)
    return {rejection.field: rejection.message for rejection in found}


def submitted(of: CertificateSpec) -> Decision:
    return submit(of, owner=OWNER, requester="ana", sites=[site()], ids=IDS, traceparent="00-trace-span-01", now=NOON)


def test_a_request_that_keeps_to_everything_is_not_rejected() -> None:
    assert rejected(spec(issuer="ours", end_date=NOON + timedelta(days=1))) == {}


def test_an_unknown_site_is_rejected_with_the_known_ones() -> None:
    assert rejected(spec(), site("site2")) == {"targets.0.site": "is no known site (known: site2)"}


def test_the_hub_is_no_site() -> None:
    target = {"kind": "files", "name": "web", "site": "hub"}
    assert set(rejected(spec(targets=[target]), site("hub"))) == {"targets.0.site"}


def test_a_target_whose_service_the_site_has_not_is_rejected() -> None:
    assert rejected(spec(), site("site1", "pusher")) == {
        "targets.0.kind": "can't be delivered at site1: it has no syncer"
    }


def test_everything_at_fault_is_told_at_once() -> None:
    found = rejected(spec(issuer="other", end_date=NOON), site("site2"), is_taken=True)
    assert set(found) == {"targets.0.site", "issuer", "end_date", "name"}
    assert found["issuer"] == "is no known issuer (known: ours)"


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
    assert [type(event) for event in done.announced] == [CertificateRequested, CertificateWaiting]


def test_certificate_and_request_have_one_owner_one_hash_and_one_trace() -> None:
    done = submitted(spec(owner=None))
    assert done.certificate.spec.owner == done.certificate.owner == done.request.owner == OWNER
    assert done.certificate.spec_hash == done.request.spec_hash
    assert done.certificate.traceparent == done.request.traceparent == "00-trace-span-01"
