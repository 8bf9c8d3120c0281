"""Lists of certificates, filtered, sorted and counted, each page at about the same cost wherever it is in the list.

Of the conditions the one that finds fewest rows finds them, and the others are tested; how many each finds is counted
up to a bound. Where each finds many, the rows are read in the order of the list, and tested, until a page is full.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Select, Subquery, and_, func, literal, select, tuple_

from certcore.api import FacetCounts
from certcore.certificate_list import CertificateQuery, Facet, Order
from certkit.database import UtcDateTime
from registry.adapters import tables
from registry.adapters.store.conditions import Condition, conditions_of
from registry.adapters.store.facts import NEVER
from registry.adapters.store.statements import is_among
from registry.domain.facts import FactKind

__all__ = ["Listed", "Listing", "Place"]

_FEW: Final = 2000
"""So many rows are sorted for a page; more are read in their order."""
_COUNTED: Final = 1000
"""So many rows at most are looked at to count by a facet."""
_OF_A_VALUE: Final = 1000
"""So many rows of one value at most are counted where nothing is filtered."""
_VALUES: Final = 50
"""Of a facet, the most frequent ones."""

_ROW: Final = tables.certificate
_FACT: Final = tables.certificate_fact
_SHOWN: Final = (
    _ROW.c.name,
    _ROW.c.id,
    _ROW.c.version,
    select(tables.epoch.c.number).scalar_subquery(),
)
_COLUMNS: Final = {
    Facet.STATE: _ROW.c.state,
    Facet.HEALTH: _ROW.c.health,
    Facet.OWNER: _ROW.c.owner,
    Facet.EXPOSURE: _ROW.c.exposure,
    Facet.CA: _ROW.c.ca,
    Facet.KEY: _ROW.c.key_algorithm,
}
_KINDS: Final = {
    Facet.SITE: FactKind.SITE,
    Facet.TARGET: FactKind.TARGET,
    Facet.DOMAIN: FactKind.DOMAIN,
    Facet.LABEL: FactKind.LABEL,
}


_INSTANTS: Final = {
    Order.EXPIRES: _ROW.c.served_until,
    Order.EXPIRES_DOWN: _ROW.c.served_until,
    Order.RENEWS: _ROW.c.renews_at,
    Order.RENEWS_DOWN: _ROW.c.renews_at,
}
"""By what else than names the list is ordered."""
_DOWN: Final = frozenset({Order.NAME_DOWN, Order.EXPIRES_DOWN, Order.RENEWS_DOWN})


class Place(NamedTuple):
    """Where in a list a certificate stands: its name, and the instant by which the list is ordered."""

    name: str
    instant: datetime


class Listed(NamedTuple):
    """`version` and `epoch` change with everything that a list shows of it."""

    place: Place
    certificate_id: str
    version: int
    epoch: int


@dataclass(frozen=True)
class _Plan:
    """`first` finds the rows; None: all are read, in the order of the list. `rest` are tested."""

    first: Condition | None
    rest: tuple[Condition, ...]

    def tests(self, name: ColumnElement[str]) -> list[ColumnElement[bool]]:
        return [condition.test(name) for condition in self.rest]


class Listing:
    """Of what finds at most `few` rows the rows are sorted for a page."""

    def __init__(self, connection: Connection, *, few: int = _FEW) -> None:
        self._connection = connection
        self._few = few

    def page(
        self, query: CertificateQuery, *, owners: frozenset[str] | None = None, after: Place | None = None, limit: int
    ) -> list[Listed]:
        """In the order of the query, those after a place; `owners` are whose are listed, None for all."""
        by_end = query.sort in {Order.EXPIRES, Order.EXPIRES_DOWN}
        instant = _INSTANTS.get(query.sort)
        plan = self._plan(query, owners, by_end=by_end, by_instant=instant is not None)
        found, name = _rows(plan, sort=instant is not None)
        found = found.add_columns(_ROW.c.served_until if instant is None else instant)
        if by_end:
            found = found.where(*_within(query, _ROW.c.served_until))
            if plan.first is None and owners is not None:
                found = found.where(is_among(_ROW.c.owner, owners))
        rows = self._connection.execute(_ordered(found, name, query.sort, after).limit(limit))
        return [
            Listed(Place(name, end), certificate_id, version, epoch)
            for name, certificate_id, version, epoch, end in rows
        ]

    def counts(self, query: CertificateQuery, *, owners: frozenset[str] | None = None) -> dict[str, FacetCounts]:
        """By each facet of the query. What has a column of its own is counted up to a bound for each value where only
        the owner is filtered by; all else in the first so many rows.
        """
        conditions = _conditions(query, owners, by_end=False)
        narrowed = len(conditions) > (owners is not None)
        whole = [facet for facet in query.facets if facet in _COLUMNS and not narrowed]
        found = {str(facet): self._whole(_COLUMNS[facet], owners) for facet in whole}
        others = [facet for facet in query.facets if facet not in whole]
        return found | (dict(self._looked_at(query, others, owners)) if others else {})

    def _whole(self, column: Column[str], owners: frozenset[str] | None) -> FacetCounts:
        """Each value is the next one in the index, which is read up to a bound."""
        of_owner = [is_among(_ROW.c.owner, owners)] if owners is not None else []
        value = select(func.min(column).label("value")).where(*of_owner).cte("value", recursive=True)
        following = select(func.min(column)).where(column > value.c.value, *of_owner).correlate(value)
        value = value.union_all(select(following.scalar_subquery()).where(value.c.value.is_not(None)))
        some = select(column).where(column == value.c.value, *of_owner).limit(_OF_A_VALUE + 1).correlate(value)
        size = select(func.count()).select_from(some.subquery()).correlate(value).scalar_subquery()
        rows = self._connection.execute(
            select(value.c.value, size).where(value.c.value.is_not(None)).limit(_VALUES + 1)
        )
        sizes = _counter(rows)
        exact = len(sizes) <= _VALUES and all(count <= _OF_A_VALUE for count in sizes.values())
        return _most_frequent(sizes, exact=exact)

    def _looked_at(
        self, query: CertificateQuery, facets: Sequence[Facet], owners: frozenset[str] | None
    ) -> Iterator[tuple[str, FacetCounts]]:
        plan = self._plan(query, owners, by_end=False, always=True)
        names = select(_ROW.c.name).order_by(_ROW.c.name) if plan.first is None else plan.first.found.distinct()
        some = names.limit(_COUNTED + 1).subquery()
        size = self._connection.execute(select(func.count()).select_from(some)).scalar_one()
        exact, among = size <= _COUNTED, names.limit(_COUNTED).subquery()
        columns = [facet for facet in facets if facet in _COLUMNS]
        if columns:
            groups = self._groups([_COLUMNS[facet] for facet in columns], among, plan)
            for number, facet in enumerate(columns):
                counter: Counter[str] = Counter()
                for *values, count in groups:
                    counter[values[number]] += count
                yield str(facet), _most_frequent(counter, exact=exact)
        for facet in facets:
            if facet in _KINDS:
                counter = self._facts(_KINDS[facet], among, plan)
                yield str(facet), _most_frequent(counter, exact=exact)

    def _groups(self, columns: list[ColumnElement[str]], among: Subquery, plan: _Plan) -> Sequence[Any]:
        query = select(*columns, func.count()).join(among, among.c.name == _ROW.c.name)
        return self._connection.execute(query.where(*plan.tests(among.c.name)).group_by(*columns)).all()

    def _facts(self, kind: FactKind, among: Subquery, plan: _Plan) -> Counter[str]:
        value = _FACT.c.value
        query = (
            select(value, func.count())
            .select_from(among)
            .join(_ROW, _ROW.c.name == among.c.name)
            .join(_FACT, and_(_FACT.c.name == among.c.name, _FACT.c.kind == str(kind)))
            .where(*plan.tests(among.c.name))
            .group_by(value)
        )
        return _counter(self._connection.execute(query))

    def _plan(
        self,
        query: CertificateQuery,
        owners: frozenset[str] | None,
        *,
        by_end: bool,
        by_instant: bool = False,
        always: bool = False,
    ) -> _Plan:
        """With `always` the condition that finds fewest is the first, however many that are."""
        conditions = _conditions(query, owners, by_end=by_end)
        if not conditions:
            return _Plan(None, ())
        only = conditions[0] if len(conditions) == 1 else None
        if only is not None and not always:
            if only.in_order and not by_instant:
                return _Plan(only, ())
            if by_end and owners is not None and len(owners) == 1 and query.state is None and query.health is None:
                # An index has an owner's in this order.
                return _Plan(None, (only,))
        sizes = self._sizes(conditions)
        if min(sizes) <= self._few or always:
            return _led_by(conditions, sizes.index(min(sizes)))
        in_order = [number for number, condition in enumerate(conditions) if condition.in_order and not by_instant]
        return _led_by(conditions, in_order[0]) if in_order else _Plan(None, tuple(conditions))

    def _sizes(self, conditions: Sequence[Condition]) -> list[int]:
        """How many rows each finds, at most one more than few."""
        some = [condition.found.limit(self._few + 1).subquery() for condition in conditions]
        query = select(*(select(func.count()).select_from(found).scalar_subquery() for found in some))
        return list(self._connection.execute(query).one())


def _conditions(query: CertificateQuery, owners: frozenset[str] | None, *, by_end: bool) -> list[Condition]:
    found = conditions_of(query, owners)
    grouped = [condition for condition in found if condition.grouped]
    conditions = [condition for condition in found if not condition.grouped]
    if grouped:
        conditions.insert(0, _together(grouped))
    if not by_end and (query.expires_before or query.expires_after):
        within = _within(query, _ROW.c.served_until)
        conditions.append(
            Condition(
                test=lambda _: and_(*_within(query, func.coalesce(_ROW.c.served_until, literal(NEVER, UtcDateTime)))),
                found=select(_ROW.c.name).where(*within),
                in_order=False,
            )
        )
    return conditions


def _together(grouped: Sequence[Condition]) -> Condition:
    plain = and_(*(condition.plain for condition in grouped if condition.plain is not None))
    return Condition(
        test=lambda name: and_(*(condition.test(name) for condition in grouped)),
        found=select(_ROW.c.name).where(plain),
        in_order=all(condition.in_order for condition in grouped),
        plain=plain,
        grouped=True,
    )


def _led_by(conditions: Sequence[Condition], number: int) -> _Plan:
    return _Plan(conditions[number], (*conditions[:number], *conditions[number + 1 :]))


def _rows(plan: _Plan, *, sort: bool) -> tuple[Select[Any], ColumnElement[str]]:
    """What the plan finds, and the column by whose order it is found. With `sort` the order is another."""
    shown, first = select(*_SHOWN), plan.first
    if first is None:
        return shown.where(*plan.tests(_ROW.c.name)), _ROW.c.name
    if sort or not first.in_order:
        # DISTINCT keeps SQLite from looking at the rows in their order instead, all of them.
        among = first.found.distinct().subquery()
        return shown.join(among, among.c.name == _ROW.c.name).where(*plan.tests(among.c.name)), _ROW.c.name
    if first.plain is not None:
        return shown.where(first.plain, *plan.tests(_ROW.c.name)), _ROW.c.name
    among = first.found.subquery()
    return shown.join(among, among.c.name == _ROW.c.name).where(*plan.tests(among.c.name)), among.c.name


def _ordered(found: Select[Any], name: ColumnElement[str], order: Order, after: Place | None) -> Select[Any]:
    instant = _INSTANTS.get(order)
    columns = (name,) if instant is None else (instant, name)
    down = order in _DOWN
    found = found.order_by(*(column.desc() if down else column for column in columns))
    if after is None:
        return found
    place = tuple_(*columns)
    there = (
        tuple_(after.name) if instant is None else tuple_(literal(after.instant, UtcDateTime), literal(after.name))
    )
    return found.where(place < there if down else place > there)


def _counter(rows: Iterable[Any]) -> Counter[str]:
    return Counter({value: count for value, count in rows})  # noqa: C416 # rows are no pairs to mypy


def _most_frequent(counter: Counter[str], *, exact: bool) -> FacetCounts:
    return FacetCounts(exact=exact, values=dict(counter.most_common(_VALUES)))


def _within(query: CertificateQuery, end: ColumnElement[datetime]) -> Iterator[ColumnElement[bool]]:
    if query.expires_before is not None:
        yield end <= literal(query.expires_before, UtcDateTime)
    if query.expires_after is not None:
        yield end > literal(query.expires_after, UtcDateTime)
