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
from dataclasses import dataclass, field
from typing import Any

from migrate_db import sql
from migrate_db.codecs.numbers import WHOLE
from migrate_db.finding import Finding
from migrate_db.planning import pairing
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.names import fitting
from migrate_db.postgresql.target import Target, TargetTable, tables
from migrate_db.sqlite.schema import Schema
from migrate_db.structure import catalogue

#: What SQLAlchemy declares for SQLite, or what our own codecs read as the same type again.
_DECLARED = {
    "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "boolean": "BOOLEAN",
    "real": "REAL", "double precision": "DOUBLE PRECISION", "text": "TEXT", "citext": "TEXT",
    "bytea": "BLOB", "json": "JSON", "jsonb": "JSON", "date": "DATE", "uuid": "CHAR(32)",
    "timestamp without time zone": "DATETIME", "timestamp with time zone": "TIMESTAMPTZ",
    "time without time zone": "TIME",
}  # fmt: skip
_SIZED = {"numeric": "NUMERIC", "character varying": "VARCHAR", "character": "CHAR"}
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
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('v', 'm') AND c.relname <> ALL(%s)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname
"""
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '', a.attgenerated <> ''
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_INDEXES = """
    SELECT x.relname, i.indisprimary, i.indisunique,
           ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.num
                 WHERE o.n <= i.indnkeyatts ORDER BY o.n),
           i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree'
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE i.indrelid = %s::regclass ORDER BY x.relname
"""
_FOREIGN_KEYS = """
    SELECT k.conname, p.relname, p.relnamespace = c.relnamespace,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num ORDER BY o.n),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num ORDER BY o.n),
           k.confupdtype::text, k.confdeltype::text
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


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    not_null: bool
    default: str | None
    identity: bool
    generated: bool


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
        indexes = self._ask(_INDEXES, name)
        key = next((tuple(row[3]) for row in indexes if row[1]), ())
        lines = []
        alone = key[0] if len(key) == 1 else ""
        for column in columns:
            declared = self._declared(name, column)
            numbers = column.identity or (column.default or "").startswith("nextval(")
            if column.name == alone and column.type in WHOLE:
                # numbers that were handed out are not handed out again
                line = "INTEGER PRIMARY KEY" + (" AUTOINCREMENT" if numbers else "")
            else:
                line = declared + (" NOT NULL" if column.not_null else "")
                line += "" if numbers else self._default(name, column, changing=True)
            lines.append(f"  {sql.name(column.name)} {line}")
        if key and not any("PRIMARY KEY" in line for line in lines):
            lines.append(f"  PRIMARY KEY ({sql.names(key)})")
        for _, primary, unique, parts, plain in indexes:
            if unique and plain and not primary:
                lines.append(f"  UNIQUE ({sql.names(parts)})")
        lines += [f"  {line}" for line in self._foreign_keys(name, new, None)]
        body = ",\n".join(lines)
        self.made.statements.append(f"CREATE TABLE {sql.name(name)} (\n{body}\n)")
        self.made.tables.append(name)
        self._indexes(name, name, indexes, lambda parts: True, uniques=False)

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
            default = self._default(place, column, changing=False)
            line = self._declared(place, column)
            if column.not_null and default and default != " DEFAULT NULL":
                line += " NOT NULL"
            elif column.not_null:
                self.made.notes.append(
                    f"{place}.{column.name}: NOT NULL is not carried: SQLite wants a default for it"
                )
            line += default
            for key in self._foreign_keys(table.target, [], column.name):
                line += key.partition(")")[2]
            self.made.statements.append(
                f"ALTER TABLE {sql.name(place)} ADD COLUMN {sql.name(column.name)} {line}"
            )
            self.made.columns.append(f"{place}.{column.name}")
            added.append(column.name)
        same = {column.target for column in table.columns if column.source == column.target}
        known = (there & same) | set(added)

        def wanted(parts: list[str]) -> bool:
            return set(parts) <= known and bool(set(parts) & set(added))

        self._indexes(table.target, place, self._ask(_INDEXES, table.target), wanted, uniques=True)

    def _columns(self, table: str) -> list[_Column]:
        return [_Column(*row) for row in self._ask(_COLUMNS, table)]

    def _ask(self, query: str, table: str) -> list[tuple[Any, ...]]:
        place = sql.qualified(self.target.schema, table)
        return self.target.connection.execute(query.encode(), (place,)).fetchall()

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

    def _declared(self, table: str, column: _Column) -> str:
        bare, _, size = column.type.partition("(")
        if column.generated:
            self.made.notes.append(
                f"{table}.{column.name}: PostgreSQL computes it; the file gets its values"
            )
        if column.type in _DECLARED:
            return _DECLARED[column.type]
        timed = re.fullmatch(r"(timestamp|time)\(\d\) (with(?:out)? time zone)", column.type)
        if timed:
            return _DECLARED.get(f"{timed[1]} {timed[2]}", "TEXT")
        if bare in _SIZED:
            return _SIZED[bare] + (f"({size}" if size else "")
        self.made.notes.append(
            f"{table}.{column.name}: {column.type} becomes a text, as PostgreSQL writes it"
        )
        return "TEXT"

    def _default(self, table: str, column: _Column, changing: bool) -> str:
        """DEFAULT in SQLite's words; ``changing``: whether it may be another each time."""
        text = column.default
        if text is None or column.generated:
            return ""
        if text in _NOW and column.type.startswith("timestamp") and changing:
            return " DEFAULT CURRENT_TIMESTAMP"
        if text in ("true", "false"):
            return f" DEFAULT {int(text == 'true')}"
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return f" DEFAULT {text}"
        match = re.fullmatch(r"('(?:[^']|'')*')::[a-z][a-z ]*(?:\(\d+(?:,\d+)?\))?", text)
        if match and "\\" not in text:
            inner = match[1][1:-1]
            plain = re.fullmatch(r"-?\d+(\.\d+)?", inner)
            texts = ("text", "character", "citext", "json")
            numbers = (*WHOLE, "numeric", "real", "double precision")
            if column.type.startswith(texts) or (plain and column.type.startswith(numbers)):
                return f" DEFAULT {match[1]}"
        self.made.notes.append(f"{table}.{column.name}: the default {text} is not carried")
        return ""

    def _foreign_keys(self, table: str, new: list[str], column: str | None) -> Iterator[str]:
        """FOREIGN KEY clauses; only the one of a column, if that is given."""
        for name, parent, here, ours, theirs, update, delete in self._ask(_FOREIGN_KEYS, table):
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
                self.made.notes.append(f"{table}: the foreign key {name} is not carried")
                continue
            on = sql.on_events(sql.ACTIONS[str(update)], sql.ACTIONS[str(delete)])
            yield (
                f"FOREIGN KEY ({sql.names(ours)}) REFERENCES {sql.name(where)}"
                f" ({sql.names(others)}){on}"
            )

    def _indexes(
        self,
        table: str,
        place: str,
        rows: list[tuple[Any, ...]],
        wanted: Callable[[list[str]], bool],
        uniques: bool,
    ) -> None:
        for name, primary, unique, parts, plain in rows:
            assert isinstance(parts, list)
            if primary or (unique and plain and not uniques):
                continue
            if not plain:
                if not uniques:
                    self.made.notes.append(f"{place}: the index {name} is not carried")
                continue
            if not wanted(parts) or sql.folded(str(name)) in self.taken:
                continue
            self.taken.add(sql.folded(str(name)))
            word = "UNIQUE " if unique else ""
            self.made.statements.append(
                f"CREATE {word}INDEX {sql.name(str(name))} ON {sql.name(place)} ({sql.names(parts)})"
            )


def not_carried(target: Target, found: Plan, extra: Additions) -> list[str]:
    """Rules and views that PostgreSQL got since the load, a line for each: the file keeps its own."""
    before = catalogue.recorded(target)
    now = catalogue.read(target, [t.target for t in found.tables if t.exists], [])
    lines = []
    for table, items in now.items():
        new = catalogue.added(before[table], items) if table in before else []
        made = [place.partition(".")[2] for place in extra.columns]
        lines += [
            f"{table}: new on PostgreSQL, and not in the file: {item}"
            for item in new
            if not any(re.search(rf'(?<!\w)"?{re.escape(name)}"?(?!\w)', item) for name in made)
        ]
    known = [fitting(view.name) for view in found.schema.views]
    rows = target.connection.execute(_NEW_VIEWS, (sql.name(target.schema), known)).fetchall()
    return lines + [f"view {name}: new on PostgreSQL, and not in the file" for (name,) in rows]


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
