"""The routes that change what is asked for; each may be called twice under one key."""

from fastapi import APIRouter

from certcore.clock import Clock
from certcore.door import RequestDoor
from registry.adapters.outbox import Bell
from registry.adapters.store import Store
from registry.handlers.http.approvals_api import approvals_router
from registry.handlers.http.decisions_api import decisions_router
from registry.handlers.http.renewals_api import renewals_router
from registry.handlers.http.repeats import Repeats
from registry.handlers.http.requests_api import requests_router
from registry.handlers.renewals import Renewals
from registry.handlers.requests import Requests

__all__ = ["asking_routers"]


def asking_routers(
    *, store: Store, requests: Requests, renewals: Renewals, door: RequestDoor, bell: Bell, clock: Clock
) -> tuple[APIRouter, ...]:
    repeats = Repeats(store=store, clock=clock)
    return (
        requests_router(store=store, requests=requests, door=door, bell=bell, repeats=repeats),
        decisions_router(requests=requests, bell=bell, repeats=repeats),
        approvals_router(requests=requests, bell=bell, repeats=repeats),
        renewals_router(renewals=renewals, bell=bell, repeats=repeats),
    )
