"""Tables and columns that the app made on PostgreSQL, as SQLite's DDL.

They are made in the file, too, with what of their constraints is certain to mean the same there.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg

from migrate_db import sql
from migrate_db.codecs.numbers import WHOLE
from migrate_db.finding import Finding
from migrate_db.planning import pairing
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target, TargetTable
from migrate_db.reverse import theirs
from migrate_db.reverse.left_out import LeftOut, leaving_out
from migrate_db.sqlite.schema import Schema
from migrate_db.visible import decoded

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
            new = [c.name for c in over if not left_out.new_column(table.table.name, c.name)]
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
    chosen = {table.table.name for table in found.tables}
    excluded = {
        sql.folded(name)
        for table in schema.tables
        if table.name not in chosen
        for name in (table.name, found.mapping.table(table.name).rename)
    }
    new = [name for name in theirs.tables(target, ours) if not left_out.new_table(name)]
    for name in new:
        if sql.folded(name) in excluded:
            if target.value(f"SELECT 1 FROM {sql.qualified(target.schema, name)} LIMIT 1"):
                made.problems.append(Finding(
                    name, "", "", "", "the table was not migrated, and both sides have one with rows",
                    f"the file's stays as it is: {leaving_out([name])}", kind="both",
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
        columns = theirs.columns(self.target, name)
        if len({sql.folded(column.name) for column in columns}) < len(columns):
            problem = "two of its columns differ only in case, which SQLite doesn't tell apart"
        problem = problem or next((p for c in columns if (p := self._unheld(c))), "")
        if not columns:
            problem = "it has no column, which SQLite doesn't take"
        if problem:
            self.problem(name, "", problem)
            return
        self.taken.add(sql.folded(name))
        indexes = theirs.indexes(self.target, name)
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
        foreign = theirs.foreign_keys(self.target, name)
        for ours, clause in self._foreign_keys(name, foreign, new, None):
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
        foreign = theirs.foreign_keys(self.target, table.target)
        added = []
        for column in theirs.columns(self.target, table.target):
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
            for _, clause in self._foreign_keys(table.target, foreign, [], column.name):
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

        self._indexes(table.target, place, theirs.indexes(self.target, table.target), wanted)

    def _carry(self, table: str, item: str) -> None:
        self.made.carried.add((table, item))

    def problem(self, table: str, column: str, reason: str) -> None:
        """Something that the file can't have."""
        place = f"{table}.{column}" if column else table
        self.made.problems.append(Finding(
            table, "", column, "", f"new on PostgreSQL: {reason}",
            f"rename it there, or leave it behind: {leaving_out([place])}", kind="new",
        ))  # fmt: skip

    def _unheld(self, column: theirs.Column) -> str:
        if column.type == "money":
            return f"{column.name} is money, whose text depends on the server's language"
        return ""

    def _declared(self, table: str, place: str, column: theirs.Column) -> str:
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

    def _default(self, table: str, column: theirs.Column, changing: bool) -> str:
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
        self, table: str, keys: list[theirs.ForeignKey], new: list[str], column: str | None
    ) -> Iterator[tuple[list[str], str]]:
        """Columns and their REFERENCES clause; only those of one column, if that is given."""
        for key in keys:
            if column is not None and column not in key.columns:
                continue
            known = self.known.get(key.parent)
            where, others = key.parent, key.parent_columns
            if known is not None:
                back = {c.target: c.source for c in known.columns}
                where = known.table.name
                others = [back.get(other, "") for other in others]
            alone = column is None or len(key.columns) == 1
            if not key.here or not alone or not all(others) or (known is None and where not in new):
                continue
            if re.search(r" MATCH FULL| ON DELETE SET (NULL|DEFAULT) \(", key.said):
                continue
            self._carry(table, key.said)
            on = sql.on_events(sql.ACTIONS[key.on_update], sql.ACTIONS[key.on_delete])
            yield (
                key.columns,
                f"REFERENCES {sql.name(where)} ({sql.names(others)}){on}{key.deferrable}",
            )

    def _indexes(
        self,
        table: str,
        place: str,
        indexes: list[theirs.Index],
        wanted: Callable[[list[str]], bool],
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
    return {sql.folded(decoded(name)) for (name,) in rows}
