"""What a SQLite database holds, read from its own catalogue."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from migrate_db import sql
from migrate_db.errors import MigrationError
from migrate_db.sqlite import brought, collations, computed, declaration, source, virtual
from migrate_db.sqlite.declaration import Declaration
from migrate_db.sqlite.virtual import Virtual
from migrate_db.visible import decoded

#: `sqlite_` names belong to SQLite itself, never to the user.
_INTERNAL = re.compile(r"^sqlite_", re.IGNORECASE)
#: One for all columns: each would take as much as a column.
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Column:
    """A column as declared; SQLite keeps the declared type as free text."""

    name: str
    declared: str
    not_null: bool
    default: str | None  #: the expression as written, or None
    generated: bool = False
    collation: str = "BINARY"  #: upper case
    expression: str = ""  #: of a generated column, as written
    unreadable: str = ""  #: why SQLite can't work out this generated column
    functions: frozenset[str] = frozenset()  #: that SQLite calls to work it out as it is read
    strict: bool = False  #: of a STRICT table

    @property
    def affinity(self) -> str:
        """SQLite's five rules, in their order (sqlite.org/datatype3.html, 3.1)."""
        text = self.declared.upper()
        if self.strict and text == "ANY":
            return "BLOB"
        if "INT" in text:
            return "INTEGER"
        if any(word in text for word in ("CHAR", "CLOB", "TEXT")):
            return "TEXT"
        if "BLOB" in text or not text:
            return "BLOB"
        if any(word in text for word in ("REAL", "FLOA", "DOUB")):
            return "REAL"
        return "NUMERIC"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key; ``parent_columns`` is resolved to the parent's primary key."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_update: str
    on_delete: str
    name: str = ""  #: given by the user
    deferrable: str = ""  #: in PostgreSQL's words


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """A key column of an index; ``name`` is None for an expression."""

    name: str | None
    descending: bool
    collation: str  #: upper case
    expression: str = ""  #: as written, where there is no name


@dataclass(frozen=True, slots=True)
class Index:
    """An index; origin ``c`` was created by hand, ``u`` is a UNIQUE constraint, ``pk`` a key."""

    name: str
    unique: bool
    origin: str
    partial: bool
    columns: tuple[IndexColumn, ...]
    sql: str | None
    where: str | None = None  #: of a partial index, as written
    constraint: str = ""  #: of a UNIQUE, the name that the user gave it
    function: str = ""  #: why this SQLite can't work out what it stands on
    #: it stands on what a function computes; the app's SQLite may compute otherwise
    computed: bool = False

    @property
    def in_unknown_order(self) -> bool:
        """Whether a collation or a function that this SQLite lacks orders it."""
        return bool(self.function) or any(
            part.collation not in collations.KNOWN for part in self.columns
        )


@dataclass(frozen=True)
class Table:
    """A table that holds rows."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    rowid_alias: str | None  #: the INTEGER PRIMARY KEY column, if there is one
    without_rowid: bool
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    sql: str
    checks: tuple[tuple[str, str], ...] = ()  #: name or "", and the expression as written
    primary_key_name: str = ""  #: given by the user
    conflicts: tuple[str, ...] = ()  #: constraints with an ON CONFLICT of their own
    utf8: bool = True  #: whether its texts are stored, and therefore sorted, so; else as UTF-16

    @property
    def in_unknown_order(self) -> bool:
        """Whether an index is ordered by a collation or a function that this SQLite lacks."""
        return any(index.in_unknown_order for index in self.indexes)

    @property
    def has_doubtful_index(self) -> bool:
        """Whether an index may not be what this SQLite would make of the rows."""
        return self.in_unknown_order or any(index.computed for index in self.indexes)

    def column(self, column_name: str) -> Column | None:
        """Find a column by name, in any case, as SQLite does."""
        return self._by_name.get(sql.folded(column_name))

    def collation(self, column_name: str) -> str:
        """By which a column is compared, upper case."""
        column = self.column(column_name)
        return column.collation if column is not None else "BINARY"

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {sql.folded(column.name): column for column in self.columns}


@dataclass(frozen=True)
class View:
    """A view; ``columns`` are empty where SQLite itself can't make sense of it."""

    name: str
    sql: str
    columns: tuple[str, ...]
    broken: str = ""  #: what SQLite says then


@dataclass(frozen=True)
class Uncarried:
    """An object that PostgreSQL doesn't get, and why."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class Schema:
    """Everything in one SQLite file."""

    tables: tuple[Table, ...]  #: parents before children
    uncarried: tuple[Uncarried, ...]
    views: tuple[View, ...] = ()
    notes: tuple[str, ...] = ()  #: what is carried in another shape
    #: highest rowid ever handed out, per AUTOINCREMENT table
    sequences: dict[str, int] = field(default_factory=dict)

    def has(self, table_name: str) -> bool:
        """Whether there is such a table."""
        return any(table.name == table_name for table in self.tables)


def read(connection: sqlite3.Connection) -> Schema:
    """Read the whole catalogue.

    Args:
        connection: an open database; nothing is written.
    """
    kinds = {
        _text(row[1]): (_text(row[2]), bool(row[4]), bool(row[5]))
        for row in connection.execute("PRAGMA main.table_list")
    }
    tables: list[Table] = []
    uncarried: list[Uncarried] = []
    notes: list[str] = []
    views: list[View] = []
    objects = [
        (_text(kind), _text(name), _text(table), _written(text or ""))
        for kind, name, table, text in connection.execute(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema"
            " WHERE type IN ('table', 'view', 'trigger') ORDER BY rowid"
        ).fetchall()
        if not _INTERNAL.match(_text(name))
    ]
    owners = [
        virtual.examine(connection, name, text)
        for kind, name, _, text in objects
        if kind == "table" and kinds.get(name, ("",))[0] == "virtual"
    ]
    by_name = {owner.name: owner for owner in owners}
    for kind, object_name, table, text in objects:
        if kind == "trigger":
            reason = f"on {table}: its body is SQLite's own language; write it in PL/pgSQL"
            uncarried.append(Uncarried("trigger", object_name, reason))
        elif kind == "view":
            views.append(_view(connection, object_name, text))
        elif object_name in by_name:
            owner = by_name[object_name]
            uncarried.append(Uncarried("virtual table", object_name, owner.reason))
            if owner.columns:
                tables.append(_plain_table(owner))
                key = f" with its {owner.key}" if owner.key else ""
                notes.append(
                    f"{object_name}: a virtual table ({owner.module}), becomes a plain one{key}"
                )
        elif (shadowed := _owner(connection, owners, object_name)) is not None:
            uncarried.append(
                Uncarried("shadow table", object_name, f"internal to virtual table {shadowed}")
            )
        else:
            tables.append(_table(connection, object_name, text, *kinds[object_name][1:]))
    if not source.is_utf8(connection):
        tables = [replace(table, utf8=False) for table in tables]
    return Schema(
        tables=tuple(_parents_first(_resolve_parents(tables))),
        uncarried=tuple(uncarried),
        views=tuple(views),
        notes=tuple(notes),
        sequences=_sequences(connection),
    )


def bare(table: Table) -> str:
    """CREATE TABLE with a table's columns and key alone: nothing that only the app has."""
    lines = []
    for column in table.columns:
        if column.generated:
            continue
        words = f"{sql.name(column.name)} {column.affinity}"
        words += " PRIMARY KEY" if column.name == table.rowid_alias else ""
        if column.collation in collations.KNOWN:
            words += f" COLLATE {column.collation}"
        lines.append(words)
    if table.without_rowid:
        lines.append(f"PRIMARY KEY ({sql.names(table.primary_key)})")
    without = " WITHOUT ROWID" if table.without_rowid else ""
    return f"CREATE TABLE {sql.name(table.name)} ({', '.join(lines)}){without}"


def _owner(connection: sqlite3.Connection, owners: list[Virtual], table: str) -> str | None:
    """The virtual table that a table is internal to; None if it is a table of its own."""
    if not owners or any(owner.is_content(table) for owner in owners):
        return None
    rows = connection.execute(f"PRAGMA main.table_xinfo({sql.name(table)})").fetchall()
    columns = tuple(_text(row[1]) for row in rows)
    return next((owner.name for owner in owners if owner.owns(table, columns)), None)


def _view(connection: sqlite3.Connection, name: str, text: str) -> View:
    try:
        rows = connection.execute(f"PRAGMA main.table_xinfo({sql.name(name)})").fetchall()
    except sqlite3.Error as error:  # a function, module or table that isn't there
        return View(name, text, (), str(error))
    return View(name, text, tuple(_text(row[1]) for row in rows))


def _plain_table(owner: Virtual) -> Table:
    return Table(
        name=owner.name,
        columns=tuple(Column(name, declared, False, None) for name, declared in owner.columns),
        primary_key=(owner.key,) if owner.key else (),
        rowid_alias=owner.key,
        without_rowid=False,
        indexes=(),
        foreign_keys=(),
        sql="",
    )


def _text(value: object) -> str:
    """A name, by which SQLite is asked again.

    Raises:
        MigrationError: it isn't UTF-8, so nobody can ask by it.
    """
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise MigrationError(
            "a table or a column has a name that is not UTF-8",
            where=f"the source's catalogue: {decoded(value)}",
            next="rename it in the app, or with the sqlite3 shell: ALTER TABLE … RENAME",
        ) from None


def _written(value: object) -> str:
    """What somebody wrote; bytes that aren't UTF-8 become U+FFFD, which is never translated."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _table(
    connection: sqlite3.Connection, table: str, text: str, without_rowid: bool, strict: bool
) -> Table:
    said = declaration.table(text)
    columns: list[Column] = []
    key: list[tuple[int, str]] = []
    rows = connection.execute(f"PRAGMA main.table_xinfo({sql.name(table)})").fetchall()
    names = [sql.folded(_text(row[1])) for row in rows if row[6] == 2]
    virtual = {name: said.generated[name] for name in names if name in said.generated}
    functions = computed.by_functions(connection, table, virtual)
    lost = brought.in_columns(connection, table, virtual, brought.missing)
    sound = [name for name in functions if name not in lost]  # only functions fail
    unreadable = lost | brought.failing(connection, table, sound)
    for row in rows:
        hidden = int(row[6])
        if hidden == 1:  # a hidden column of a virtual table
            continue
        name = _text(row[1])
        column = Column(
            name=name,
            declared=_written(row[2] or "").strip(),
            not_null=bool(row[3]),
            default=None if row[4] is None else _written(row[4]),
            generated=hidden in (2, 3),
            collation=said.collations.get(sql.folded(name), "BINARY"),
            expression=said.generated.get(sql.folded(name), "") if hidden else "",
            unreadable=unreadable.get(sql.folded(name), ""),
            functions=frozenset(functions.get(sql.folded(name), _NONE)),
            strict=strict,
        )
        columns.append(column)
        if row[5]:
            key.append((int(row[5]), column.name))
    indexes = tuple(_indexes(connection, table, said, lost, functions))
    primary_key = tuple(column for _, column in sorted(key))
    return Table(
        name=table,
        columns=tuple(columns),
        primary_key=primary_key,
        rowid_alias=_rowid_alias(columns, primary_key, indexes, without_rowid),
        without_rowid=without_rowid,
        indexes=indexes,
        foreign_keys=tuple(_foreign_keys(connection, table, said)),
        sql=text,
        checks=tuple(said.checks),
        primary_key_name=said.primary_key,
        conflicts=tuple(said.conflicts),
    )


def _rowid_alias(
    columns: list[Column],
    primary_key: tuple[str, ...],
    indexes: tuple[Index, ...],
    without_rowid: bool,
) -> str | None:
    if without_rowid or len(primary_key) != 1:
        return None
    column = next(c for c in columns if c.name == primary_key[0])
    # "INTEGER PRIMARY KEY DESC" is declared so and still has an index of its own
    if column.declared.upper() != "INTEGER" or any(i.origin == "pk" for i in indexes):
        return None
    return column.name


def _indexes(
    connection: sqlite3.Connection,
    table: str,
    said: Declaration,
    lost: dict[str, str],
    functions: dict[str, set[str]],
) -> list[Index]:
    found = []
    by_functions = computed.indexes(connection, table, functions)
    listing = connection.execute(f"PRAGMA main.index_list({sql.name(table)})").fetchall()
    for row in listing:
        index = _text(row[1])
        stored = connection.execute(
            "SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND name = ?", (index,)
        ).fetchone()
        text = None if stored is None or stored[0] is None else _written(stored[0])
        written = declaration.index(text) if text else None
        parts = [
            part
            for part in connection.execute(f"PRAGMA main.index_xinfo({sql.name(index)})")
            if part[5]  # key columns only, not the rowid that each entry carries
        ]
        columns = [
            IndexColumn(
                name=None if part[2] is None else _text(part[2]),
                descending=bool(part[3]),
                collation=_text(part[4] or "BINARY").upper(),
                expression=written.parts[position] if written and part[2] is None else "",
            )
            for position, part in enumerate(parts)
        ]
        names = tuple(sql.folded(column.name or "") for column in columns)
        origin = _text(row[3])
        expressions = [c.expression for c in columns if c.expression]
        expressions += [written.where] if written and written.where else []
        reasons = (
            brought.missing(connection, table, text) or brought.in_names(text, lost)
            for text in expressions
        )
        reason = next(filter(None, reasons), "")
        found.append(
            Index(
                name=index,
                unique=bool(row[2]),
                origin=origin,
                partial=bool(row[4]),
                columns=tuple(columns),
                sql=text,
                where=written.where if written else None,
                constraint=said.uniques.get(names, "") if origin == "u" else "",
                function=reason or next((lost[n] for n in names if n in lost), ""),
                computed=index in by_functions,
            )
        )
    return sorted(found, key=lambda i: i.name)


def _foreign_keys(
    connection: sqlite3.Connection, table: str, said: Declaration
) -> list[ForeignKey]:
    groups: dict[int, list[tuple[int, str, str, str | None, str, str]]] = {}
    for row in connection.execute(f"PRAGMA main.foreign_key_list({sql.name(table)})"):
        parent_column = None if row[4] is None else _text(row[4])
        groups.setdefault(int(row[0]), []).append(
            (int(row[1]), _text(row[2]), _text(row[3]), parent_column, _text(row[5]), _text(row[6]))
        )
    keys = []
    # SQLite lists them last first
    for position, (_, parts) in enumerate(sorted(groups.items(), reverse=True)):
        parts.sort()
        columns = tuple(part[2] for part in parts)
        written = said.foreign_keys[position] if position < len(said.foreign_keys) else None
        if written is not None and written.columns != tuple(sql.folded(c) for c in columns):
            written = None
        keys.append(
            ForeignKey(
                columns=columns,
                parent=parts[0][1],
                parent_columns=tuple(part[3] for part in parts if part[3] is not None),
                on_update=parts[0][4].upper(),
                on_delete=parts[0][5].upper(),
                name=written.name if written else "",
                deferrable=written.deferrable if written else "",
            )
        )
    return keys


def _resolve_parents(tables: list[Table]) -> list[Table]:
    """Give every foreign key its parent's real name and columns."""
    by_name = {sql.folded(table.name): table for table in tables}
    resolved = []
    for table in tables:
        keys = []
        for key in table.foreign_keys:
            parent = by_name.get(sql.folded(key.parent))
            if parent is None:
                keys.append(key)
                continue
            wanted = key.parent_columns or parent.primary_key
            real = tuple(c.name if (c := parent.column(n)) else n for n in wanted)
            own = tuple(c.name if (c := table.column(n)) else n for n in key.columns)
            keys.append(replace(key, columns=own, parent=parent.name, parent_columns=real))
        resolved.append(replace(table, foreign_keys=tuple(keys)))
    return resolved


def _parents_first(tables: list[Table]) -> list[Table]:
    """Order tables so that parents come before children; cycles keep file order."""
    by_name = {table.name: table for table in tables}
    waiting = {
        table.name: {k.parent for k in table.foreign_keys if k.parent in by_name} - {table.name}
        for table in tables
    }
    while True:
        try:
            # sorted: the same file always gives the same order
            graph = {child: sorted(parents) for child, parents in waiting.items()}
            order = list(TopologicalSorter(graph).static_order())
            return [by_name[table] for table in order]
        except CycleError as error:
            # foreign keys are added after the load, so any one edge of the cycle may go
            child, parent = error.args[1][1], error.args[1][0]
            waiting[child].discard(parent)


def _sequences(connection: sqlite3.Connection) -> dict[str, int]:
    present = connection.execute(
        "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'"
    ).fetchone()
    if present is None:
        return {}
    # whoever wrote it by hand may have written a text, of which SQLite takes the number
    rows = connection.execute(
        "SELECT name, max(CAST(seq AS INTEGER)) FROM main.sqlite_sequence WHERE seq IS NOT NULL GROUP BY name"
    ).fetchall()
    return {_text(row[0]): int(row[1]) for row in rows}
