"""The plan: which table goes where, with which codec per column, and what stands against it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from migrate_db import codec, names, profile, sql
from migrate_db.codec import Codec
from migrate_db.profile import Finding
from migrate_db.reading import all_rows
from migrate_db.schema import Column, Schema, Table, Uncarried
from migrate_db.target import TargetColumn, TargetTable

#: Every table has them already.
_SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
#: Of `integer`; a table whose rows have come so far needs the next size.
_LAST_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class ColumnPlan:
    """One column on its way."""

    source: str
    target: str
    codec: Codec
    not_null: bool
    cell: str  #: SQLite's SQL of the value that is carried: the column, or its conversion
    computed: str = ""  #: what PostgreSQL computes it from; such a column is compared, not loaded


@dataclass(frozen=True)
class TablePlan:
    """One table on its way."""

    table: Table
    target: str
    exists: bool  #: the target already has it, and its types rule
    rows: int  #: in the source
    target_rows: int
    columns: tuple[ColumnPlan, ...]
    key: tuple[str, ...]  #: source names of the key columns; empty: rows are a multiset
    highest: int  #: the highest rowid ever given to a row, as far as SQLite knows
    relation: str  #: SQLite's SQL of the rows that are carried, after FROM

    @property
    def is_whole(self) -> bool:
        """Whether every row is carried, and every value as it is stored."""
        as_stored = all(column.cell == sql.name(column.source) for column in self.columns)
        return as_stored and self.relation == all_rows(self.table).relation

    def column(self, source_name: str) -> ColumnPlan:
        """The plan of a column, by its name in the source."""
        return next(c for c in self.columns if c.source == source_name)


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is written."""

    schema: Schema
    tables: tuple[TablePlan, ...]  #: parents first
    notes: tuple[str, ...]  #: what is carried in another shape, and why
    findings: tuple[Finding, ...]  #: what stands against it
    uncarried: tuple[Uncarried, ...]


def make(connection: sqlite3.Connection, schema: Schema, existing: dict[str, TargetTable]) -> Plan:
    """Scan every value and decide.

    Args:
        connection: the snapshot, with ``functions`` registered.
        existing: the target's tables, by name; they keep their own columns.
    """
    tables: list[TablePlan] = []
    notes: list[str] = []
    findings: list[Finding] = []
    for table in schema.tables:
        present = existing.get(target_name(table.name))
        highest = _highest(connection, table, schema)
        candidates, mapping, problems = _candidates(table, present)
        if present is None and table.rowid_alias and highest >= _LAST_INTEGER:
            candidates[table.rowid_alias] = (codec.integer("bigint"),)
            notes.append(
                f"{table.name}.{table.rowid_alias}: becomes bigint, because new rows need"
                f" numbers beyond {highest}"
            )
        reading = all_rows(table)
        scanned = profile.scan(connection, table, candidates, reading)
        if scanned.rows or not scanned.columns:
            findings += problems
        if scanned.rows:
            findings += profile.misfits(connection, table, scanned)
            findings += profile.bad_text(connection, table, scanned)
            findings += profile.nulls(
                connection, table, reading, _required(table, present, mapping)
            )
            findings += profile.orphans(connection, table, {t.name for t in schema.tables})
        notes += _notes(table, scanned, present is not None, mapping)
        tables.append(
            TablePlan(
                table=table,
                target=target_name(table.name),
                exists=present is not None,
                rows=scanned.rows,
                target_rows=present.rows if present else 0,
                columns=tuple(
                    ColumnPlan(
                        source=column.column,
                        target=mapping[column.column],
                        codec=column.codec,
                        not_null=bool((c := table.column(column.column)) and c.not_null),
                        cell=column.cell,
                        computed=_computed(present, mapping[column.column]),
                    )
                    for column in scanned.columns
                ),
                key=key if set(key := _key(table)) <= set(mapping) else (),
                highest=highest,
                relation=reading.relation,
            )
        )
    return Plan(schema, tuple(tables), tuple(notes), tuple(findings), schema.uncarried)


def target_name(source_name: str) -> str:
    """The name in PostgreSQL: the same, or a stable short form of an overlong one."""
    return names.fitting(source_name)


def _computed(present: TargetTable | None, column: str) -> str:
    own = present is not None and any(c.name == column and c.generated for c in present.columns)
    return "the target's own expression" if own else ""


def _for_new(table: Table, column: Column) -> tuple[Codec, ...]:
    wanted = codec.for_declared(column)
    return tuple(c for c in wanted if c is not codec.JSON) if _indexed(table, column) else wanted


def _indexed(table: Table, column: Column) -> bool:
    """Whether rows are found by this column; PostgreSQL can't compare json."""
    indexed = {part.name for index in table.indexes for part in index.columns}
    return column.name in indexed | set(table.primary_key)


def _column_name(source_name: str) -> str:
    return source_name + "_" if source_name in _SYSTEM_COLUMNS else target_name(source_name)


def _column_names(table: Table) -> dict[str, str]:
    """The columns' names in a table that is yet to be made; no two are the same."""
    all_names = [column.name for column in table.columns]
    kept = [name for name in all_names if _column_name(name) == name]
    space = names.Names.of(kept)
    return {
        name: name if name in kept else space.free(_column_name(name), "column", table.name)
        for name in all_names
    }


def _highest(connection: sqlite3.Connection, table: Table, schema: Schema) -> int:
    if table.rowid_alias is None:
        return 0
    column, place = sql.name(table.rowid_alias), sql.name(table.name)
    (largest,) = connection.execute(f"SELECT ifnull(max({column}), 0) FROM main.{place}").fetchone()
    return max(int(largest), schema.sequences.get(table.name, 0))


def _candidates(
    table: Table, present: TargetTable | None
) -> tuple[dict[str, tuple[Codec, ...]], dict[str, str], list[Finding]]:
    """Codecs to try per column, the target's column names, and what doesn't line up."""
    if present is None:
        return (
            {column.name: _for_new(table, column) for column in table.columns},
            _column_names(table),
            [],
        )
    candidates: dict[str, tuple[Codec, ...]] = {}
    mapping: dict[str, str] = {}
    findings: list[Finding] = []
    free = {column.name: column for column in present.columns}
    ours = _column_names(table)
    for column in table.columns:
        match = _match(column.name, ours[column.name], free)
        if match is None:
            findings.append(
                Finding(
                    table.name,
                    "",
                    column.name,
                    "",
                    f"the target's table {present.name} has no such column",
                    f'ALTER TABLE "{present.name}" ADD COLUMN …, or drop the empty table'
                    " and let the migration make it",
                )
            )
        elif not match.generated or column.generated:
            candidates[column.name] = codec.for_existing(match.type)
            mapping[column.name] = match.name
        if match is not None:
            del free[match.name]
    findings += [
        Finding(
            table.name, "", left.name, "",
            f"the target's column {present.name}.{left.name} is NOT NULL without a default,"
            " and the source has no such column",
            "give it a default",
        )
        for left in free.values()
        if left.not_null and not left.has_default and not left.generated
    ]  # fmt: skip
    return candidates, mapping, findings


def _match(column: str, ours: str, free: dict[str, TargetColumn]) -> TargetColumn | None:
    exact = free.get(ours)
    if exact is not None:
        return exact
    alike = [c for c in free.values() if c.name.lower() == column.lower()]
    return alike[0] if len(alike) == 1 else None


def _required(table: Table, present: TargetTable | None, mapping: dict[str, str]) -> dict[str, str]:
    """Columns where SQLite allows a NULL and the target doesn't, each with the reason."""
    strict = {column.name for column in present.columns if column.not_null} if present else set()
    required = {}
    for column in table.columns:
        if column.not_null or column.name == table.rowid_alias:
            continue
        if column.name in table.primary_key:
            required[column.name] = "NULL in a primary key"
        elif mapping.get(column.name) in strict:
            required[column.name] = "NULL where the target's column is NOT NULL"
    return required


def _notes(
    table: Table, scanned: profile.TableProfile, exists: bool, mapping: dict[str, str]
) -> list[str]:
    carried = {found.column for found in scanned.columns}
    notes = [
        f"{table.name}.{column.name}: the target computes it itself; neither loaded nor compared"
        for column in table.columns
        if exists and column.name not in carried
    ]
    if target_name(table.name) != table.name:
        notes.append(
            f"table {table.name}: the name is too long, it becomes {target_name(table.name)}"
        )
    for found in scanned.columns:
        column = table.column(found.column)
        place = f"{table.name}.{found.column}"
        if not exists and mapping[found.column] != found.column:
            why = "PostgreSQL keeps that name" if found.column in _SYSTEM_COLUMNS else "too long"
            notes.append(f"{place}: {why}, it becomes {mapping[found.column]}")
        if found.codec is not found.declared and not found.misfits and not exists:
            notes.append(
                f"{place}: declared {column.declared or 'without a type' if column else '?'},"
                f" becomes {found.codec.type}, because that holds every value"
            )
        means_json = column is not None and codec.JSON in codec.for_declared(column)
        if means_json and not exists and found.declared is not codec.JSON:
            notes.append(f"{place}: declared JSON, becomes text; json can't be indexed")
        if found.codec.says and scanned.rows:
            notes.append(f"{place}: {found.codec.says}")
    return notes


def _key(table: Table) -> tuple[str, ...]:
    """Columns that name a row in both databases: the primary key, or a strict unique one."""
    if table.primary_key:
        return table.primary_key
    for index in table.indexes:
        names = [column.name for column in index.columns]
        columns = [table.column(name) for name in names if name is not None]
        if (
            index.unique
            and not index.partial
            and len(columns) == len(index.columns)
            and all(column is not None and column.not_null for column in columns)
        ):
            return tuple(column.name for column in columns if column is not None)
    return ()
