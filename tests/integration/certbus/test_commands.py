import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from certbus.exit_codes import ExitCode
from certcore.api import CertificateState, CertificateView, Role
from certcore.events import DiscoveredSecret, SiteHeartbeat, SiteReviewed
from tests.integration.certbus.command import Command, certbus, request_words, until
from tests.integration.certbus.reporting_services import ReportingServices
from tests.patience import HANG_S
from tests.policies import open_policy
from tests.registry_process import RunningRegistry, running_registry

pytestmark = pytest.mark.integration

_PUBLIC: Final = ("own", "patient", "left", "denied", "proven")
_POLICY: Final = open_policy(internal=["example.org"], public=[f"{name}.example.org" for name in _PUBLIC])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registry() -> AsyncIterator[RunningRegistry]:
    """A registry whose state folder is a home of the command: its URL, and the tokens of some people."""
    async with running_registry(policy=_POLICY) as running:
        people = {
            "ana": await running.person("ana", Role.REQUESTER, Role.APPROVER, owner="team-shop"),
            "ben": await running.person("ben", Role.APPROVER, owner="platform"),
            "vera": await running.person("vera", Role.VIEWER, owner="team-shop"),
            "issuer": await running.service("issuer", Role.ISSUER),
        }
        for name, person in people.items():
            token_file(running, name).write_text(person.token or "")
        (home_of(running) / "client.json").write_text(json.dumps({"url": running.url}))
        yield running


def home_of(registry: RunningRegistry) -> Path:
    return registry.process.admin_token_file.parents[1]


def token_file(registry: RunningRegistry, name: str) -> Path:
    return registry.process.admin_token_file.with_name(name)


@pytest_asyncio.fixture
async def services(registry: RunningRegistry) -> AsyncIterator[ReportingServices]:
    issuer = token_file(registry, "issuer")
    async with ReportingServices(
        nats_url=registry.nats_url,
        registry_url=registry.url,
        issuer_token_file=issuer,
        see=lambda name: see(registry, name),
    ) as reporting:
        yield reporting


@pytest.fixture(autouse=True)
def home(registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the registry and its tokens, and nothing else that this machine may have."""
    for name in ("CERTBUS_URL", "CERTBUS_TOKEN_FILE", "CERTBUS_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CERTBUS_HOME", str(home_of(registry)))
    monkeypatch.setenv("CERTBUS_PLAIN_TEXT", "1")


def see(registry: RunningRegistry, name: str) -> CertificateView:
    return CertificateView.model_validate(api(registry, f"/v1/certificates/{name}"))


def api(registry: RunningRegistry, path: str) -> Any:
    """The API's own answer, without our client."""
    answer = httpx.get(f"{registry.url}{path}", headers=registry.admin.headers, trust_env=False)
    return answer.raise_for_status().json()


async def test_an_internal_request_needs_nobody_and_is_seen_everywhere(registry: RunningRegistry) -> None:
    created = await certbus(*request_words("plain"), "-o", "json")
    assert created.code == ExitCode.OK
    assert created.json["requester"] == "ana"
    assert created.json["owner"] == "team-shop"
    assert created.json["state"] == "approved"
    assert created.json["spec"]["targets"][1]["namespaces"] == ["web", "shop"]

    request_id = created.json["id"]
    for words, path in (
        (["request", "show", request_id], f"/v1/requests/{request_id}"),
        (["request", "list", "--state", "approved"], "/v1/requests?state=approved"),
        (["cert", "show", "plain"], "/v1/certificates/plain"),
        (["cert", "list", "--owner", "team-shop"], "/v1/certificates?owner=team-shop"),
        (["site", "list"], "/v1/sites"),
        (["alert", "list"], "/v1/alerts?state=open"),
        (["alert", "list", "--state", "all", "--owner", "team-shop"], "/v1/alerts?owner=team-shop"),
    ):
        shown = await certbus(*words, "-o", "json")
        assert (shown.code, shown.err) == (ExitCode.OK, "")
        assert shown.json == api(registry, path)

    services = await certbus("service", "list", "-o", "json")
    assert (services.code, services.err) == (ExitCode.OK, "")
    # The registry's own heartbeat is the time of the answer.
    listed = [(item["place"], item["service"]) for item in services.json["items"]]
    assert listed == [(item["place"], item["service"]) for item in api(registry, "/v1/services")["items"]]

    table = await certbus("cert", "list")
    assert "plain" in table.out
    assert table.out.startswith("NAME")


async def test_a_token_goes_into_a_file_and_is_ended_by_its_id(registry: RunningRegistry, tmp_path: Path) -> None:
    file = tmp_path / "tess"
    words = ("token", "make", "tess", "--owner", "team-shop", "--role", "viewer", "--days", "7", "--to", str(file))
    made = await certbus(*words, "-o", "json")
    assert (made.code, made.json["token"]) == (ExitCode.OK, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (await certbus(*words)).code == ExitCode.INVALID
    as_tess = ("--token-file", str(file), "--url", registry.url)
    listed = await certbus("token", "list", *as_tess, "-o", "json")
    assert [item["id"] for item in listed.json["items"]] == [made.json["id"]]
    assert "tess" in (await certbus("token", "list")).out
    # It takes the old one's place, in the file as well.
    rotated = await certbus("token", "rotate", made.json["id"], "--to", str(file), *as_tess, "-o", "json")
    assert (rotated.code, rotated.json["expires_at"]) == (ExitCode.OK, made.json["expires_at"])
    assert (await certbus("token", "revoke", rotated.json["id"], *as_tess)).code == ExitCode.OK
    assert (await certbus("token", "list", *as_tess)).code == ExitCode.NOT_ALLOWED
    ended = await certbus("token", "list", "--ended", "-o", "json")
    assert ended.json == api(registry, "/v1/tokens?ended=true&limit=500")
    for refused, code in (
        (("make", "eve", "--owner", "team-shop", "--role", "king", "--to", str(tmp_path / "eve")), ExitCode.INVALID),
        (("make", "eve", "--owner", "team-shop", "--to", str(tmp_path / "no" / "eve")), ExitCode.INVALID),
        (("make", "eve", "--owner", "team-shop", "--as", "ana", "--to", str(tmp_path / "eve")), ExitCode.NOT_ALLOWED),
        (("revoke", "nothing"), ExitCode.NOT_FOUND),
    ):
        assert (await certbus("token", *refused)).code == code
    assert not (tmp_path / "eve").exists()


async def test_a_request_comes_from_a_file_or_stdin_too(tmp_path: Path) -> None:
    spec = {
        "name": "piped",
        "dns_names": ["piped.example.org"],
        "exposure": "internal",
        "targets": [{"kind": "files", "name": "web", "site": "site1"}],
        "endpoints": [{"url": "https://piped.example.org"}],
    }
    file = tmp_path / "request.json"
    file.write_text(json.dumps(spec))
    words = ["request", "create", "--as", "ana", "-f"]
    tried = await certbus(*words, str(file), "--dry-run", "-o", "json")
    assert tried.code == ExitCode.OK
    assert tried.json["name"] == "piped"
    assert (await certbus("cert", "show", "piped")).code == ExitCode.NOT_FOUND
    assert (await (await Command.start(*words, "-", stdin=json.dumps(spec))).ended()).code == ExitCode.OK
    assert (await certbus("cert", "show", "piped")).code == ExitCode.OK
    file.write_text(json.dumps({**spec, "colour": "red"}))
    unknown = await certbus(*words, str(file))
    assert unknown.code == ExitCode.INVALID
    assert unknown.err.splitlines()[1:] == ["colour: is not a field of a request"]


async def test_what_only_the_registry_knows_is_refused_by_field() -> None:
    words = request_words("refused")
    words[words.index("files:site=site1,name=web")] = "files:site=atlantis,name=web"
    refused = await certbus(*words)
    assert refused.code == ExitCode.INVALID
    assert [line.split(":")[0] for line in refused.err.splitlines()] == ["error", "targets.0.site"]
    assert (await certbus(*request_words("taken"))).code == ExitCode.OK
    same = await certbus(*request_words("taken"))
    assert same.code == ExitCode.OK
    taken = await certbus(*request_words("taken"), "--description", "another")
    assert taken.code == ExitCode.INVALID
    assert taken.err.splitlines()[1].startswith("name: ")


@pytest.mark.parametrize(
    "words",
    [
        ["cert", "show", "nobody"],
        ["cert", "renew", "nobody"],
        ["request", "show", "nothing"],
        ["request", "approve", "nothing"],
        ["request", "deny", "nothing", "--reason", "x"],
        ["site", "review", "atlantis"],
    ],
)
async def test_what_is_not_there_ends_with_three(words: list[str]) -> None:
    missing = await certbus(*words)
    assert (missing.code, missing.out) == (ExitCode.NOT_FOUND, "")
    assert missing.err.startswith("error: ")


async def test_who_may_not_is_told_so(tmp_path: Path) -> None:
    created = await certbus(*request_words("own", exposure="public"), "-o", "json")
    assert created.json["state"] == "waiting"
    assert f"request approve {created.json['id']}" in created.err
    own = await certbus("request", "approve", created.json["id"], "--as", "ana")
    viewer = await certbus("request", "approve", created.json["id"], "--as", "vera")
    (tmp_path / "token").write_text("nobody-knows-this")
    stranger = await certbus("cert", "list", "--token-file", str(tmp_path / "token"))
    for refused in (own, viewer, stranger):
        assert (refused.code, refused.out) == (ExitCode.NOT_ALLOWED, "")
        assert "--as" in refused.err
    assert "nobody-knows-this" not in stranger.err


async def test_waiting_ends_when_nobody_approves() -> None:
    waited = await certbus(*request_words("patient", exposure="public"), "--wait", "--timeout", "1s", "-o", "json")
    assert waited.code == ExitCode.WAITING_FOR_APPROVAL
    assert waited.json["certificate_state"] == "waiting_for_approval"
    assert "patient: waiting_for_approval" in waited.err


async def test_who_stops_waiting_is_told_that_it_goes_on() -> None:
    waiting = await Command.start(*request_words("left", exposure="public"), "--wait")
    await waiting.tells("left: waiting_for_approval")
    waiting.interrupt()
    ended = await waiting.ended()
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "no longer watching; the roll-out goes on: certbus cert show left"


async def test_a_denial_ends_the_waiting() -> None:
    waiting = await Command.start(*request_words("denied", exposure="public"), "--wait")
    await waiting.tells("denied: waiting_for_approval")
    listed = await certbus("request", "list", "--state", "waiting", "-o", "json")
    (request,) = [request for request in listed.json["items"] if request["name"] == "denied"]
    denied = await certbus("request", "deny", request["id"], "--reason", "no such shop", "--as", "ben")
    assert denied.code == ExitCode.OK
    ended = await waiting.ended()
    assert ended.code == ExitCode.NOT_ALLOWED
    assert "no such shop" in ended.out + ended.err


async def test_waiting_goes_on_to_the_proof_and_so_does_a_renewal(
    registry: RunningRegistry, services: ReportingServices
) -> None:
    waiting = await Command.start(*request_words("proven", exposure="public"), "--wait", "-o", "json")
    await waiting.tells("proven: waiting_for_approval")
    listed = await certbus("request", "list", "--state", "waiting", "-o", "json")
    (request,) = [request for request in listed.json["items"] if request["name"] == "proven"]
    approved = await certbus("request", "approve", request["id"], "--as", "ben", "--reason", "agreed", "-o", "json")
    assert approved.json["decided_by"] == "ben"
    await waiting.tells("proven: approved")
    fingerprint = await services.issue(see(registry, "proven"))
    await waiting.tells("proven: delivering")
    certificate = see(registry, "proven")
    for target in certificate.targets:
        await services.deliver(certificate, target.name, fingerprint)
    await services.observe(certificate, "https://proven.example.org:8443", fingerprint)
    await waiting.tells("1 of 2 targets, 1 of 2 endpoints")
    await services.observe(certificate, "https://www.proven.example.org", fingerprint)
    ended = await waiting.ended()
    assert ended.code == ExitCode.OK
    assert ended.json["certificate_state"] == "live"

    shown = await certbus("cert", "show", "proven", "-o", "json")
    assert shown.json["revision"]["fingerprint_sha256"] == fingerprint
    assert {endpoint["served_fingerprint_sha256"] for endpoint in shown.json["endpoints"]} == {fingerprint}
    table = await certbus("cert", "show", "proven")
    assert fingerprint in table.out
    verified = [line.split()[:2] for line in table.out.splitlines() if "verified" in line]
    assert sorted(verified) == [["pods", "site2"], ["web", "site1"]]

    renewing = await Command.start("cert", "renew", "proven", "--as", "ana", "--wait", "-o", "json")
    await renewing.tells("revision 2")
    await services.roll_out(see(registry, "proven"), 2)
    renewed = await renewing.ended()
    assert renewed.code == ExitCode.OK
    assert (renewed.json["revision"], renewed.json["state"]) == (2, "live")


async def test_what_was_reached_in_time_is_told_apart(registry: RunningRegistry, services: ReportingServices) -> None:
    assert (await certbus(*request_words("slow"))).code == ExitCode.OK
    await services.roll_out(see(registry, "slow"))
    await until(lambda: see(registry, "slow").state is CertificateState.LIVE)
    words = ["cert", "renew", "slow", "--wait", "--timeout"]
    # What the revision before has proven counts for nothing.
    assert (await certbus(*words, "1s")).code == ExitCode.TIMED_OUT
    # A renewal that is under way already is not ordered twice.
    waiting = await Command.start(*words, "15s")
    await waiting.tells("slow: renewing")
    fingerprint = await services.issue(see(registry, "slow"), 2)
    await services.deliver(see(registry, "slow"), "web", fingerprint, 2)
    await services.observe(see(registry, "slow"), "https://slow.example.org:8443", fingerprint, 2)
    ended = await waiting.ended()
    assert ended.code == ExitCode.PARTLY_DONE
    assert "revision 2 proven at 1 of 2 targets, 1 of 2 endpoints" in ended.err


async def test_a_site_shows_its_foreign_secrets_without_their_control_characters(
    registry: RunningRegistry, services: ReportingServices
) -> None:
    await services.report(
        SiteHeartbeat(site="site1", service="syncer", version="0.1.0"),
        place="site1",
        service="syncer",
        about="site1",
    )
    secret = DiscoveredSecret(
        cluster="blue",
        namespace="legacy",
        secret="old-tls",
        manager="\x1b]0;owned\x07helm",
        dns_names=("old.example.org",),
        not_after=datetime.now(UTC) + timedelta(days=3, hours=1),
    )
    await services.report(
        SiteReviewed(site="site1", secrets=(secret,), unreachable=("green",)),
        place="site1",
        service="syncer",
        about="site1",
    )
    await until(lambda: bool(api(registry, "/v1/sites/site1/review")["secrets"]))
    review = await certbus("site", "review", "site1")
    assert review.code == ExitCode.OK
    assert "in 3 d" in review.out
    assert "old.example.org" in review.out
    assert "green could not be listed" in review.err
    assert not set("\x1b\x07") & set(review.out)
    assert (await certbus("site", "review", "site1", "-o", "json")).json == api(registry, "/v1/sites/site1/review")
    listed = await certbus("site", "list")
    (line,) = [line for line in listed.out.splitlines() if line.startswith("site1")]
    (site,) = [site for site in api(registry, "/v1/sites")["items"] if site["name"] == "site1"]
    assert (", ".join(site["silent"]) or "-") in line
    services_there = await certbus("service", "list")
    (syncer,) = [line for line in services_there.out.splitlines() if line.split()[:2] == ["site1", "syncer"]]
    assert syncer.split()[2:] == ["0.1.0", *syncer.split()[3:5], "ago", "ok", "-"]
    unseen = await certbus("site", "review", "site2")
    assert "has not reported yet" in unseen.err


async def test_events_are_followed_over_a_restart_without_gap_or_repetition(registry: RunningRegistry) -> None:
    following = await Command.start("event", "follow", "--since", "start", "-o", "json")
    reading = await Command.start("event", "follow", "--since", "start", "--type", "requested")
    assert (await certbus(*request_words("before"))).code == ExitCode.OK
    # Both are connected before the registry stops: who never was leaves at once, as a command should.
    await until(lambda: any('"before"' in line for line in following.out))
    await until(lambda: any("before" in line for line in reading.out))
    await registry.process.stop()
    await following.tells("trying again")
    gone = await certbus("cert", "list")
    assert (gone.code, len(gone.err.splitlines())) == (ExitCode.UNREACHABLE, 1)
    await registry.process.start()
    assert (await certbus(*request_words("after"))).code == ExitCode.OK
    await until(lambda: any('"name":"after"' in line for line in following.out))
    await until(lambda: any("after" in line for line in reading.out))

    following.interrupt()
    reading.interrupt()
    followed, read = await following.ended(), await reading.ended()
    assert (followed.code, read.code) == (0, 0)
    events = [json.loads(line) for line in followed.out.splitlines()]
    ids = [event["id"] for event in events]
    assert len(ids) == len(set(ids))
    assert {"specversion", "id", "source", "type", "time", "subject", "data"} <= events[0].keys()
    assert all("requested" in line for line in read.out.splitlines())
    assert [line for line in read.out.splitlines() if " after " in line] == read.out.splitlines()[-1:]
    assert "after  asked for by ana" in read.out


async def test_one_certificate_is_followed_by_its_name() -> None:
    for name in ("one-of-two", "the-other"):
        assert (await certbus(*request_words(name))).code == ExitCode.OK
    reading = await Command.start("event", "follow", "--since", "start", "--certificate", "one-of-two")
    await until(lambda: bool(reading.out))
    reading.interrupt()
    read = await reading.ended()
    assert all(" one-of-two " in line for line in read.out.splitlines())


async def test_a_command_that_was_started_with_sigint_ignored_leaves_at_it_too() -> None:
    assert (await certbus(*request_words("in-the-background"))).code == ExitCode.OK
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    following = await Command.start("event", "follow", "--since", "start", under=ignoring)
    await until(lambda: bool(following.out))
    following.interrupt()
    assert (await following.ended()).code == ExitCode.OK


async def test_a_reader_that_has_seen_enough_ends_the_following() -> None:
    assert (await certbus(*request_words("seen"))).code == ExitCode.OK
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m certbus event follow --since start | head -n 2; echo ${{PIPESTATUS[0]}}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        executable="/bin/bash",
    )
    async with asyncio.timeout(HANG_S):
        out, err = await process.communicate()
    assert (len(out.splitlines()), out.splitlines()[-1], err) == (3, b"0", b"")
