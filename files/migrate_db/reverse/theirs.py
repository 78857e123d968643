"""Tables of PostgreSQL's that the file doesn't have yet, as its catalogue describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrate_db import sql
from migrate_db.postgresql.target import WITHOUT_DOMAIN, Target
from migrate_db.structure import catalogue

_NEW = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind::text = ANY(%s)
      AND NOT c.relispartition AND c.relname <> ALL(%s)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname
"""
_COLUMNS = (
    """
    SELECT a.attname, quote_ident(a.attname), format_type(b.type, b.size),
           a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '', a.attgenerated <> '',
           (SELECT q.seqincrement FROM pg_sequence q WHERE q.seqrelid
               = pg_get_serial_sequence(a.attrelid::regclass::text, a.attname)::regclass)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    CROSS JOIN"""
    + WITHOUT_DOMAIN
    + """ b
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
)
_INDEXES = """
    SELECT x.relname, i.indisprimary, i.indisunique, p.names, p.descending,
           p.listed, coalesce(pg_get_constraintdef(k.oid), replace(
               pg_get_indexdef(i.indexrelid), format('INDEX %%I ON ', x.relname), 'INDEX ON '))
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
                             AND k.contype IN ('p', 'u', 'x')
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.attname::text ORDER BY o.n), '{}'),
               coalesce(array_agg(i.indoption[(o.n - 1)::int] = 3 ORDER BY o.n), '{}'),
               format('(%%s)', string_agg(quote_ident(a.attname)
                      || CASE WHEN i.indoption[(o.n - 1)::int] = 3 THEN ' DESC' ELSE '' END, ', ' ORDER BY o.n))
        FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.num
        WHERE o.n <= i.indnkeyatts) p(names, descending, listed)
    WHERE i.indrelid = %s::regclass ORDER BY x.relname
"""
_FOREIGN_KEYS = """
    SELECT p.relname, p.relnamespace = c.relnamespace,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num ORDER BY o.n),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num ORDER BY o.n),
           k.confupdtype::text, k.confdeltype::text,
           CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
               || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,
           pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
    WHERE k.conrelid = %s::regclass AND k.contype = 'f' ORDER BY k.conname
"""


@dataclass(frozen=True)
class Column:
    """A column of PostgreSQL's."""

    name: str
    quoted: str  #: as PostgreSQL prints it
    type: str  #: of a domain, what it is made of
    not_null: bool
    default: str | None
    identity: bool
    generated: bool
    step: int | None  #: of the sequence that is its own


@dataclass(frozen=True)
class Index:
    """An index of PostgreSQL's."""

    name: str
    primary: bool
    unique: bool
    columns: list[str]
    descending: list[bool]
    listed: str  #: the columns as PostgreSQL prints them
    said: str  #: all of it, as ``catalogue`` has it

    @property
    def plain(self) -> bool:
        """Whether there is no more to it than its columns, which SQLite's can have."""
        words = ("UNIQUE", "PRIMARY KEY", "USING btree")
        return self.said.endswith(tuple(f"{word} {self.listed}" for word in words))

    @property
    def parts(self) -> str:
        """In SQLite's words."""
        pairs = zip(self.columns, self.descending, strict=True)
        return ", ".join(sql.name(column) + " DESC" * down for column, down in pairs)


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of PostgreSQL's."""

    parent: str
    here: bool  #: whether the parent is in the same schema
    columns: list[str]
    parent_columns: list[str]
    on_update: str  #: a letter, see ``sql.ACTIONS``
    on_delete: str
    deferrable: str
    said: str  #: all of it, as ``catalogue`` has it


def tables(target: Target, known: list[str]) -> list[str]:
    """All tables but those that are known, and an extension's."""
    return _new(target, ["r", "p"], known)


def views(target: Target, known: list[str]) -> list[str]:
    """The same of views, materialized ones too."""
    return _new(target, ["v", "m"], known)


def _new(target: Target, kinds: list[str], known: list[str]) -> list[str]:
    asked = (sql.name(target.schema), kinds, known)
    return [row[0] for row in target.connection.execute(_NEW, asked).fetchall()]


def columns(target: Target, table: str) -> list[Column]:
    """Of one table, in their order."""
    return [Column(*row) for row in _ask(target, _COLUMNS, table)]


def indexes(target: Target, table: str) -> list[Index]:
    """Of one table, by name."""
    return [Index(*row) for row in _ask(target, _INDEXES, table)]


def foreign_keys(target: Target, table: str) -> list[ForeignKey]:
    """Of one table, by name."""
    return [ForeignKey(*row) for row in _ask(target, _FOREIGN_KEYS, table)]


def _ask(target: Target, query: str, table: str) -> list[tuple[Any, ...]]:
    place = sql.qualified(target.schema, table)
    with catalogue.full_names(target):
        return target.connection.execute(query.encode(), (place,)).fetchall()
