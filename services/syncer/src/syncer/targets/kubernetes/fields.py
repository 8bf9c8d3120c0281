"""The fields of a target of this kind: read tolerantly, each name checked before it is used in a path. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from certcore.events import DeliveryReason
from certcore.intent import Target
from certcore.names import is_kubernetes_name
from certcore.reading import Items, ReadModel
from certdelivery.model import Failure

__all__ = ["KubernetesFields", "read_fields"]


class _Written(ReadModel):
    secret: str
    namespaces: Items[str]
    clusters: Items[str] = ()


@dataclass(frozen=True)
class KubernetesFields:
    """`namespaces` are the valid ones; `failures` name the others, with the reason."""

    secret: str = ""
    namespaces: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


def read_fields(target: Target) -> KubernetesFields:
    try:
        written = _Written.model_validate(target.fields)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors()}))
        return KubernetesFields(failures=(_unreadable(f"can't be read: {fields}"),))
    if not is_kubernetes_name(written.secret):
        return KubernetesFields(failures=(_unreadable(f"{written.secret!r:.80} is no name of a Secret"),))
    namespaces = tuple(dict.fromkeys(written.namespaces))
    failures = [_unreadable(f"{name!r:.80} is no name of a namespace") for name in _no_names(namespaces)]
    failures += [_unreadable(f"{item.item} can't be read") for item in written.unreadable]
    return KubernetesFields(
        secret=written.secret,
        namespaces=tuple(name for name in namespaces if is_kubernetes_name(name)),
        clusters=tuple(dict.fromkeys(written.clusters)),
        failures=tuple(failures),
    )


def _no_names(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if not is_kubernetes_name(value)]


def _unreadable(detail: str) -> Failure:
    return Failure(DeliveryReason.UNREADABLE_ORDER, detail)
