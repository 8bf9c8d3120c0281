"""The one step that makes streams and consumers and reports their drift: `python -m certkit.declare`.

Streams of the form before are moved into their successors (`certkit.migration`).

Exit codes: 0 as declared, 1 drift was found (and left, unless --apply), 2 the broker didn't answer, 3 what an old
stream holds can't be moved.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, RetentionPolicy, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from certcore import subjects
from certcore.errors import CertbusError
from certcore.identities import OPERATOR
from certkit.bus_client import connect_bus
from certkit.migration import Migrated, migrate, outdated
from certkit.settings import BusSettings, faults_of
from certkit.tls import TlsFileError
from certkit.topology import Topology, topology

__all__ = ["Drift", "declare"]

_STREAM_FIELDS: Final = (
    "subjects",
    "retention",
    "storage",
    "num_replicas",
    "max_bytes",
    "max_msgs",
    "max_msg_size",
    "max_msgs_per_subject",
    "discard",
    "discard_new_per_subject",
    "max_age",
    "duplicate_window",
    "allow_direct",
    "sources",
    "metadata",
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

    def line(self, *, applied: bool) -> str:
        found = "missing" if self.found is None else f"{self.field} is {self.found}, declared {self.declared}"
        return f"{self.name}: {found}{' (mended)' if applied else ''}"


async def declare(js: JetStreamContext, wanted: Topology, *, apply: bool) -> list[Drift | Migrated]:
    """Compare the broker with the topology; with `apply`, create what is missing and update what differs.

    Streams and consumers that nobody declared are left alone, but for those of the form before: they are moved. It
    may be broken off anywhere and started again.

    Raises:
        PermanentError, TransientError: as `certkit.migration.migrate`.
    """
    found: list[Drift | Migrated] = []
    found += await migrate(js, wanted) if apply else await outdated(js)
    for config in wanted.streams:
        name = config.name or ""
        try:
            present = await js.stream_info(name)
        except NotFoundError:
            found.append(Drift(name, "stream", "present", None))
            if apply:
                await js.add_stream(config)
            continue
        drift = _compare(name, config, present.config, _STREAM_FIELDS)
        found += drift
        if drift and apply:
            await js.update_stream(await _roomy(js, config, present))
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
    return found + await _unread_requests(js, wanted)


async def _roomy(js: JetStreamContext, config: StreamConfig, present: StreamInfo) -> StreamConfig:
    """The limits, but for those that would drop what nobody has read yet: they are mended by a later run."""
    name = config.name or ""
    consumers = await js.consumers_info(name)
    if config.retention is not RetentionPolicy.WORK_QUEUE and consumers and not any(map(_unread, consumers)):
        return config
    most = max(((await js.stream_info(name, subjects_filter=">")).state.subjects or {"": 0}).values())
    newest = config.max_msgs_per_subject
    return replace(
        config,
        max_msgs_per_subject=max(newest, most) if newest > 1 else newest,
        max_bytes=_at_least(config.max_bytes, present.state.bytes),
        max_msgs=_at_least(config.max_msgs, present.state.messages),
    )


def _unread(consumer: ConsumerInfo) -> bool:
    return bool(consumer.num_pending or consumer.num_ack_pending)


def _at_least(limit: int | None, held: int) -> int | None:
    return max(limit, held) if limit is not None and limit > 0 else limit


async def _unread_requests(js: JetStreamContext, wanted: Topology) -> list[Drift | Migrated]:
    try:
        info = await js.stream_info(subjects.REQUESTS, subjects_filter=">")
    except NotFoundError:
        return []
    owners = {subjects.owner_of_request(subject) for subject in info.state.subjects or {}}
    return [
        Migrated(subjects.REQUESTS, f"requests of {owner} wait and nobody reads them: declare the owner")
        for owner in sorted(owners - set(wanted.owners))
    ]


def _compare(name: str, declared: Any, present: Any, fields: tuple[str, ...]) -> list[Drift]:
    return [
        Drift(name, field, str(_plain(getattr(declared, field))), str(_plain(getattr(present, field))))
        for field in fields
        if _plain(getattr(declared, field)) != _plain(getattr(present, field))
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(getattr(item, "name", item) for item in value) or None
    if isinstance(value, Mapping):
        # The broker notes its own version beside ours.
        return {key: entry for key, entry in value.items() if not key.startswith("_nats")} or None
    return getattr(value, "value", value)


async def _told_by_the_end(_: Exception) -> None:
    """nats-py prints a traceback for each failed try; here the last one is reported in a line."""


async def _connect(settings: BusSettings) -> Client:
    return await connect_bus(
        settings,
        allow_reconnect=False,
        # Also for the first connection: waits for a broker that just starts, and reports an unreachable one.
        max_reconnect_attempts=3,
        reconnect_time_wait=1,
        connect_timeout=5,
        error_cb=_told_by_the_end,
    )


async def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m certkit.declare", description=__doc__)
    parser.add_argument("--url", default="tls://127.0.0.1:4222")
    parser.add_argument("--nkey-seed-file", type=Path)
    parser.add_argument("--ca-file", type=Path, help="trust roots of the broker; by default the system's")
    parser.add_argument("--certificate-file", type=Path, help="own certificate, for a broker that asks for one")
    parser.add_argument("--key-file", type=Path, help="its key")
    parser.add_argument("--plain-text", action="store_true", help="do without TLS; only with a loopback address")
    parser.add_argument("--identity", default=OPERATOR)
    parser.add_argument("--site", action="append", default=[], help="a site; repeat for each")
    parser.add_argument("--owner", action="append", default=[], help="who may ask over the bus; repeat for each")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--apply", action="store_true", help="create and update; without it only report")
    options = parser.parse_args(arguments)
    connection = {name: value for name, value in vars(options).items() if name in BusSettings.model_fields}
    try:
        settings = BusSettings.model_validate(connection)
        settings.tls_context()
    except TlsFileError as error:
        parser.error(str(error))
    except ValidationError as error:
        parser.error(
            "; ".join(f"--{fault.field[0].replace('_', '-')}: {fault.problem}" for fault in faults_of(error))
        )
    try:
        client = await _connect(settings)
        try:
            wanted = topology(options.site, owners=options.owner, replicas=options.replicas)
            drift = await declare(client.jetstream(), wanted, apply=options.apply)
        finally:
            await client.close()
    except (NatsError, OSError) as error:
        print(f"the broker at {options.url} didn't answer: {error}", file=sys.stderr)  # noqa: T201 # a command
        return 2
    except CertbusError as error:
        print(str(error), file=sys.stderr)  # noqa: T201 # a command
        return 3
    for item in drift:
        print(item.line(applied=options.apply))  # noqa: T201 # a command
    return 1 if drift and not options.apply else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
