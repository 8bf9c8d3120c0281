"""How answers of the registry are read: what can't be read of a list is set aside, and a refusal is told."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Generic, TypeVar

import httpx
import structlog
from pydantic import BaseModel, ValidationError

from certcore.api import Page, Problem
from certcore.errors import PermanentError
from certcore.reading import ReadModel

__all__ = ["Listed", "listed", "read_answer", "read_page", "told"]

log = structlog.get_logger()

ItemT = TypeVar("ItemT", bound=ReadModel)
ModelT = TypeVar("ModelT", bound=BaseModel)
PageT = TypeVar("PageT", bound=Page)  # type: ignore[type-arg] # whatever its items are

_TOLD: Final = 300
_TELLING: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True)
class Listed(Generic[ItemT]):
    """All items of a list that can be read. Where it is not `complete`, what is missing may be there all the same."""

    items: list[ItemT]
    complete: bool


def told(response: httpx.Response) -> str:
    """What the registry says of a refusal: the present state, or why it takes no more. It quotes nothing of ours."""
    if response.status_code not in _TELLING:
        return ""
    try:
        detail = Problem.model_validate_json(response.content).detail
    except ValidationError:
        return ""
    return f": {' '.join(detail.split())[:_TOLD]}"


def read_answer(model: type[ModelT], body: bytes) -> ModelT:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise PermanentError(f"{model.__name__} can't be read: {error.error_count()} errors") from None


def read_page(model: type[PageT], body: bytes, path: str) -> PageT:
    try:
        page = model.model_validate(json.loads(body))
    except (ValueError, RecursionError) as error:
        problem = f"{error.error_count()} errors" if isinstance(error, ValidationError) else "it is no JSON"
        raise PermanentError(f"the registry's answer to {path} can't be read: {problem}") from None
    for model_read in (page, *page.items):
        for item in model_read.unreadable:
            log.warning("item_unreadable", source=path, item=item.item, name=item.name, problem=item.problem)
    return page


def listed(pages: Sequence[Page[ItemT]]) -> Listed[ItemT]:
    items = [item for page in pages for item in page.items]
    return Listed(items, complete=not any(page.unreadable for page in pages))
