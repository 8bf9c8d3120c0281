from certcore import events, subjects
from certcore.subjects import Reporter


def test_the_event_is_named_by_its_type_without_version() -> None:
    event_type = events.CertificateRenewalDue.type
    assert subjects.event(event_type, "c1") == "certs.ev.renewal_due.c1"
    assert subjects.events(event_type) == "certs.ev.renewal_due.>"


def test_who_reports_is_read_back_from_the_subject() -> None:
    subject = subjects.status("site1", "syncer", events.DeliverySucceeded.type, "c1")
    assert subject == "certs.status.site1.syncer.succeeded.c1"
    assert subjects.reporter(subject) == Reporter("site1", "syncer")


def test_who_asks_is_read_back_from_the_subject() -> None:
    assert subjects.owner_of_request(subjects.request("team-shop", "orders")) == "team-shop"


def test_an_id_that_is_no_token_is_answered_under_its_hash() -> None:
    assert subjects.answer("team", "id-1") == "certs.answer.team.id-1"
    hashed = subjects.answer("team", "a.b>c *")
    assert hashed.startswith("certs.answer.team.sha256-")
    assert len(hashed.split(".")) == 4
