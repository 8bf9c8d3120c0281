"""Lists of certificates, filtered, sorted and counted, each page at about the same cost wherever it is in the list.

Of the conditions the one that finds fewest rows finds them, and the others are tested; how many each finds is counted
up to a bound. Where each finds many, the rows are read in the order of the list, and tested, until a page is full.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    func,
    literal,
    select,
    tuple_,
)

from certcore.api import FacetCounts
from certcore.certificate_list import CertificateQuery, Facet, Order
from certkit.database import UtcDateTime
from certkit.prepared import Prepared
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
_PLACES: Final = 2
"""In the index of a certificate's facts, rather than all between them."""
_VALUES: Final = 50
"""Of a facet, the most frequent ones."""

_ROW: Final = tables.certificate
_FACT: Final = tables.certificate_fact
_COLUMNS: Final = {
    Facet.STATE: _ROW.c.state,
    Facet.HEALTH: _ROW.c.health,
    Facet.OWNER: _ROW.c.owner,
    Facet.EXPOSURE: _ROW.c.exposure,
    Facet.CA: _ROW.c.ca,
    Facet.KEY: _ROW.c.key_algorithm,
}
_OF_OWNERS: Final = frozenset({Facet.STATE, Facet.HEALTH, Facet.OWNER})
"""What an index has by owner."""
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
        if _is_impossible(query):
            return []
        by_end = query.sort in {Order.EXPIRES, Order.EXPIRES_DOWN}
        by_instant = query.sort in _INSTANTS
        plan = self._plan(query, owners, by_end=by_end, by_instant=by_instant)
        if plan.first is None and by_instant:
            found = _by_instant(plan, _INSTANTS[query.sort])
            if by_end and owners is not None:
                found = found.narrowed(is_among(found.table.c.owner, owners))
        else:
            found = _rows(plan, _INSTANTS.get(query.sort))
        if by_end:
            found = found.narrowed(*_within(query, found.instant))
        rows = self._connection.execute(_shown(found.page(query.sort, after).limit(limit).subquery(), query.sort))
        return [
            Listed(Place(name, instant), certificate_id, version, epoch)
            for name, instant, certificate_id, version, epoch in rows
        ]

    def counts(self, query: CertificateQuery, *, owners: frozenset[str] | None = None) -> dict[str, FacetCounts]:
        """By each facet of the query. What has a column of its own is counted up to a bound for each value where only
        the owner is filtered by; all else in the first so many rows.
        """
        if _is_impossible(query):
            return {str(facet): FacetCounts(exact=True, values={}) for facet in query.facets}
        conditions = _conditions(query, owners, by_end=False)
        narrowed = len(conditions) > (owners is not None)
        indexed = frozenset[Facet]() if narrowed else _OF_OWNERS if owners is not None else frozenset(_COLUMNS)
        whole = [facet for facet in query.facets if facet in indexed]
        found = {str(facet): self._whole(facet, owners) for facet in whole}
        others = [facet for facet in query.facets if facet not in whole]
        return found | (dict(self._looked_at(query, others, owners)) if others else {})

    def _whole(self, facet: Facet, owners: frozenset[str] | None) -> FacetCounts:
        if owners is not None and len(owners) != 1:
            column = _COLUMNS[facet]
            sizes = _counter(self._connection.execute(_sizes_of(column, is_among(_ROW.c.owner, owners))))
        else:
            of = {"of": next(iter(owners))} if owners is not None else {}
            sizes = _counter(_whole(facet, of_owner=bool(of)).rows(self._connection, of))
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
        counters: dict[str, Counter[str]] = defaultdict(Counter)
        if columns:
            for *values, count in self._groups([_COLUMNS[facet] for facet in columns], among, plan):
                for facet, value in zip(columns, values, strict=True):
                    counters[facet][value] += count
        kinds = {_KINDS[facet]: facet for facet in facets if facet in _KINDS}
        if kinds:
            for kind, value, count in self._facts([*kinds], among, plan):
                counters[kinds[FactKind(kind)]][value] += count
        for facet in facets:
            yield str(facet), _most_frequent(counters[facet], exact=exact)

    def _groups(self, columns: list[ColumnElement[str]], among: Subquery, plan: _Plan) -> Sequence[Any]:
        query = select().add_columns(*columns, func.count()).join(among, among.c.name == _ROW.c.name)
        query = query.where(*plan.tests(among.c.name)).group_by(*columns)
        return self._connection.execute(_by_index(query)).all()

    def _facts(self, kinds: list[FactKind], among: Subquery, plan: _Plan) -> Sequence[Any]:
        query = select(_FACT.c.kind, _FACT.c.value, func.count()).select_from(among)
        if tests := plan.tests(among.c.name):
            query = _by_index(query.join(_ROW, _ROW.c.name == among.c.name).where(*tests))
        # An outer join, after the names: SQLite would look through all facts of these kinds. A row may have no value.
        # A range of kinds is one place in the index where a list is several; those between are few.
        kind, several = _FACT.c.kind, len(kinds) > _PLACES
        of_kinds = kind.between(min(kinds), max(kinds)) if several else kind.in_(kinds)
        query = query.outerjoin(_FACT, and_(_FACT.c.name == among.c.name, of_kinds))
        query = query.with_hint(_FACT, "INDEXED BY ix_certificate_fact_name", "sqlite")
        rows = self._connection.execute(query.group_by(_FACT.c.kind, _FACT.c.value))
        return [row for row in rows if row.kind in kinds]

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
        if not in_order:
            return _Plan(None, tuple(conditions))
        return _led_by(conditions, min(in_order, key=lambda number: _breadth(conditions[number], owners)))

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


def _breadth(condition: Condition, owners: frozenset[str] | None) -> int:
    """Of those that find many: an owner has fewer than a label or a site mostly has, and a state has most."""
    if condition.grouped and owners is not None:
        return 0
    return 1 if condition.plain is None else 2


def _led_by(conditions: Sequence[Condition], number: int) -> _Plan:
    return _Plan(conditions[number], (*conditions[:number], *conditions[number + 1 :]))


@dataclass(frozen=True)
class _Found:
    """Rows that a plan finds in `table`: the column by whose order it finds names, and the instants of its order."""

    rows: Select[Any]
    table: FromClause
    name: ColumnElement[str]
    instant: ColumnElement[datetime]

    def narrowed(self, *such: ColumnElement[bool]) -> "_Found":
        return replace(self, rows=self.rows.where(*such))

    def page(self, order: Order, after: Place | None) -> Select[Any]:
        """Names and instants, those after a place."""
        columns = (self.instant, self.name) if order in _INSTANTS else (self.name,)
        rows = _ordered(self.rows.add_columns(self.instant.label("instant")), order, *columns)
        if after is None:
            return rows
        there = (literal(after.instant, UtcDateTime), literal(after.name))[-len(columns) :]
        place = tuple_(*columns)
        return rows.where(place < tuple_(*there) if order in _DOWN else place > tuple_(*there))


def _ordered(rows: Select[Any], order: Order, *columns: ColumnElement[Any]) -> Select[Any]:
    return rows.order_by(*(column.desc() if order in _DOWN else column for column in columns))


def _shown(found: Subquery, order: Order) -> Select[Any]:
    """What is shown of what was found on a page: these rows alone are read."""
    epoch = select(tables.epoch.c.number).scalar_subquery()
    rows = select(found.c.name, found.c.instant, _ROW.c.id, _ROW.c.version, epoch)
    columns = (found.c.instant, found.c.name) if order in _INSTANTS else (found.c.name,)
    return _ordered(rows.join(_ROW, _ROW.c.name == found.c.name), order, *columns)


def _rows(plan: _Plan, instant: ColumnElement[datetime] | None) -> _Found:
    """By names, or, where few are found, by an instant."""
    shown, first, column = select(_ROW.c.name), plan.first, _ROW.c.served_until if instant is None else instant
    if first is None:
        return _Found(_by_index(shown.where(*plan.tests(_ROW.c.name))), _ROW, _ROW.c.name, column)
    if instant is not None or not first.in_order:
        # DISTINCT keeps SQLite from looking at the rows in their order instead, all of them.
        among = first.found.distinct().subquery()
        return _Found(_among(shown, among, plan), _ROW, _ROW.c.name, column)
    if first.plain is not None and not plan.rest:
        return _Found(shown.where(first.plain), _ROW, _ROW.c.name, column)
    among = first.found.subquery()
    return _Found(_among(shown, among, plan), _ROW, among.c.name, column)


def _among(shown: Select[Any], among: Subquery, plan: _Plan) -> Select[Any]:
    return _by_index(shown.join(among, among.c.name == _ROW.c.name).where(*plan.tests(among.c.name)))


def _by_instant(plan: _Plan, instant: Column[datetime]) -> _Found:
    """All rows in the order of an instant, of which an index has nothing else: they are tested in another one."""
    place = _ROW.alias("place")
    shown = select(place.c.name)
    if tests := plan.tests(place.c.name):
        tested = _by_index(select(_ROW.c.name).where(_ROW.c.name == place.c.name, *tests))
        shown = shown.where(tested.correlate(place).exists())
    return _Found(shown, place, place.c.name, place.c[instant.name])


def _is_impossible(query: CertificateQuery) -> bool:
    """A certificate has one value of a label."""
    labels = set(query.label)
    return len({label.partition("=")[0] for label in labels}) < len(labels)


def _by_index(query: Select[Any]) -> Select[Any]:
    """SQLite would take the smallest index that has the name, and read each row for what is tested."""
    return query.with_hint(_ROW, "INDEXED BY ix_certificate_listed", "sqlite")


def _sizes_of(column: Column[str], *such: ColumnElement[bool]) -> Select[Any]:
    """Each value is the next one in the index, which is read up to a bound."""
    value = select(func.min(column).label("value")).where(*such).cte("value", recursive=True)
    following = select(func.min(column)).where(column > value.c.value, *such).correlate(value)
    value = value.union_all(select(following.scalar_subquery()).where(value.c.value.is_not(None)))
    some = select(column).where(column == value.c.value, *such).limit(_OF_A_VALUE + 1).correlate(value)
    size = select(func.count()).select_from(some.subquery()).correlate(value).scalar_subquery()
    return select(value.c.value, size.label("size")).where(value.c.value.is_not(None)).limit(_VALUES + 1)


@cache
def _whole(facet: Facet, *, of_owner: bool) -> Prepared:
    # Built once: that takes several times as long as counting.
    return Prepared(_sizes_of(_COLUMNS[facet], *([_ROW.c.owner == bindparam("of")] if of_owner else [])))


def _counter(rows: Iterable[Any]) -> Counter[str]:
    return Counter({value: count for value, count in rows})  # noqa: C416 # rows are no pairs to mypy


def _most_frequent(counter: Counter[str], *, exact: bool) -> FacetCounts:
    return FacetCounts(exact=exact, values=dict(counter.most_common(_VALUES)))


def _within(query: CertificateQuery, end: ColumnElement[datetime]) -> Iterator[ColumnElement[bool]]:
    if query.expires_before is not None:
        yield end <= literal(query.expires_before, UtcDateTime)
    if query.expires_after is not None:
        yield end > literal(query.expires_after, UtcDateTime)
