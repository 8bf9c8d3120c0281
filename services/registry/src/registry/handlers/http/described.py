"""The application with its document: how a caller says who they are belongs to what is described."""

from typing import Any, Final

from fastapi import FastAPI

from certcore.api import Problem
from registry.handlers.http.auth import SESSION_COOKIE

__all__ = ["DescribedApi"]

_SCHEMES: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token that an admin made, see /v1/tokens.",
    },
    "page": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "An open page, which only looks.",
    },
}
_REFUSALS: Final = {"401": "The token is missing, or opens nothing.", "403": "The token has none of the roles."}


class DescribedApi(FastAPI):
    """Every route of the document needs a token; reading can be done by an open page too."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        components = document.setdefault("components", {})
        if "securitySchemes" not in components:
            components["securitySchemes"] = _SCHEMES
            schemas = components.setdefault("schemas", {})
            schemas.setdefault(
                Problem.__name__, Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            )
            for path in document["paths"].values():
                for method, operation in path.items():
                    _secure(method, operation)
        return document


def _secure(method: str, operation: dict[str, Any]) -> None:
    operation["security"] = [{"token": []}, {"page": []}] if method == "get" else [{"token": []}]
    for status, description in _REFUSALS.items():
        schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
        content = {"application/problem+json": {"schema": schema}}
        operation["responses"].setdefault(status, {"description": description, "content": content})
