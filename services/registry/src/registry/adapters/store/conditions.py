"""What a list of certificates is narrowed by, as SQL: each condition as a test of a row, and as what it finds.

SQLite keeps no statistics. So the caller says which condition finds the rows, and the others are written in a way
that no index fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, or_, select

from certcore.certificate_list import CertificateQuery
from registry.adapters import tables
from registry.domain.facts import FactKind

__all__ = ["Condition", "conditions_of"]

_ROW: Final = tables.certificate
_FACT: Final = tables.certificate_fact
_LEAF: Final = tables.revision
_LAST: Final = "\x7f"
"""Comes after every sign of a name."""


@dataclass(frozen=True)
class Condition:
    """`test` is of a row of `certificate`. `found` selects the names of all rows that pass, in the order of names if
    `in_order`; `key` is their column. A `grouped` one stands in an index with the others that are.
    """

    test: ColumnElement[bool]
    found: Select[Any]
    key: ColumnElement[str]
    in_order: bool = True
    plain: ColumnElement[bool] | None = None
    grouped: bool = False


def conditions_of(query: CertificateQuery, owner: str | None) -> list[Condition]:
    """All but the first and last instant; `owner` is whose rows are listed."""
    return [*_of_columns(query, owner), *_of_facts(query), *_of_leaves(query)]


def _of_columns(query: CertificateQuery, owner: str | None) -> Iterator[Condition]:
    for column, value, grouped in (
        (_ROW.c.owner, owner, True),
        (_ROW.c.state, query.state, True),
        (_ROW.c.health, query.health, True),
        (_ROW.c.exposure, query.exposure, False),
        (_ROW.c.ca, query.ca, False),
        (_ROW.c.key_algorithm, query.key, False),
    ):
        if value is not None:
            plain = column == str(value)
            yield Condition(
                test=func.coalesce(column, "") == str(value),
                found=select(_ROW.c.name).where(plain),
                key=_ROW.c.name,
                plain=plain,
                grouped=grouped,
            )


def _of_facts(query: CertificateQuery) -> Iterator[Condition]:
    single = (
        (FactKind.DOMAIN, query.domain),
        (FactKind.SITE, query.site),
        (FactKind.TARGET, query.target),
        *((FactKind.LABEL, label) for label in query.label),
    )
    for kind, value in single:
        if value is not None:
            yield _fact(kind, _FACT.c.value == value)
    if query.dns is not None:
        _, _, parent = query.dns.partition(".")
        yield _fact(FactKind.DNS, or_(_FACT.c.value == query.dns, _FACT.c.value == f"*.{parent}"), in_order=False)
    if query.q is not None:
        begins = (_FACT.c.value >= query.q, _FACT.c.value < query.q + _LAST)
        yield _fact(FactKind.WORD, *begins, in_order=False)


def _fact(kind: FactKind, *which: ColumnElement[bool], in_order: bool = True) -> Condition:
    of_kind = (_FACT.c.kind == str(kind), *which)
    return Condition(
        test=exists().where(_FACT.c.name == _ROW.c.name, *of_kind).correlate(_ROW),
        found=select(_FACT.c.name).where(*of_kind),
        key=_FACT.c.name,
        in_order=in_order,
    )


def _of_leaves(query: CertificateQuery) -> Iterator[Condition]:
    for column, value in ((_LEAF.c.serial, query.serial), (_LEAF.c.spki_sha256, query.spki)):
        if value is not None:
            yield Condition(
                test=exists().where(_LEAF.c.certificate_id == _ROW.c.id, column == value).correlate(_ROW),
                found=select(_ROW.c.name).join(_LEAF, _LEAF.c.certificate_id == _ROW.c.id).where(column == value),
                key=_ROW.c.name,
                in_order=False,
            )
