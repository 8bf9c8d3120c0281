"""How much each stream takes: nobody who publishes can store more than his share, or take another's.

A message may be as large as the largest honest one of its stream; a test makes those. What a publisher sends over
its bound is refused, or replaces only what is its own.

| share of | bounds | at most |
|---|---|---|
| an owner in REQUESTS | 200 waiting of 128 KiB, then refused | 25 MiB |
| an owner: ANSWERS_<owner> | the oldest answers go | 4 MiB |
| a durable in DLQ_<place> | 64 newest letters of 132 KiB | 8.3 MiB |
| a site | DEPLOY 24, STATUS 16, LAST 6, DLQ of two durables | 63 MiB |
| the hub as a place | DEPLOY 24, STATUS 64, LAST 64, DLQ of all others | 193 MiB and 8.3 an owner |
| everything else | CERTS 256, ALERTS 64, ANCHOR 16 | 336 MiB |

The broker counts declared sizes as used, so its `max_file_store` must hold the sum: about 0.5 GiB, 63 MiB a site and
38 MiB an owner. 100 sites and 100 owners need 10.4 GiB.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["LARGEST_EVENT", "LETTER_BODY", "LETTER_HEADERS", "Bounds", "PlaceBounds"]

_KIB: Final = 1024
_MIB: Final = 1024 * 1024

_HEADERS: Final = 4 * _KIB
"""Room for the headers of an event, which count as a part of the message."""

_RECORD: Final = _KIB
"""Room for what the broker stores beside a message: its subject and about 30 bytes."""

LARGEST_EVENT: Final = 720 * _KIB
"""The largest body of what the registry publishes: it refuses a change whose event would be larger.

An order of 1,000 placements has 640 KiB, the expectations of 500 endpoints 460 KiB.
"""

LETTER_BODY: Final = 128 * _KIB
LETTER_HEADERS: Final = 4 * _KIB
"""What a dead letter keeps of its message; `certkit.dead_letters` leaves the rest out."""


@dataclass(frozen=True, kw_only=True)
class PlaceBounds:
    """Sizes of the streams of one place, in bytes; `last_subjects` is a number."""

    deploy: int
    status: int
    last: int
    last_subjects: int


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """In bytes; `waiting_requests`, `alerts_kept` and `letters_kept` are numbers of messages of one subject.

    The sizes of messages include their headers.
    """

    request: int = 128 * _KIB
    waiting_requests: int = 200

    # 100 rejections, each a path and a message: 50 KiB.
    answer: int = 64 * _KIB
    answers: int = 4 * _MIB

    event: int = LARGEST_EVENT + _HEADERS
    events: int = 256 * _MIB

    alert: int = 32 * _KIB
    alerts: int = 64 * _MIB
    alerts_kept: int = 16

    anchor: int = 16 * _KIB
    anchors: int = 16 * _MIB

    # Syncers before reviews by HTTP put up to 800 KiB of Secrets into one report; every other report has a few KiB.
    report: int = 832 * _KIB
    # A probe round that names 1,000 missed endpoints by their longest URLs has 356 KiB, a heartbeat about 1.
    last_value: int = 384 * _KIB

    letter: int = LETTER_BODY + LETTER_HEADERS
    letters_kept: int = 64

    # 25,000 certificates of one target each; of more, the oldest orders go, and are read as levels.
    site: PlaceBounds = PlaceBounds(deploy=24 * _MIB, status=16 * _MIB, last=6 * _MIB, last_subjects=20_000)
    # The reports of the issuer, and what the monitor saw of every endpoint.
    hub: PlaceBounds = PlaceBounds(deploy=24 * _MIB, status=64 * _MIB, last=64 * _MIB, last_subjects=200_000)

    def requests_of(self, owners: int) -> int:
        """The size of REQUESTS: all that so many owners may have waiting."""
        return max(1, owners) * self.waiting_requests * (self.request + _RECORD)

    def letters_of(self, durables: int) -> int:
        """The size of DLQ_<place> for so many durables: so the bound by subject always comes first."""
        return durables * self.letters_kept * (self.letter + _RECORD)
