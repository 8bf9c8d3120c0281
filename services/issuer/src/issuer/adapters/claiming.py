"""The statements that find what is due. They read what is due and little else, however many jobs are done."""

from typing import Final

from sqlalchemy import and_, bindparam, exists, func, literal, or_, select, true, union_all

from issuer.adapters.tables import job

__all__ = ["FIRST_OF_LINE", "LINES", "NEXT_DUE"]

_FREE: Final = or_(job.c.lease_owner.is_(None), job.c.lease_until < bindparam("now"))
_OPEN: Final = job.c.due_at.is_not(None)

# From one owner to the next, and from one of its CAs to the next, by the index: DISTINCT would read each of its jobs.
_OWNERS: Final = select(func.min(job.c.owner).label("owner")).where(_OPEN).cte("owners", recursive=True)
_NEXT_OWNER: Final = select(func.min(job.c.owner)).where(_OPEN, job.c.owner > _OWNERS.c.owner).scalar_subquery()
_EACH_OWNER: Final = _OWNERS.union_all(select(_NEXT_OWNER).where(_OWNERS.c.owner.is_not(None)))

_FIRST_CA: Final = select(func.min(job.c.line_ca)).where(_OPEN, job.c.owner == _EACH_OWNER.c.owner).scalar_subquery()
_CAS: Final = select(_EACH_OWNER.c.owner, _FIRST_CA.label("ca")).cte("cas", recursive=True)
_NEXT_CA: Final = (
    select(func.min(job.c.line_ca))
    .where(_OPEN, job.c.owner == _CAS.c.owner, job.c.line_ca > _CAS.c.ca)
    .scalar_subquery()
)
_EACH: Final = _CAS.union_all(select(_CAS.c.owner, _NEXT_CA).where(_CAS.c.ca.is_not(None)))
_KINDS: Final = union_all(
    *(
        select(literal(urgent).label("urgent"), literal(waited).label("waited"))
        for urgent in (True, False)
        for waited in (True, False)
    )
).subquery("kinds")

LINES: Final = (
    select(_EACH.c.owner, _EACH.c.ca, _KINDS.c.urgent, _KINDS.c.waited)
    .select_from(_EACH.join(_KINDS, true()))
    .where(
        exists().where(
            job.c.owner == _EACH.c.owner,
            job.c.line_ca == _EACH.c.ca,
            job.c.urgent == _KINDS.c.urgent,
            job.c.waited == _KINDS.c.waited,
            job.c.due_at <= bindparam("now"),
            _FREE,
        )
    )
)
_IN_LINE: Final = and_(
    job.c.owner == bindparam("of_owner"),
    job.c.line_ca == bindparam("of_ca"),
    job.c.urgent == bindparam("if_urgent"),
    job.c.waited == bindparam("if_waited"),
    job.c.due_at <= bindparam("now"),
    _FREE,
)
FIRST_OF_LINE: Final = (
    select(job)
    .where(_IN_LINE)
    .order_by(job.c.due_at)
    .limit(1)
    # On PostgreSQL, where two claim at the same time, each passes over what the other has.
    .with_for_update(skip_locked=True)
)
NEXT_DUE: Final = select(job.c.due_at).where(job.c.due_at > bindparam("now")).order_by(job.c.due_at).limit(1)
