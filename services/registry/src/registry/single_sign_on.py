"""What signs people in by a provider, put together for `app`; nothing of it where no provider is set."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import APIRouter

from certcore.clock import Clock
from certkit.readiness import Finding
from certkit.tls import TlsFiles, client_context
from registry.adapters.oidc.provider import Client, Provider
from registry.adapters.store import Store
from registry.domain.identity import Named
from registry.handlers.device_sign_in import DeviceSignIn
from registry.handlers.http.auth import Authenticator, hash_token, new_token
from registry.handlers.sessions import Sessions
from registry.handlers.sign_in import SignIn
from registry.handlers.web.device_pages import device_router
from registry.handlers.web.sign_in_pages import CALLBACK, sign_in_router
from registry.settings import Settings

__all__ = ["SingleSignOn", "single_sign_on"]

_LOOK_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class SingleSignOn:
    """The parts that `app` hands to others: checks of readiness, rounds, and routes."""

    sign_in: SignIn | None = None
    sessions: Sessions | None = None
    devices: DeviceSignIn | None = None
    checks: Sequence[Callable[[], Sequence[Finding]]] = ()
    rounds: Sequence[tuple[str, float, Callable[[], Awaitable[None]]]] = ()

    @property
    def offered(self) -> bool:
        return self.sign_in is not None

    def routers(self, authenticator: Authenticator) -> Sequence[APIRouter]:
        if self.sign_in is None or self.sessions is None or self.devices is None:
            return ()
        return (
            sign_in_router(sign_in=self.sign_in, sessions=self.sessions, authenticator=authenticator),
            device_router(devices=self.devices, authenticator=authenticator),
        )


def single_sign_on(settings: Settings, store: Store, clock: Clock) -> SingleSignOn:
    """The provider isn't asked yet.

    Raises:
        TlsFileError: its roots can't be used.
    """
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return SingleSignOn()
    client = Client(
        issuer=settings.oidc_issuer,
        id=settings.oidc_client_id,
        redirect_url=(settings.oidc_public_url or settings.http.url).rstrip("/") + CALLBACK,
        scope=settings.oidc_scope,
        secret_file=settings.oidc_client_secret_file,
    )
    provider = Provider(client=client, clock=clock, trust=client_context(TlsFiles(ca=settings.oidc_ca_file)))
    sign_in = SignIn(
        provider=provider,
        clock=clock,
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        audience=settings.oidc_audience or settings.oidc_client_id,
        named=Named(settings.oidc_subject_claim, settings.oidc_groups_claim, settings.oidc_name_claim),
    )
    sessions = Sessions(
        store=store,
        clock=clock,
        lasts=timedelta(seconds=settings.oidc_session_s),
        new_token=new_token,
        hash_token=hash_token,
    )
    devices = DeviceSignIn(store=store, provider=provider, sign_in=sign_in, sessions=sessions, clock=clock)
    return SingleSignOn(sign_in, sessions, devices, (provider.findings,), (("oidc", _LOOK_EVERY_S, provider.look),))
