"""What a list of certificates is narrowed by, as SQL: each condition as a test of a row, and as what it finds.

SQLite keeps no statistics. So the caller says which condition finds the rows, and the others are written in a way
that no index fits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal, or_, select

from certcore.certificate_list import CertificateQuery
from certkit.database import UtcDateTime
from registry.adapters import tables
from registry.adapters.store.facts import NEVER
from registry.adapters.store.statements import is_among
from registry.domain.facts import FactKind

__all__ = ["Condition", "conditions_of"]

_ROW: Final = tables.certificate
_FACT: Final = tables.certificate_fact
_LEAF: Final = tables.revision
_LAST: Final = "\x7f"
"""Comes after every sign of a name."""


@dataclass(frozen=True)
class Condition:
    """`test` is of a row of `certificate`; its name is given as a column of what is read before the row, where that
    is. `found` selects the names of all rows that pass, in the order of names if `in_order`. A `grouped` one stands
    in an index with the others that are, as the `plain` condition.
    """

    test: Callable[[ColumnElement[str]], ColumnElement[bool]]
    found: Select[Any]
    in_order: bool = True
    plain: ColumnElement[bool] | None = None
    grouped: bool = False


def conditions_of(query: CertificateQuery, owners: frozenset[str] | None) -> list[Condition]:
    """All but the first and last instant; `owners` are whose rows are listed."""
    return [
        *_of_owners(owners),
        *_of_columns(query),
        *_of_facts(query),
        *_of_leaves(query),
        *_of_renewals(query),
    ]


def _of_renewals(query: CertificateQuery) -> Iterator[Condition]:
    if query.renews_before is not None:
        until = literal(query.renews_before, UtcDateTime)
        yield Condition(
            # No index fits an instant that is put together.
            test=lambda _: func.coalesce(_ROW.c.renews_at, literal(NEVER, UtcDateTime)) <= until,
            found=select(_ROW.c.name).where(_ROW.c.renews_at <= until),
            in_order=False,
        )


def _of_owners(owners: frozenset[str] | None) -> Iterator[Condition]:
    if owners is not None:
        plain = is_among(_ROW.c.owner, owners)
        yield Condition(
            test=partial(_is_one_of, _ROW.c.owner, owners),
            found=select(_ROW.c.name).where(plain),
            # The rows of several owners are those of one after those of the other.
            in_order=len(owners) == 1,
            plain=plain,
            grouped=True,
        )


def _of_columns(query: CertificateQuery) -> Iterator[Condition]:
    for column, value, grouped in (
        (_ROW.c.state, query.state, True),
        (_ROW.c.health, query.health, True),
        (_ROW.c.exposure, query.exposure, False),
        (_ROW.c.ca, query.ca, False),
        (_ROW.c.key_algorithm, query.key, False),
    ):
        if value is not None:
            plain = column == str(value)
            yield Condition(
                test=partial(_equals, column, str(value)),
                found=select(_ROW.c.name).where(plain),
                plain=plain,
                grouped=grouped,
            )


def _of_facts(query: CertificateQuery) -> Iterator[Condition]:
    single = (
        # What finds fewer comes first, mostly: of those that find many the first one leads.
        (FactKind.DOMAIN, query.domain),
        *((FactKind.LABEL, label) for label in query.label),
        (FactKind.SITE, query.site),
        (FactKind.TARGET, query.target),
    )
    for kind, value in single:
        if value is not None:
            yield _fact(kind, partial(_is, value))
    if query.dns is not None:
        _, _, parent = query.dns.partition(".")
        yield _fact(FactKind.DNS, partial(_is_either, query.dns, f"*.{parent}"), in_order=False)
    if query.q is not None:
        yield _fact(FactKind.WORD, partial(_begins, query.q), in_order=False)


def _is(value: str, stored: ColumnElement[str]) -> ColumnElement[bool]:
    return stored == value


def _is_either(one: str, other: str, stored: ColumnElement[str]) -> ColumnElement[bool]:
    return or_(stored == one, stored == other)


def _begins(text: str, stored: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(stored >= text, stored < text + _LAST)


def _fact(
    kind: FactKind, which: Callable[[ColumnElement[str]], ColumnElement[bool]], *, in_order: bool = True
) -> Condition:
    own = _FACT.alias()

    def test(name: ColumnElement[str]) -> ColumnElement[bool]:
        return exists().where(own.c.name == name, own.c.kind == str(kind), which(own.c.value)).correlate_except(own)

    return Condition(
        test=test,
        found=select(_FACT.c.name).where(_FACT.c.kind == str(kind), which(_FACT.c.value)),
        in_order=in_order,
    )


def _of_leaves(query: CertificateQuery) -> Iterator[Condition]:
    for column, value in ((_LEAF.c.serial, query.serial), (_LEAF.c.spki_sha256, query.spki)):
        if value is not None:
            yield Condition(
                test=partial(_has_leaf, column == value),
                found=select(_ROW.c.name).join(_LEAF, _LEAF.c.certificate_id == _ROW.c.id).where(column == value),
                in_order=False,
            )


def _equals(column: ColumnElement[str], value: str, _: ColumnElement[str]) -> ColumnElement[bool]:
    return func.coalesce(column, "") == value


def _is_one_of(column: ColumnElement[str], values: frozenset[str], _: ColumnElement[str]) -> ColumnElement[bool]:
    return is_among(func.coalesce(column, ""), values)


def _has_leaf(which: ColumnElement[bool], _: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(_LEAF.c.certificate_id == _ROW.c.id, which).correlate(_ROW)
