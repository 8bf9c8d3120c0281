"""One step owns streams and consumers, and tells where they drifted."""

import subprocess
import sys
from dataclasses import replace

import nats
import pytest

from certkit.declare import Drift, declare
from certkit.topology import topology

pytestmark = pytest.mark.integration

_WANTED = topology(["site1"])


async def test_what_is_missing_is_made_and_a_second_time_nothing_is(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    missing = await declare(js, _WANTED, apply=True)
    assert {drift.found for drift in missing} == {None}
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


async def test_a_new_site_is_added_and_the_others_stay(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await declare(js, _WANTED, apply=True)
    await js.publish("certs.deploy.site1.syncer.c1", b"{}")
    added = await declare(js, topology(["site1", "site2"]), apply=True)
    assert {drift.name for drift in added} == {
        "DEPLOY_site2",
        "DEPLOY_site2/site2-syncer",
        "DEPLOY_site2/site2-pusher",
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


@pytest.mark.parametrize(("apply", "code"), [(False, 1), (True, 0)])
def test_the_command_tells_drift_by_its_exit_code(nats_url: str, *, apply: bool, code: int) -> None:
    argv = [sys.executable, "-m", "certkit.declare", "--url", nats_url, "--site", "site1"]
    done = subprocess.run(argv + ["--apply"] * apply, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "DEPLOY_site1: missing" in done.stdout


def test_the_command_says_that_no_broker_answers() -> None:
    argv = [sys.executable, "-m", "certkit.declare", "--url", "nats://127.0.0.1:1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "didn't answer" in done.stderr
