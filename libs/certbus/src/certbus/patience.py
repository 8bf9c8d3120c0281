"""Asking the registry once more: where it names a wait, and where its answer got lost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import httpx

from certcore.backoff import named_wait

__all__ = ["ask_patiently"]

_LONGEST_S: Final = 60.0
"""So long a call waits in all for a registry that asks for patience."""
_LOST_PAUSES_S: Final = (0.5, 2.0)
"""Before each time that a call is repeated whose answer got lost."""
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)


def ask_patiently(
    send: Callable[[], httpx.Response], *, repeatable: bool, lost_too: bool, sleep: Callable[[float], None]
) -> httpx.Response:
    """The answer, or the refusal where the registry names no wait or a too long one.

    `repeatable`: to send it twice does no more than once. `lost_too`: it has a key, so that the registry answers what
    was answered before.

    Raises:
        httpx.HTTPError: no answer came; of several tries the first that was sent tells.
    """
    left_s, pauses = _LONGEST_S, list(_LOST_PAUSES_S)
    lost: httpx.HTTPError | None = None
    while True:
        try:
            response = send()
        except httpx.HTTPError as error:
            if lost is None and (isinstance(error, _NOT_SENT) or not lost_too):
                raise
            lost = lost or error
            if not pauses:
                raise lost from None
            sleep(pauses.pop(0))
            continue
        wait = named_wait(response.headers.get("retry-after"), most=timedelta(days=1))
        # 429: it was not begun. 409: the same is at work, under this key.
        patient = response.status_code == 429 or (repeatable and response.status_code in {409, 503})
        if not patient or wait is None or (wait_s := max(wait.total_seconds(), 0.5)) > left_s:
            return response
        left_s -= wait_s
        sleep(wait_s)
