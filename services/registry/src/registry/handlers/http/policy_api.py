"""The policy that holds, and what it says of a request."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from certcore.api import Role
from certcore.door import RequestDoor
from certcore.policy.verdict import PolicyVerdict, PolicyView, verdict_of
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal, owner_for
from registry.domain.errors import NotFoundError
from registry.handlers.http.auth import Requester, everywhere
from registry.handlers.requests import Requests

__all__ = ["policy_router"]

_Reader = Annotated[Principal, Depends(everywhere(Role.AUDITOR, Role.OPERATOR))]


def policy_router(*, store: Store, requests: Requests, door: RequestDoor) -> APIRouter:
    router = APIRouter(prefix="/v1/policy", tags=["policy"])
    schema = door.model.model_json_schema(ref_template="#/components/schemas/{model}")
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    @router.get("")
    async def show(_: _Reader) -> PolicyView:
        """The whole policy: who may have which names where."""

        def work(transaction: Transaction) -> PolicyView:
            digest = transaction.policies.digest()
            if digest is None:
                raise NotFoundError("there is no policy: no request is allowed")
            return PolicyView(digest=digest, policy=json.loads(transaction.policies.document(digest)))

        return await store.read(work)

    @router.post("/test", openapi_extra=body)
    async def test(
        request: Request,
        caller: Requester,
        owner: Annotated[str | None, Query(description="The team to judge it for; by default its own.")] = None,
    ) -> PolicyVerdict:
        """What would be asked of whom for this request, and why; or why it is refused. Nothing is stored."""
        spec = door.read(await request.body())
        team = owner_for(spec.model_copy(update={"owner": owner or spec.owner}), caller)
        digest, judged = await store.read(lambda transaction: requests.verdict(transaction, spec, owner=team))
        return verdict_of(judged, spec, digest=digest)

    return router
