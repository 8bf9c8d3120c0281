"""Of the registry's API what signs the command in and out."""

from typing import Final

from certbus.client import Registry
from certcore.tokens import DeviceOffer, DeviceOrder, DevicePoll, DeviceWait, SessionOrder, TokenView, WhoView

__all__ = ["SignInRegistry"]

_WAITS: Final = 202


class SignInRegistry(Registry):
    """As `Registry`; to get a session no token is needed."""

    def session(self, order: SessionOrder) -> TokenView:
        return self._read(TokenView, self._call("POST", "/oidc/session", body=order))

    def begin_device(self, order: DeviceOrder) -> DeviceOffer:
        return self._read(DeviceOffer, self._call("POST", "/oidc/device", body=order))

    def device_session(self, order: DevicePoll) -> TokenView | DeviceWait:
        """The session, or how long to wait before asking again."""
        answer = self._response("POST", "/oidc/device/session", query=[], body=order)
        if answer.status_code == _WAITS:
            return self._read(DeviceWait, answer.content)
        return self._read(TokenView, answer.content)

    def who(self) -> WhoView:
        return self._read(WhoView, self._call("GET", "/v1/whoami"))
