"""Of the registry's API what signs the command in and out."""

from certbus.client import Registry
from certcore.tokens import SessionOrder, TokenView, WhoView

__all__ = ["SignInRegistry"]


class SignInRegistry(Registry):
    """As `Registry`; to get a session no token is needed."""

    def session(self, order: SessionOrder) -> TokenView:
        return self._read(TokenView, self._call("POST", "/oidc/session", body=order))

    def who(self) -> WhoView:
        return self._read(WhoView, self._call("GET", "/v1/whoami"))
