"""What the two sides have that the other lacks: tables and columns of later, as SQLite's DDL.

Tables and columns that the app made on PostgreSQL are made in the file, too, with what of
their constraints is certain to mean the same there. What PostgreSQL dropped is refused: nobody
knows what the app expects to find in the file.
"""

from __future__ import annotations

import fnmatch
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import psycopg

from migrate_db import sql
from migrate_db.codecs.numbers import WHOLE
from migrate_db.finding import Finding
from migrate_db.planning import pairing
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.names import fitting
from migrate_db.postgresql.target import WITHOUT_DOMAIN, Target, TargetTable, tables
from migrate_db.sqlite.schema import Schema
from migrate_db.structure import catalogue, sequences

#: What SQLAlchemy declares for SQLite, or what our own codecs read as the same type again.
_DECLARED = {
    "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "boolean": "BOOLEAN",
    "real": "REAL", "double precision": "DOUBLE PRECISION", "text": "TEXT",
    "bytea": "BLOB", "json": "JSON", "jsonb": "JSON", "date": "DATE", "uuid": "CHAR(32)",
    "timestamp without time zone": "DATETIME", "timestamp with time zone": "TIMESTAMPTZ",
    "time without time zone": "TIME",
}  # fmt: skip
_SIZED = {"numeric": "NUMERIC", "character varying": "VARCHAR", "character": "CHAR"}
#: A default that is the same each time, as PostgreSQL prints it.
_LITERAL = re.compile(
    r"""(?:NULL|true|false|-?\d+(?:\.\d+)?|'(?:[^']|'')*')(?:::["\w. ]+(?:\(\d+(?:,\d+)?\))?)?"""
)
_NOW = ("now()", "CURRENT_TIMESTAMP", "timezone('utc'::text, now())")

_NEW_TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND c.relname <> ALL(%s)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname
"""
_NEW_VIEWS = """
    SELECT 'view ' || c.relname FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('v', 'm') AND c.relname <> ALL(%s)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname
"""
_NEW_TRIGGERS = """
    SELECT format('trigger %%s of %%s', t.tgname, c.relname)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = to_regnamespace(%s) AND NOT t.tgisinternal AND t.tgname <> ALL(%s)
    ORDER BY 1
"""
_HEIRS = """
    SELECT format('%%s: it inherits from %%s, and its rows are in both', c.relname, p.relname)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
    WHERE p.relnamespace = to_regnamespace(%s) AND p.relkind = 'r' ORDER BY 1
"""
_COLUMNS = (
    """
    SELECT a.attname, quote_ident(a.attname), format_type(b.type, b.size),
           format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '', a.attgenerated <> '',
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


@dataclass
class Additions:
    """What is to be made in the file, and what can't be."""

    statements: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)  #: ``table.column``
    notes: list[str] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    #: of PostgreSQL's tables what is made, in the words of ``catalogue``
    carried: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class _Column:
    name: str
    quoted: str  #: as PostgreSQL prints it
    type: str  #: of a domain, what it is made of
    declared: str
    not_null: bool
    default: str | None
    identity: bool
    generated: bool
    step: int | None  #: of the sequence that is its own


@dataclass(frozen=True)
class _Index:
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


class LeftOut:
    """Tables and columns that the operator leaves where they are."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns

    def table(self, name: str) -> bool:
        """Whether a whole table is left out."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)

    def column(self, table: str, column: str) -> bool:
        """Whether a column is, written ``table.column``."""
        return self.table(f"{table}.{column}")


def dropped(target: Target, found: Plan, existing: dict[str, TargetTable]) -> Iterator[Finding]:
    """Tables and columns of the file that PostgreSQL had at the load and has no more."""
    for table in found.tables:
        name = table.table.name
        if not table.exists:
            yield _gone(name, "", f"table {table.target} is gone on PostgreSQL")
            continue
        pairs, _ = pairing.paired(table.table, table.wish, existing[table.target])
        for column, match in pairs:
            if match is None:
                reason = f"the column is gone on PostgreSQL, or has another name there ({target})"
                yield _gone(name, column.name, reason)


def _gone(table: str, column: str, reason: str) -> Finding:
    place = f"{table}.{column}" if column else table
    return Finding(
        table, "", column, "", reason,
        f"bring it back there, or leave it as it was at the cut-over: --leave-out '{place}'",
        kind="gone",
    )  # fmt: skip


def find(
    target: Target,
    schema: Schema,
    found: Plan,
    existing: dict[str, TargetTable],
    left_out: LeftOut,
    taken: set[str],
) -> Additions:
    """Look for what PostgreSQL has besides.

    Args:
        schema: of the file.
        taken: names of all tables, indexes and views of the file, in lower case.
    """
    made = Additions()
    writer = _Writer(target, found, made, taken)
    for table in found.tables:
        if table.exists:
            _, over = pairing.paired(table.table, table.wish, existing[table.target])
            mine = {sql.folded(c.name): table.wish.column(c.name) for c in table.table.columns}
            new = [c.name for c in over if not left_out.column(table.table.name, c.name)]
            names = [name for name in new if sql.folded(name) not in mine]
            if names:
                writer.columns(table, names)
            for name in new:
                if sql.folded(name) in mine and not mine[sql.folded(name)].exclude:
                    writer.problem(
                        table.table.name,
                        name,
                        "it differs from another column only in case, which SQLite doesn't tell",
                    )
    ours = [table.target for table in found.tables]
    excluded = {sql.folded(table.name) for table in schema.tables} - {
        sql.folded(t.table.name) for t in found.tables
    }
    rows = target.connection.execute(_NEW_TABLES, (sql.name(target.schema), ours)).fetchall()
    new = [row[0] for row in rows if not left_out.table(row[0])]
    for name in new:
        if sql.folded(name) in excluded:
            if target.value(f"SELECT 1 FROM {sql.qualified(target.schema, name)} LIMIT 1"):
                made.problems.append(Finding(
                    name, "", "", "", "the table was not migrated, and both sides have one with rows",
                    f"the file's stays as it is: --leave-out '{name}'", kind="both",
                ))  # fmt: skip
        else:
            writer.table(name, new)
    return made


class _Writer:
    """Writes SQLite's DDL of what is new."""

    def __init__(self, target: Target, found: Plan, made: Additions, taken: set[str]) -> None:
        self.target, self.made, self.taken = target, made, taken
        self.known = {table.target: table for table in found.tables if table.exists}

    def table(self, name: str, new: list[str]) -> None:
        """CREATE TABLE and its indexes."""
        problem = "SQLite keeps such names for itself" if name.lower().startswith("sqlite_") else ""
        if sql.folded(name) in self.taken:
            problem = "the file has something of that name; SQLite doesn't tell A from a"
        columns = self._columns(name)
        if len({sql.folded(column.name) for column in columns}) < len(columns):
            problem = "two of its columns differ only in case, which SQLite doesn't tell apart"
        problem = problem or next((p for c in columns if (p := self._unheld(c))), "")
        if not columns:
            problem = "it has no column, which SQLite doesn't take"
        if problem:
            self.problem(name, "", problem)
            return
        self.taken.add(sql.folded(name))
        indexes = self._indexes_of(name)
        key = next((index for index in indexes if index.primary), None)
        lines = []
        alone = key.columns[0] if key and len(key.columns) == 1 else None
        rowid = next((c.name for c in columns if c.name == alone and c.type in WHOLE), None)
        for column in columns:
            declared = self._declared(name, name, column)
            numbers = column.identity or (column.default or "").startswith("nextval(")
            if column.not_null:
                self._carry(name, f"NOT NULL of {column.quoted}")
            if column.name == rowid:
                # numbers that were handed out are not handed out again
                line = "INTEGER PRIMARY KEY" + (" AUTOINCREMENT" if numbers else "")
                if numbers and column.step is not None:
                    self._carry(name, f"default of {column.quoted}: {column.default}")
                    self._carry(name, f"identity of {column.quoted}")
                    self._carry(name, f"a number of the app's own choice in {column.quoted}")
                    if column.step != 1:
                        self.made.notes.append(
                            f"{name}.{column.name}: PostgreSQL counts by {column.step}, the file by 1"
                        )
            else:
                line = declared + (" NOT NULL" if column.not_null else "")
                line += self._default(name, column, changing=True)
            lines.append(f"  {sql.name(column.name)} {line}")
        if key and rowid is None:
            lines.append(f"  PRIMARY KEY ({key.parts})")
        for index in indexes:
            if index.plain and index.unique:
                self._carry(name, index.said)
                if not index.primary:
                    lines.append(f"  UNIQUE ({index.parts})")
        for ours, clause in self._foreign_keys(name, new, None):
            lines.append(f"  FOREIGN KEY ({sql.names(ours)}) {clause}")
        body = ",\n".join(lines)
        self.made.statements.append(f"CREATE TABLE {sql.name(name)} (\n{body}\n)")
        self.made.tables.append(name)
        self._indexes(name, name, [i for i in indexes if not i.unique], lambda parts: True)

    def columns(self, table: TablePlan, names: list[str]) -> None:
        """ALTER TABLE … ADD COLUMN, and indexes that need it."""
        place = table.table.name
        if not table.table.sql:
            for name in names:
                self.problem(place, name, "a virtual table can't get another column")
            return
        there = {column.source for column in table.columns}
        added = []
        for column in self._columns(table.target):
            if column.name not in names:
                continue
            problem = self._unheld(column)
            if problem:
                self.problem(place, column.name, problem)
                continue
            default = self._default(table.target, column, changing=False)
            line = self._declared(table.target, place, column)
            if column.not_null and default:  # SQLite wants one for it
                line += " NOT NULL"
                self._carry(table.target, f"NOT NULL of {column.quoted}")
            line += default
            for _, clause in self._foreign_keys(table.target, [], column.name):
                line += f" {clause}"
            self.made.statements.append(
                f"ALTER TABLE {sql.name(place)} ADD COLUMN {sql.name(column.name)} {line}"
            )
            self.made.columns.append(f"{place}.{column.name}")
            added.append(column.name)
        same = {column.target for column in table.columns if column.source == column.target}
        known = (there & same) | set(added)

        def wanted(parts: list[str]) -> bool:
            return set(parts) <= known and bool(set(parts) & set(added))

        self._indexes(table.target, place, self._indexes_of(table.target), wanted)

    def _columns(self, table: str) -> list[_Column]:
        return [_Column(*row) for row in self._ask(_COLUMNS, table)]

    def _indexes_of(self, table: str) -> list[_Index]:
        return [_Index(*row) for row in self._ask(_INDEXES, table)]

    def _ask(self, query: str, table: str) -> list[tuple[Any, ...]]:
        place = sql.qualified(self.target.schema, table)
        with catalogue.full_names(self.target):
            return self.target.connection.execute(query.encode(), (place,)).fetchall()

    def _carry(self, table: str, item: str) -> None:
        self.made.carried.add((table, item))

    def problem(self, table: str, column: str, reason: str) -> None:
        """Something that the file can't have."""
        place = f"{table}.{column}" if column else table
        self.made.problems.append(Finding(
            table, "", column, "", f"new on PostgreSQL: {reason}",
            f"rename it there, or leave it behind: --leave-out '{place}'", kind="new",
        ))  # fmt: skip

    def _unheld(self, column: _Column) -> str:
        if column.type == "money":
            return f"{column.name} is money, whose text depends on the server's language"
        return ""

    def _declared(self, table: str, place: str, column: _Column) -> str:
        # a domain is carried as what it is made of, without what it demands
        self._carry(table, f"type of {column.quoted}: {column.type}")
        if column.type in _DECLARED:
            return _DECLARED[column.type]
        timed = re.fullmatch(r"(timestamp|time)\(\d\) (with(?:out)? time zone)", column.type)
        if timed:
            return _DECLARED.get(f"{timed[1]} {timed[2]}", "TEXT")
        sized = re.fullmatch(r"([a-z ]+)(\(\d+(?:,-?\d+)?\))?", column.type)
        if sized and sized[1] in _SIZED:
            return _SIZED[sized[1]] + (sized[2] or "")
        self.made.notes.append(
            f"{place}.{column.name}: {column.type} becomes a text, as PostgreSQL writes it"
        )
        return "TEXT"

    def _default(self, table: str, column: _Column, changing: bool) -> str:
        """DEFAULT in SQLite's words; ``changing``: whether it may be another each time."""
        text = column.default or ""
        if text in _NOW and column.type.startswith("timestamp") and changing:
            said = " DEFAULT CURRENT_TIMESTAMP"
        elif column.generated or not _LITERAL.fullmatch(text):
            return ""
        else:
            value = self._stored(text, column.type)
            if value is None:
                return ""
            said = f" DEFAULT {value}" if value else ""
        self._carry(table, f"default of {column.quoted}: {text}")
        return said

    def _stored(self, literal: str, kind: str) -> str | None:
        """What a column holds by a default: SQLite's literal, empty for NULL; None if it isn't certain."""
        texts = ("text", "character", "json")
        numeric = (*WHOLE, "numeric", "real", "double precision", "boolean")
        if not kind.startswith((*texts, *numeric)) or kind.endswith("[]"):
            return None
        form = {"boolean": "int", "real": "double precision"}.get(kind, "text")
        try:
            with self.target.connection.transaction():
                value = self.target.value(f"SELECT ({literal})::{kind}::{form}::text")
        except psycopg.DataError:  # no row can have it
            return None
        if value is None:
            return ""
        text = str(value)
        if kind.startswith(texts):
            return sql.string(text)
        if not re.fullmatch(r"[\d.e+-]+", text):  # NaN, or an infinity
            return None
        with closing(sqlite3.connect(":memory:")) as connection:
            (number,) = connection.execute(f"SELECT {text}").fetchone()
        return text if Decimal(repr(number)) == Decimal(text) else None

    def _foreign_keys(
        self, table: str, new: list[str], column: str | None
    ) -> Iterator[tuple[list[str], str]]:
        """Columns and their REFERENCES clause; only those of one column, if that is given."""
        for parent, here, ours, theirs, update, delete, when, said in self._ask(
            _FOREIGN_KEYS, table
        ):
            assert isinstance(ours, list) and isinstance(theirs, list)
            if column is not None and column not in ours:
                continue
            known = self.known.get(str(parent))
            where = str(parent)
            others = [str(other) for other in theirs]
            if known is not None:
                back = {c.target: c.source for c in known.columns}
                where = known.table.name
                others = [back.get(other, "") for other in others]
            alone = column is None or len(ours) == 1
            if not here or not alone or not all(others) or (known is None and parent not in new):
                continue
            if re.search(r" MATCH FULL| ON DELETE SET (NULL|DEFAULT) \(", said):
                continue
            self._carry(table, said)
            on = sql.on_events(sql.ACTIONS[str(update)], sql.ACTIONS[str(delete)])
            yield ours, f"REFERENCES {sql.name(where)} ({sql.names(others)}){on}{when}"

    def _indexes(
        self, table: str, place: str, indexes: list[_Index], wanted: Callable[[list[str]], bool]
    ) -> None:
        for index in indexes:
            folded = sql.folded(index.name)
            if not index.plain or not wanted(index.columns) or folded in self.taken:
                continue
            self.taken.add(folded)
            self._carry(table, index.said)
            word = "UNIQUE " if index.unique else ""
            self.made.statements.append(
                f"CREATE {word}INDEX {sql.name(index.name)} ON {sql.name(place)} ({index.parts})"
            )


def not_carried(target: Target, found: Plan, extra: Additions) -> list[str]:
    """What PostgreSQL got or lost since the load and the file doesn't, a line for each."""
    before = catalogue.recorded(target)
    there = replace(found, tables=tuple(table for table in found.tables if table.exists))
    tables = [table.target for table in there.tables]
    lines = []
    for table, items in catalogue.read(target, [*tables, *extra.tables], []).items():
        is_old = table not in extra.tables
        new = catalogue.added(before.get(table, items), items) if is_old else items
        lines += [
            f"{table}: new on PostgreSQL, and not in the file: {item}"
            for item in new
            if (table, item) not in extra.carried
        ]
    schema = sql.name(target.schema)
    views = [fitting(view.name) for view in found.schema.views]
    triggers = [fitting(lack.name) for lack in found.schema.uncarried if lack.kind == "trigger"]
    for query, ours in ((_NEW_VIEWS, views), (_NEW_TRIGGERS, triggers)):
        rows = target.connection.execute(query.encode(), (schema, ours)).fetchall()
        lines += [f"{name}: new on PostgreSQL, and not in the file" for (name,) in rows]
    lines += [
        f"sequence {name}: on PostgreSQL, and not in the file" for name in sequences.unasked(target)
    ]
    lines += [line for (line,) in target.connection.execute(_HEIRS.encode(), (schema,)).fetchall()]
    gone = catalogue.gone(target, there, before)
    return lines + [f"{line.rstrip(';')}; the file keeps it" for line in gone]


def make(connection: sqlite3.Connection, additions: Additions) -> None:
    """Run the DDL on the copy; nothing of it touches a row.

    Raises:
        sqlite3.Error: SQLite doesn't take it.
    """
    for statement in additions.statements:
        connection.execute(statement)


def names_of(connection: sqlite3.Connection) -> set[str]:
    """Everything in the file that has a name, folded."""
    rows = connection.execute("SELECT name FROM main.sqlite_schema").fetchall()
    return {
        sql.folded(row[0].decode("utf-8", "replace") if isinstance(row[0], bytes) else str(row[0]))
        for row in rows
    }


def existing(target: Target, found: Plan) -> dict[str, TargetTable]:
    """The target's own tables of a plan."""
    return tables(target, {table.target for table in found.tables})
