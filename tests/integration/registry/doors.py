"""The routes of the API, and who gets through: the table that the tests of access go by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from certcore.api import Role
from tests.registry_process import Person

__all__ = [
    "ASKING",
    "BODIES",
    "EVERYBODY",
    "LOOKING",
    "MAY_CALL",
    "NOTHING",
    "OF_A_TEAM",
    "OPEN_TO_ALL",
    "SEEING_ALL",
    "Door",
    "Route",
]

LOOKING = {Role.VIEWER, Role.REQUESTER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR}
ASKING = {Role.REQUESTER, Role.OPERATOR}
SEEING_ALL = {Role.APPROVER, Role.OPERATOR, Role.AUDITOR}
EVERYBODY = set(Role)


@dataclass(frozen=True)
class Door:
    """Who gets through where it is about what their own team has, or about nobody's; and, where a route is about
    something that a team has, who gets through to that of another. None: everybody with a token, who then finds only
    what is theirs.
    """

    own: set[Role] | None
    foreign: set[Role] | None = None


# Written by hand.
MAY_CALL: dict[tuple[str, str], Door] = {
    ("POST", "/v1/requests"): Door(ASKING),
    ("GET", "/v1/requests"): Door(LOOKING),
    ("GET", "/v1/requests/{request_id}"): Door(LOOKING, SEEING_ALL),
    ("POST", "/v1/requests/{request_id}/approve"): Door({Role.APPROVER}, {Role.APPROVER}),
    ("POST", "/v1/requests/{request_id}/deny"): Door({Role.APPROVER}, {Role.APPROVER}),
    ("GET", "/v1/certificates"): Door(LOOKING),
    ("GET", "/v1/certificates/{name}"): Door(LOOKING, SEEING_ALL),
    ("POST", "/v1/certificates/{name}/renew"): Door(ASKING, {Role.OPERATOR}),
    ("POST", "/v1/certificates/{name}/approval"): Door(ASKING, {Role.OPERATOR}),
    ("GET", "/v1/audit"): Door({Role.AUDITOR}),
    ("GET", "/v1/audit/export"): Door({Role.AUDITOR}),
    ("GET", "/v1/policy"): Door({Role.AUDITOR, Role.OPERATOR}),
    ("POST", "/v1/policy/test"): Door(ASKING),
    ("GET", "/v1/sites"): Door(LOOKING),
    ("PUT", "/v1/sites/{name}"): Door({Role.OPERATOR}),
    ("GET", "/v1/sites/{name}/review"): Door(LOOKING),
    ("PUT", "/v1/sites/{name}/review"): Door({Role.DELIVERER}),
    ("GET", "/v1/tokens"): Door(EVERYBODY),
    ("POST", "/v1/tokens"): Door({Role.ADMIN}),
    ("POST", "/v1/tokens/{token_id}/rotate"): Door(EVERYBODY, {Role.ADMIN}),
    ("DELETE", "/v1/tokens/{token_id}"): Door(EVERYBODY, {Role.ADMIN}),
    ("GET", "/v1/rights-changes"): Door({Role.ADMIN, Role.AUDITOR}),
    ("POST", "/v1/rights-changes/{change_id}/confirm"): Door({Role.ADMIN}),
    ("POST", "/v1/rights-changes/{change_id}/refuse"): Door({Role.ADMIN}),
    ("POST", "/v1/rights-changes/{change_id}/take"): Door({Role.ADMIN}),
    ("PUT", "/v1/bundles/{certificate_id}/{revision}"): Door({Role.ISSUER}),
    ("GET", "/v1/bundles/{certificate_id}/{revision}"): Door(None),
    ("PUT", "/v1/bundles/{certificate_id}/{revision}/keys"): Door({Role.ESCROW}),
    ("GET", "/v1/reseals"): Door({Role.ESCROW}),
    ("POST", "/v1/heartbeats"): Door({Role.ESCROW}),
    ("GET", "/v1/challenges"): Door({Role.DELIVERER}),
    ("PUT", "/v1/challenges/{site}/{token}"): Door({Role.ISSUER}),
    ("GET", "/v1/challenges/{site}/{token}"): Door({Role.ISSUER}),
    ("DELETE", "/v1/challenges/{site}/{token}"): Door({Role.ISSUER}),
    ("GET", "/v1/orders"): Door({Role.ISSUER}),
    ("POST", "/v1/issued"): Door({Role.ISSUER}),
    ("PUT", "/v1/limits"): Door({Role.ISSUER}),
    ("POST", "/v1/forecasts"): Door({Role.OPERATOR}),
    ("GET", "/v1/restore"): Door(LOOKING),
    ("GET", "/v1/deployments"): Door({Role.DELIVERER}),
    ("GET", "/v1/csrs"): Door({Role.DELIVERER}),
    ("GET", "/v1/services"): Door(LOOKING),
    ("GET", "/v1/alerts"): Door(LOOKING),
    ("GET", "/v1/expectations"): Door({Role.MONITOR}),
    ("GET", "/v1/events"): Door(LOOKING),
    ("POST", "/v1/events/replay"): Door({Role.OPERATOR}),
    ("POST", "/v1/sign-in-codes"): Door({Role.OPERATOR}),
    ("GET", "/v1/whoami"): Door(EVERYBODY),
}
OF_A_TEAM = [route for route, door in MAY_CALL.items() if door.foreign is not None]
OPEN_TO_ALL = {"/openapi.json", "/healthz", "/readyz", "/metrics", "/assets/page.css", "/assets/page.js"}

# Bodies that pass a route's model and then meet something that isn't there.
BODIES: dict[tuple[str, str], object] = {
    ("POST", "/v1/requests"): {},
    ("POST", "/v1/policy/test"): {},
    ("POST", "/v1/requests/{request_id}/approve"): {},
    ("POST", "/v1/requests/{request_id}/deny"): {"reason": "no"},
    ("POST", "/v1/rights-changes/{change_id}/refuse"): {"reason": "no"},
    ("PUT", "/v1/sites/{name}"): {"recipients": []},
    ("PUT", "/v1/sites/{name}/review"): {"digest": "d"},
    ("POST", "/v1/events/replay"): {"certificate": "nowhere"},
    ("POST", "/v1/tokens"): {"subject": "nobody", "owner": "nobody", "roles": []},
    ("PUT", "/v1/bundles/{certificate_id}/{revision}"): {"chain_pem": "", "keys": []},
    ("PUT", "/v1/bundles/{certificate_id}/{revision}/keys"): {"keys": []},
    ("POST", "/v1/issued"): {"epoch": 7, "revisions": []},
    ("PUT", "/v1/limits"): {"made_at": "2026-01-01T00:00:00Z"},
    ("POST", "/v1/forecasts"): {"orders": [{"id": "one", "ca": "nobody", "dns_names": ["a.example.test"]}]},
    ("POST", "/v1/heartbeats"): {"site": "hub", "service": "escrow", "version": "1"},
}


NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Route:
    method: str
    template: str

    async def call(self, person: Person, about: Mapping[str, str] = NOTHING, **options: object) -> httpx.Response:
        """What its path is `about`, by the names in braces; what isn't given is nowhere."""
        named = {"revision": "1", **about}
        path = re.sub(r"\{(\w+)\}", lambda part: named.get(part[1], "nowhere"), self.template)
        if self.template == "/v1/events":
            # It never ends: only its beginning is looked at.
            request = person.http.build_request(self.method, path, headers=person.headers)
            response = await person.http.send(request, stream=True)
            if response.status_code != 200:
                await response.aread()
            await response.aclose()
            return response
        body = BODIES.get((self.method, self.template))
        return await person.call(self.method, path, **({"json": body} if body is not None else {}), **options)
