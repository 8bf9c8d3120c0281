"""What the product says of a request, in the words of the reference."""

import json
from datetime import timedelta
from typing import Any, Final

from certcore.door import RequestDoor
from certcore.policy.document import Policy
from certcore.policy.judgement import judge
from certcore.rejection import RejectedError
from tests.unit.certcore.policy.product.reference import Said
from tests.unit.certcore.policy.samples import KINDS

__all__ = ["product"]

_DOOR: Final = RequestDoor(KINDS)


def product(policy: Policy, body: dict[str, Any], owner: str) -> Said:
    try:
        spec = _DOOR.read(json.dumps(body).encode())
    except RejectedError as error:
        return Said(frozenset(map(_part, (item.field for item in error.rejections))))
    found = judge(policy, spec, owner=owner)
    if found.refusals:
        return Said(frozenset(map(_part, (item.field for item in found.refusals))))
    return Said(
        cas=found.cas,
        rules=found.rules,
        approvals=tuple((item.group, item.count) for item in found.approvals),
        pending=_minutes(found.pending),
        lasts=_minutes(found.approval_lasts),
        apart=_minutes(found.renewals_apart),
        most=found.most,
    )


def _part(field: str) -> str:
    return ".".join(field.split(".")[:2])


def _minutes(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds() / 60
