"""The one step that makes streams and consumers and tells where they drifted: `python -m certkit.declare`.

Exit codes: 0 as declared, 1 drift was found (and left, unless --apply), 2 the broker didn't answer.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from certkit.topology import Topology, topology

__all__ = ["Drift", "declare"]

_STREAM_FIELDS: Final = (
    "subjects",
    "retention",
    "storage",
    "num_replicas",
    "max_bytes",
    "max_msg_size",
    "max_msgs_per_subject",
    "discard",
    "max_age",
    "duplicate_window",
    "allow_direct",
)
_CONSUMER_FIELDS: Final = (
    "deliver_policy",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "filter_subjects",
)


@dataclass(frozen=True)
class Drift:
    """One difference between what is declared and what the broker has; `found` is None where it was missing."""

    name: str
    field: str
    declared: str
    found: str | None


async def declare(js: JetStreamContext, wanted: Topology, *, apply: bool) -> list[Drift]:
    """Compare the broker with the topology; with `apply`, create what is missing and update what differs.

    Streams and consumers that nobody declared are left alone.
    """
    found: list[Drift] = []
    for config in wanted.streams:
        name = config.name or ""
        try:
            present = (await js.stream_info(name)).config
        except NotFoundError:
            found.append(Drift(name, "stream", "present", None))
            if apply:
                await js.add_stream(config)
            continue
        drift = _compare(name, config, present, _STREAM_FIELDS)
        found += drift
        if drift and apply:
            await js.update_stream(config)
    for consumer in wanted.consumers:
        name = f"{consumer.stream}/{consumer.durable}"
        try:
            info = await js.consumer_info(consumer.stream, consumer.durable)
        except NotFoundError:
            found.append(Drift(name, "consumer", "present", None))
            if apply:
                await js.add_consumer(consumer.stream, consumer.config())
            continue
        drift = _compare(name, consumer.config(), info.config, _CONSUMER_FIELDS)
        found += drift
        if drift and apply:
            # The server takes a create for an existing durable as an update.
            await js.add_consumer(consumer.stream, consumer.config())
    return found


def _compare(name: str, declared: Any, present: Any, fields: tuple[str, ...]) -> list[Drift]:
    return [
        Drift(name, field, str(_plain(getattr(declared, field))), str(_plain(getattr(present, field))))
        for field in fields
        if _plain(getattr(declared, field)) != _plain(getattr(present, field))
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(value) or None
    return getattr(value, "value", value)


async def _told_by_the_end(_: Exception) -> None:
    """Each failed try would print a traceback; the last one is told in a line."""


async def _connect(url: str, seed_file: Path | None, identity: str) -> Client:
    return await nats.connect(
        url,
        nkeys_seed=str(seed_file) if seed_file else None,
        inbox_prefix=f"_INBOX.{identity}".encode(),
        allow_reconnect=False,
        # The first connection is repeated as well: a broker that just starts is waited for, one that is away is told.
        max_reconnect_attempts=3,
        reconnect_time_wait=1,
        connect_timeout=5,
        error_cb=_told_by_the_end,
    )


async def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m certkit.declare", description=__doc__)
    parser.add_argument("--url", default="nats://127.0.0.1:4222")
    parser.add_argument("--nkey-seed-file", type=Path)
    parser.add_argument("--identity", default="operator")
    parser.add_argument("--site", action="append", default=[], help="a site; repeat for each")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--apply", action="store_true", help="create and update; without it only report")
    options = parser.parse_args(arguments)
    try:
        client = await _connect(options.url, options.nkey_seed_file, options.identity)
        try:
            wanted = topology(options.site, replicas=options.replicas)
            drift = await declare(client.jetstream(), wanted, apply=options.apply)
        finally:
            await client.close()
    except (NatsError, OSError) as error:
        print(f"the broker at {options.url} didn't answer: {error}", file=sys.stderr)  # noqa: T201 # a command
        return 2
    for item in drift:
        found = "missing" if item.found is None else f"{item.field} is {item.found}, declared {item.declared}"
        print(f"{item.name}: {found}{' (mended)' if options.apply else ''}")  # noqa: T201 # a command
    return 1 if drift and not options.apply else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
