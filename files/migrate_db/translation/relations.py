"""What a query gives, and what a name in its FROM stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from migrate_db import sql
from migrate_db.codecs import numbers, texts
from migrate_db.codecs.codec import Codec
from migrate_db.errors import Untranslated
from migrate_db.postgresql.names import columns as names_of_columns
from migrate_db.translation.typed import Typed

#: Of a column that the target has not.
_MISSING = "missing"


@dataclass(frozen=True)
class Output:
    """A column of a query."""

    name: str
    part: Typed

    @property
    def codec(self) -> Codec | None:
        """How its values are compared; None for floats that were computed."""
        plain = {
            "int": numbers.integer("bigint"),
            "text": texts.text(),
            "null": texts.text(),
            "bytea": texts.BYTEA,
        }
        return self.part.codec or plain.get(self.part.kind)


@dataclass
class Relation:
    """What one name in a FROM stands for."""

    alias: str
    outputs: list[Output]
    rowid: Typed | None = None
    keys: tuple[frozenset[str], ...] = ()  #: columns, in lower case, that only one row can have
    merged: set[str] = field(default_factory=set)  #: columns that a table before it shows


@dataclass(frozen=True)
class Named:
    """What the names in a FROM stand for."""

    find: Callable[[str], Relation]
    utf8: bool  #: see ``schema.Table``
    ctes: frozenset[str] = frozenset()  #: names that WITH gives, in lower case


def renamed(outputs: list[Output], names: list[str]) -> list[Output]:
    """The columns of a subquery as the query around it reads them."""
    if len(set(names)) != len(names) or len(names) != len(outputs):
        raise Untranslated("two columns of a subquery have the same name")
    return [
        Output(name, read_again(o.part, given))
        for name, given, o in zip(names, names_of_columns(names), outputs, strict=True)
    ]


def read_again(part: Typed, name: str) -> Typed:
    """A result as a column of what reads it: it brings a collation then, BINARY if it has none of its own."""
    collation = part.collation or "BINARY"
    return replace(part, sql=sql.name(name), constant=None, explicit=False, collation=collation)


def missing(table: str, column: str) -> Typed:
    """A column that is not carried: its name still means this one, and nothing may read it."""
    return Typed(f"{table}.{column}", _MISSING)


def found_in(source: Relation, lowered: str) -> Typed | None:
    """The column, or the rowid, of that name in lower case; None if there is none.

    Raises:
        Untranslated: it is not carried.
    """
    part = next((o.part for o in source.outputs if sql.folded(o.name) == lowered), None)
    if part is None and lowered in sql.ROWID:
        part = source.rowid
    if part is None:
        return None
    if part.kind == _MISSING:
        raise Untranslated(f"{part.sql} is not carried")
    place = f"{sql.name(source.alias)}." if source.alias else ""
    return replace(part, sql=place + part.sql)
