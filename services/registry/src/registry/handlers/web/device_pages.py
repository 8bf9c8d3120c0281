"""The command's part in signing in from a machine without a browser. Not in the document: only the command asks."""

from fastapi import APIRouter, Request, Response, status

from certcore.tokens import DeviceOffer, DeviceOrder, DevicePoll, TokenView
from registry.domain.id_token import LoginRefusedError
from registry.handlers.device_sign_in import DeviceSignIn
from registry.handlers.http.auth import Authenticator
from registry.handlers.http.problems import UnauthorizedError

__all__ = ["device_router"]


def device_router(*, devices: DeviceSignIn, authenticator: Authenticator) -> APIRouter:
    router = APIRouter(prefix="/oidc/device", include_in_schema=False)

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def begin(request: Request, order: DeviceOrder) -> DeviceOffer:
        try:
            return await devices.begin(verifier=order.verifier)
        except LoginRefusedError as refusal:
            raise await _refused(request, refusal) from None

    @router.post("/session", status_code=status.HTTP_201_CREATED, response_model=TokenView)
    async def poll(request: Request, order: DevicePoll) -> TokenView | Response:
        """The session; or 202 with how long to wait."""
        try:
            answer = await devices.poll(order)
        except LoginRefusedError as refusal:
            raise await _refused(request, refusal) from None
        if isinstance(answer, TokenView):
            return answer
        body = answer.model_dump_json()
        return Response(body, status_code=status.HTTP_202_ACCEPTED, media_type="application/json")

    async def _refused(request: Request, refusal: LoginRefusedError) -> UnauthorizedError:
        await authenticator.failed(request, refusal.fault)
        return UnauthorizedError(str(refusal))

    return router
