"""One stream copied into another by the broker itself, which continues even if this process is killed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig, StreamInfo, StreamSource, SubjectTransform
from nats.js.errors import NotFoundError

from certcore.errors import TransientError

__all__ = ["copy", "is_copy"]

_SOURCE_HEADER: Final = "Nats-Stream-Source"
_POLL_S: Final = 0.05
_QUIET_S: Final = 5.0
_PATIENCE_S: Final = 120.0


def is_copy(config: StreamConfig) -> bool:
    return bool(config.sources)


async def copy(js: JetStreamContext, origin: str, into: StreamConfig, transforms: Sequence[SubjectTransform]) -> None:
    """Make a stream, still without subjects and limits, that holds what matches; return when it holds all.

    Nothing may be published to the origin meanwhile. Without transforms everything is copied. A copy that was begun
    is continued. The caller sets the new stream's subjects and limits afterwards, and removes its source.

    Raises:
        TransientError: the broker makes no progress.
    """
    name = into.name or ""
    if len(transforms) == 1 and transforms[0].src == transforms[0].dest:
        source = StreamSource(name=origin, filter_subject=transforms[0].src)
    else:
        source = StreamSource(name=origin, subject_transforms=list(transforms) or None)
    try:
        present = (await js.stream_info(name)).config
    except NotFoundError:
        await js.add_stream(_unbounded(into, source))
    else:
        if not is_copy(present):
            await js.update_stream(replace(present, sources=[source]))
    await _level(js, origin, name, [transform.src for transform in transforms] or [">"])


def _unbounded(config: StreamConfig, source: StreamSource) -> StreamConfig:
    """With limits, what doesn't fit would be lost or would stop the rest. The last value of a subject is enough."""
    return replace(
        config,
        subjects=None,
        sources=[source],
        max_bytes=-1,
        max_msg_size=-1,
        max_age=0,
        max_msgs_per_subject=1 if config.max_msgs_per_subject == 1 else -1,
        discard=DiscardPolicy.OLD,
        discard_new_per_subject=False,
    )


async def _level(js: JetStreamContext, origin: str, name: str, filters: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while True:
        info = await js.stream_info(name)
        if await _copied_to(js, info) >= await _last_wanted(js, origin, filters):
            return
        if info.state.last_seq != seen:
            seen, since = info.state.last_seq, loop.time()
        quiet = loop.time() - since
        # A message repeated under the same message id is not stored again, so the last one may never arrive.
        if quiet > _QUIET_S and all((source.active or 0) > 0 and not source.lag for source in info.sources or []):
            return
        if quiet > _PATIENCE_S:
            raise TransientError(f"the broker doesn't copy {origin} into {name}: run this again")
        await asyncio.sleep(_POLL_S)


async def _last_wanted(js: JetStreamContext, origin: str, filters: Sequence[str]) -> int:
    last = 0
    for subject in filters:
        try:
            last = max(last, (await js.get_last_msg(origin, subject)).seq or 0)
        except NotFoundError:
            continue
    return last


async def _copied_to(js: JetStreamContext, info: StreamInfo) -> int:
    """The sequence, in the origin, of the newest message that was copied."""
    if info.state.messages == 0:
        return 0
    try:
        message = await js.get_msg(info.config.name or "", info.state.last_seq)
    except NotFoundError:
        return 0
    # "STATUS 17 …": the stream, its sequence, and how it was matched.
    return int((message.headers or {}).get(_SOURCE_HEADER, "- 0").split()[1])
