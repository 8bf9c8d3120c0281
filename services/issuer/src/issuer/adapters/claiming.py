"""The statements that find what is due. They read what is due and little else, however many jobs are done."""

from typing import Final

from sqlalchemy import bindparam, exists, func, literal, or_, select, true, union_all

from issuer.adapters.tables import job

__all__ = ["FIRST_OF_LINE", "LINES", "NEXT_DUE"]

_FREE: Final = or_(job.c.lease_owner.is_(None), job.c.lease_until < bindparam("now"))
_OPEN: Final = job.c.due_at.is_not(None)

# From one owner to the next by the index: DISTINCT would read each of its jobs.
_OWNERS: Final = select(func.min(job.c.owner).label("owner")).where(_OPEN).cte("owners", recursive=True)
_FOLLOWING: Final = select(func.min(job.c.owner)).where(_OPEN, job.c.owner > _OWNERS.c.owner).scalar_subquery()
_EACH: Final = _OWNERS.union_all(select(_FOLLOWING).where(_OWNERS.c.owner.is_not(None)))
_URGENCY: Final = union_all(select(literal(True).label("urgent")), select(literal(False))).subquery("urgency")

LINES: Final = (
    select(_EACH.c.owner, _URGENCY.c.urgent)
    .select_from(_EACH.join(_URGENCY, true()))
    .where(
        exists().where(
            job.c.owner == _EACH.c.owner,
            job.c.urgent == _URGENCY.c.urgent,
            job.c.due_at <= bindparam("now"),
            _FREE,
        )
    )
)
FIRST_OF_LINE: Final = (
    select(job)
    .where(
        job.c.owner == bindparam("of_owner"),
        job.c.urgent == bindparam("if_urgent"),
        job.c.due_at <= bindparam("now"),
        _FREE,
    )
    .order_by(job.c.due_at)
    .limit(1)
)
NEXT_DUE: Final = select(job.c.due_at).where(job.c.due_at > bindparam("now")).order_by(job.c.due_at).limit(1)
