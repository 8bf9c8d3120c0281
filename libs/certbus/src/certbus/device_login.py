"""Signing in where there is no browser: a person types a code at another machine, and the command asks until then."""

import time
from collections.abc import Callable
from typing import Final

from certbus.output import say
from certbus.sign_in_client import SignInRegistry
from certcore.tokens import DeviceOrder, DevicePoll, TokenView

__all__ = ["device_login"]

_SHORTEST_S: Final = 1.0


def device_login(
    client: SignInRegistry,
    *,
    verifier: str,
    patience_s: float,
    tell: Callable[..., None] = say,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> TokenView | None:
    """The session; None where nobody came in time. It is asked for as seldom as the registry says.

    Raises:
        CommandError: somebody said no.
    """
    offer = client.begin_device(DeviceOrder(verifier=verifier))
    ends, wait_s = clock() + min(patience_s, offer.expires_s), offer.interval_s
    tell(f"Open {offer.url} on any machine, and type {offer.user_code} there.")
    if offer.url_with_code is not None:
        tell(f"Or open {offer.url_with_code}, and compare the code.")
    tell("Go on only if you began this here yourself.")
    while clock() + wait_s < ends:
        sleep(wait_s)
        answer = client.device_session(DevicePoll(handle=offer.handle, verifier=verifier))
        if isinstance(answer, TokenView):
            return answer
        wait_s = max(answer.wait_s, _SHORTEST_S)
    return None
