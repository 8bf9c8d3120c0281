"""The application with its document: how callers say who they are, and every answer that a route may give."""

from typing import Any, Final

from fastapi import FastAPI

from certcore.api import Problem
from registry.handlers.http.cookies import SESSION

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
        "name": f"__Host-{SESSION}",
        "description": "An open page, which only looks. Over plain text its name lacks the prefix.",
    },
}
_REFUSALS: Final = {
    "400": "The request can't be read.",
    "401": "The token is missing, or opens nothing.",
    "403": "The token has none of the roles.",
    "404": "It isn't there, or isn't the caller's to see.",
    "422": "Fields at fault, each by name; nothing was stored.",
    "429": "The caller's budget, or a bound, is used up for now.",
    "500": "The fault is the registry's: whether anything was stored is unknown.",
    "503": "Not now: nothing was stored.",
}
_OF_CHANGES: Final = {"409": "Not in the present state, or not answered yet."}
_OF_BODIES: Final = {"413": "The body is too large.", "415": "The body isn't JSON."}
_WAIT: Final = {"retry-after": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
_HEADERS: Final = {
    "401": {"www-authenticate": {"description": "Bearer.", "schema": {"type": "string"}}},
    "429": _WAIT,
    "503": _WAIT,
}


class DescribedApi(FastAPI):
    """Every route of the document needs a token; reading can be done by an open page too."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        components = document.setdefault("components", {})
        if "securitySchemes" not in components:
            components["securitySchemes"] = _SCHEMES
            schemas = components.setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[Problem.__name__] = schema
            for path in document["paths"].values():
                for method, operation in path.items():
                    _describe(method, operation)
        return document


def _describe(method: str, operation: dict[str, Any]) -> None:
    operation["security"] = [{"token": []}, {"page": []}] if method == "get" else [{"token": []}]
    refusals = _REFUSALS if method == "get" else _REFUSALS | _OF_CHANGES
    responses = operation["responses"]
    for status, description in (refusals | _OF_BODIES if "requestBody" in operation else refusals).items():
        responses[status] = {
            "description": description,
            "content": {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
    if any(parameter["name"] == "if-none-match" for parameter in operation.get("parameters", ())):
        responses["304"] = {"description": "The caller has it as it is."}
