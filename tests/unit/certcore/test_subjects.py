from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore import events, subjects
from certcore.errors import PermanentError
from certcore.subjects import Reporter, Route

_OBSERVED = events.EndpointObserved(
    certificate_id="c1",
    url="https://shop.example.org",
    verdict=events.ServingVerdict.WANTED,
    served_revision=1,
    served_fingerprint_sha256="f",
    addresses=(),
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_an_event_s_subject_names_it_without_its_version() -> None:
    event_type = events.CertificateRenewalDue.type
    assert subjects.event(event_type, "c1") == "certs.ev.renewal_due.c1"
    assert subjects.events(event_type) == "certs.ev.renewal_due.>"


def test_no_two_events_share_a_token() -> None:
    types = {event_type.rpartition(".")[0]: event_type for event_type in events.catalogue()}
    assert len({subjects.event_name(event_type) for event_type in types.values()}) == len(types)
    assert subjects.event_name(events.RevisionFailed.type) == "revision_failed"
    assert subjects.event_name(events.DeliveryFailed.type) == "delivery_failed"


def test_two_versions_of_an_event_share_a_token() -> None:
    assert (
        subjects.event_name("certbus.probe.round.v1")
        == subjects.event_name("certbus.probe.round.v2")
        == "probe_round"
    )


def test_who_reports_is_read_back_from_the_subject() -> None:
    subject = subjects.status("site1", "syncer", events.DeliverySucceeded.type, "c1")
    assert subject == "certs.status.site1.syncer.delivery_succeeded.c1"
    assert subjects.reporter(subject) == Reporter("site1", "syncer")
    last = subjects.last("hub", "monitor", events.EndpointObserved.type, "k")
    assert last == "certs.last.hub.monitor.observed.k"
    assert subjects.reporter(last) == Reporter("hub", "monitor")
    with pytest.raises(PermanentError, match="names no reporter"):
        subjects.reporter("certs.status.short")


def test_a_report_goes_to_the_queue_of_its_place() -> None:
    started = events.RevisionStarted(certificate_id="c1", revision=1, ca="ca")
    route = subjects.route(started, place="hub", service="issuer", about="c1")
    assert route == Route("STATUS_hub", "certs.status.hub.issuer.revision_started.c1")


def test_a_heartbeat_replaces_the_one_before_of_its_service() -> None:
    beat = events.SiteHeartbeat(site="site1", service="syncer", version="1")
    route = subjects.route(beat, place="site1", service="syncer", about="site1")
    assert route == Route("LAST_site1", "certs.last.site1.syncer.heartbeat.syncer")


def test_an_observation_replaces_the_one_before_of_its_endpoint() -> None:
    route = subjects.route(_OBSERVED, place="hub", service="monitor", about="c1")
    key = subjects.observation_key("c1", _OBSERVED.url)
    assert route == Route("LAST_hub", f"certs.last.hub.monitor.observed.{key}")
    assert len(key) == 32
    assert key != subjects.observation_key("c1", "https://other.example.org")


def test_who_asks_is_read_back_from_the_subject() -> None:
    assert subjects.owner_of_request(subjects.request("team-shop")) == "team-shop"


def test_an_id_that_is_no_token_is_answered_by_its_hash() -> None:
    assert subjects.answer("team", "id-1") == "certs.answer.team.id-1"
    hashed = subjects.answer("team", "a.b>c *")
    assert hashed.startswith("certs.answer.team.sha256-")
    assert "." not in hashed.removeprefix("certs.answer.team.")


def test_an_alert_has_a_subject_of_its_own() -> None:
    assert subjects.alert("team", "abc") == "certs.alert.team.abc"
    assert subjects.alert("team", "a.b").startswith("certs.alert.team.sha256-")


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
reports = st.sampled_from(
    [
        _OBSERVED,
        events.SiteHeartbeat(site="site1", service="syncer", version="1"),
        events.RevisionStarted(certificate_id="c1", revision=1, ca="ca"),
        events.DeliveryWithdrawn(certificate_id="c1", target="web", generation=1),
    ]
)
urls = st.text(max_size=30).map(lambda path: f"https://{path}")


@given(labels, labels, reports)
def test_whoever_reports_is_read_back_from_where_the_report_travels(
    place: str, service: str, report: events.Event
) -> None:
    route = subjects.route(report, place=place, service=service, about="c1")
    assert subjects.reporter(route.subject) == Reporter(place, service)
    assert route.stream.endswith(f"_{place}")


@given(labels, st.text(min_size=1, max_size=80))
def test_whatever_id_an_alert_or_a_request_has_its_subject_is_one_token_longer(owner: str, given_id: str) -> None:
    for subject in (subjects.alert(owner, given_id), subjects.answer(owner, given_id)):
        assert len(subject.split(".")) == 4
        assert not set(subject) & set("*> \t\r\n")


@given(st.text(max_size=80))
def test_whatever_a_probe_worker_calls_itself_its_rounds_have_a_subject(name: str) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    report = events.ProbeRound(worker=name, started=at, ended=at, period_s=60, looked=0)
    route = subjects.route(report, place="hub", service="monitor", about="hub")
    assert len(route.subject.split(".")) == 6
    assert not set(route.subject) & set("*> \t\r\n")


@pytest.mark.parametrize("subject", ["", "certs.ev.issued.c1", "certs.status", "status.site1.syncer.failed.c1"])
def test_a_subject_that_is_no_report_s_names_no_reporter(subject: str) -> None:
    with pytest.raises(PermanentError):
        subjects.reporter(subject)


@pytest.mark.parametrize(
    ("subject", "label"),
    [
        ("certs.last.site1.monitor.observed.3f2a", "certs.last.site1.monitor.observed"),
        ("certs.status.hub.issuer.revision_started.c-1", "certs.status.hub.issuer.revision_started"),
        ("certs.status.site1.syncer.made-up.c-1", "certs.status.site1.syncer.other"),
        ("certs.ev.issued.c-1", "certs.ev.issued"),
        ("certs.ev.made-up.c-1", "certs.ev.other"),
        ("certs.deploy.site1.syncer.c-1.csr.box", "certs.deploy.site1.syncer"),
        ("certs.dlq.site1.SYNCER_site1", "certs.dlq.site1"),
        ("certs.request.shop.submit", "certs.request"),
        ("certs.answer.shop.e-1", "certs.answer"),
        ("certs.alert.shop.a-1", "certs.alert"),
        ("certs.anchor.d-1", "certs.anchor"),
        ("_INBOX.issuer.x.1", "other"),
        ("", "other"),
    ],
)
def test_a_label_of_metrics_has_no_id_nor_owner(subject: str, label: str) -> None:
    assert subjects.family(subject) == label


def test_a_challenge_at_a_site_is_told_in_a_slot_and_reported_by_its_digest() -> None:
    assert subjects.challenge("fra1", "syncer", 7) == "certs.deploy.fra1.syncer.challenge.7"
    assert subjects.family(subjects.challenge("fra1", "syncer", 7)) == "certs.deploy.fra1.syncer"
    key = subjects.challenge_key("shop.example.org", "t" * 43)
    assert len({key, subjects.challenge_key("b.example.org", "t" * 43), subjects.challenge_key("x", "u" * 43)}) == 3
    shown = events.ChallengeShown(challenge_token="t" * 43, host="shop.example.org", shown=True)
    route = subjects.route(shown, place="fra1", service="syncer", about=key)
    assert route == Route("STATUS_fra1", f"certs.status.fra1.syncer.challenge_shown.{key}")
