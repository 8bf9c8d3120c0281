"""When a CA suggests to renew a certificate, and when it is asked again (RFC 9773 §4.2, §4.3)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from certcore.links import page_link
from issuer.domain.job import JobId
from issuer.domain.renewal_info import RenewalInfo

__all__ = ["KeptWindow", "Watched", "after_answer", "after_silence", "chosen_in"]

_SHORTEST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=1)
_USUAL: Final = timedelta(hours=6)
_MOST_DOUBLINGS: Final = 9


@dataclass(frozen=True)
class KeptWindow:
    """`chosen` is when to renew. `answered_at` is when the CA first answered with this window."""

    start: datetime
    end: datetime
    chosen: datetime
    answered_at: datetime
    explanation_url: str | None = None


@dataclass(frozen=True)
class Watched:
    """An X.509 certificate whose CA is asked when to renew it. `ari_id` is its name there. `silences` counts the
    questions in a row that nothing came of, `changes` how often its window changed: what was told before is old.
    """

    job: JobId
    ca: str
    ari_id: str
    ask_at: datetime
    window: KeptWindow | None = None
    silences: int = 0
    changes: int = 0


def after_answer(watched: Watched, info: RenewalInfo | None, *, now: datetime) -> Watched:
    """With the window as answered; None where the CA tells none: then the one that is known stays."""
    if info is None:
        return replace(watched, silences=0, ask_at=now + _LONGEST)
    wait = _USUAL if info.retry_after is None else _clamped(info.retry_after)
    asked = replace(watched, silences=0, ask_at=now + wait)
    known, url = watched.window, page_link(info.explanation_url)
    if known is not None and (known.start, known.end) == (info.start, info.end):
        if known.explanation_url == url:
            return asked
        # The instant stays as long as the window does.
        window = replace(known, explanation_url=url, answered_at=now)
    else:
        window = KeptWindow(info.start, info.end, chosen_in(watched.job, info, now=now), now, url)
    return replace(asked, window=window, changes=watched.changes + 1)


def after_silence(
    watched: Watched, *, retry_after: timedelta | None = None, lasting: bool = False, now: datetime
) -> Watched:
    """Nothing can be made of what the CA answered, or it didn't: what is known stays. `lasting` tells that asking
    again soon will not help.
    """
    wait = _USUAL if lasting else min(_SHORTEST * 2 ** min(watched.silences, _MOST_DOUBLINGS), _USUAL)
    if retry_after is not None:
        wait = max(wait, _clamped(retry_after))
    return replace(watched, silences=watched.silences + 1, ask_at=now + wait)


def chosen_in(job: JobId, info: RenewalInfo, *, now: datetime) -> datetime:
    """Now where the window is past. Else an instant in it, evenly spread over certificates: whoever asks chooses the
    same one.
    """
    if info.end <= now:
        return now
    seed = f"{job} {info.start.timestamp()} {info.end.timestamp()}"
    share = int.from_bytes(sha256(seed.encode()).digest()[:6]) / 2**48
    return info.start + (info.end - info.start) * share


def _clamped(wait: timedelta) -> timedelta:
    return min(max(wait, _SHORTEST), _LONGEST)
