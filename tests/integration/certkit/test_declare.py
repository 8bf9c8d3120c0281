"""One step owns streams and consumers, and tells where they drifted."""

import subprocess
import sys
from dataclasses import replace

import nats
import pytest
from nats.js.errors import APIError

from certkit.bounds import Bounds, PlaceBounds
from certkit.declare import Drift, declare
from certkit.topology import topology

pytestmark = pytest.mark.integration

_WANTED = topology(["site1"], owners=["payments"])


async def test_what_is_missing_is_made_and_a_second_time_nothing_is(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    missing = await declare(js, _WANTED, apply=True)
    assert {drift.found for drift in missing if isinstance(drift, Drift)} == {None}
    assert len(missing) == len(_WANTED.streams) + len(_WANTED.consumers)
    assert await declare(js, _WANTED, apply=True) == []
    await client.close()


async def test_without_apply_drift_is_told_and_left(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    assert await declare(js, _WANTED, apply=False)
    assert await js.streams_info() == []
    await client.close()


async def test_a_stream_that_somebody_changed_is_told_by_its_field_and_mended(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, _WANTED, apply=True)
    crooked = (await js.stream_info("DEPLOY_site1")).config
    await js.update_stream(replace(crooked, max_msgs_per_subject=5))
    assert await declare(js, _WANTED, apply=False) == [Drift("DEPLOY_site1", "max_msgs_per_subject", "1", "5")]
    await declare(js, _WANTED, apply=True)
    assert await declare(js, _WANTED, apply=False) == []
    await client.close()


async def test_a_new_site_and_a_new_owner_are_added_and_the_others_stay(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, _WANTED, apply=True)
    await js.publish("certs.deploy.site1.syncer.c1", b"{}")
    added = await declare(js, topology(["site1", "site2"], owners=["payments", "web"]), apply=True)
    assert {drift.name for drift in added} == {
        "ALERTS/alerts-web",
        "ANSWERS_web",
        "DLQ_hub",
        "REQUESTS",
        "REQUESTS/requests-web",
        "DEPLOY_site2",
        "DEPLOY_site2/site2-syncer",
        "DEPLOY_site2/site2-pusher",
        "STATUS_site2",
        "STATUS_site2/registry",
        "LAST_site2",
        "LAST_site2/registry",
        "DLQ_site2",
    }
    assert (await js.stream_info("DEPLOY_site1")).state.messages == 1
    await client.close()


async def test_a_site_that_was_away_finds_only_the_newest_order(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, _WANTED, apply=True)
    for revision in (b"1", b"2", b"3"):
        await js.publish("certs.deploy.site1.syncer.c1", revision)
    subscription = await js.pull_subscribe("certs.deploy.site1.syncer.>", "site1-syncer", stream="DEPLOY_site1")
    messages = await subscription.fetch(10, timeout=1)
    assert [message.data for message in messages] == [b"3"]
    await client.close()


async def test_an_owner_with_200_unhandled_requests_is_refused_and_others_are_not(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, topology([], owners=["payments", "web"]), apply=True)
    for _ in range(200):
        await js.publish("certs.request.payments.submit", b"{}")
    with pytest.raises(APIError, match="maximum messages per subject exceeded"):
        await js.publish("certs.request.payments.submit", b"{}")
    await js.publish("certs.request.web.submit", b"{}")

    reading = await js.pull_subscribe("", "requests-payments", stream="REQUESTS")
    [message] = await reading.fetch(1, timeout=5)
    await message.ack_sync()
    await js.publish("certs.request.payments.submit", b"{}")
    await client.close()


async def test_of_a_last_value_only_the_newest_is_kept(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, _WANTED, apply=True)
    for beat in (b"1", b"2", b"3"):
        await js.publish("certs.last.site1.syncer.heartbeat.syncer", beat)
    reading = await js.pull_subscribe("", "registry", stream="LAST_site1")
    assert [message.data for message in await reading.fetch(10, timeout=1)] == [b"3"]
    await client.close()


async def test_smaller_bounds_drop_nothing_that_nobody_has_read(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, topology(["site1"], owners=["payments"]), apply=True)
    orders, reports, letters = (
        [f"certs.deploy.site1.syncer.c{number}" for number in range(5)],
        [f"certs.status.site1.syncer.delivery_failed.c{number}" for number in range(5)],
        ["certs.dlq.site1.site1-syncer"] * 5,
    )
    for subject in (*orders, *reports, *letters):
        await js.publish(subject, bytes(1000))
    place = PlaceBounds(deploy=2000, status=2000, last=2000, last_subjects=2)
    smaller = topology(["site1"], owners=["payments"], bounds=Bounds(site=place, letters_kept=2))
    await declare(js, smaller, apply=True)
    names = ("DEPLOY_site1", "STATUS_site1", "DLQ_site1")
    assert [(await js.stream_info(name)).state.messages for name in names] == [5, 5, 5]
    assert {drift.name for drift in await declare(js, smaller, apply=False)} == set(names)

    for stream, durable in (("DEPLOY_site1", "site1-syncer"), ("STATUS_site1", "registry")):
        reading = await js.pull_subscribe("", durable, stream=stream)
        for message in await reading.fetch(5, timeout=5):
            await message.ack_sync()
    await js.purge_stream("DLQ_site1")
    await declare(js, smaller, apply=True)
    assert await declare(js, smaller, apply=False) == []
    await client.close()


@pytest.mark.parametrize(("apply", "code"), [(False, 1), (True, 0)])
def test_the_command_tells_drift_by_its_exit_code(nats_url: str, *, apply: bool, code: int) -> None:
    argv = [sys.executable, "-m", "certkit.declare", "--plain-text", "--url", nats_url, "--site", "site1"]
    done = subprocess.run(argv + ["--apply"] * apply, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "DEPLOY_site1: missing" in done.stdout


def test_the_command_says_that_no_broker_answers() -> None:
    argv = [sys.executable, "-m", "certkit.declare", "--plain-text", "--url", "nats://127.0.0.1:1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "didn't answer" in done.stderr
