"""One table while it is planned: names and codecs of its columns, and what within it stands against it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from migrate_db import sql
from migrate_db.codecs import numbers, texts
from migrate_db.codecs.codec import Codec
from migrate_db.errors import Exit, MigrationError
from migrate_db.finding import BY_HAND, Finding
from migrate_db.planning import choice, conversion, inspection
from migrate_db.planning.mapping import TableWish
from migrate_db.planning.pairing import column_names, paired
from migrate_db.planning.profile import ColumnProfile, TableProfile, assume, scan
from migrate_db.planning.reading import Reading, all_rows
from migrate_db.postgresql.names import fitting
from migrate_db.postgresql.row_rules import COMPARED_OTHERWISE
from migrate_db.postgresql.target import Reference, TargetColumn, TargetTable
from migrate_db.sqlite.schema import Column, Schema, Table

#: Of `integer`; a table whose rows have come so far needs the next size.
_LAST_INTEGER = 2**31 - 1
#: The type of texts that are the same in capitals.
_ANY_CASE = "citext"
#: That PostgreSQL's tables can have.
MOST_COLUMNS = 1600


@dataclass
class Draft:
    """A table while it is planned."""

    table: Table
    wish: TableWish
    present: TargetTable | None
    target: str
    names: dict[str, str]  #: of the columns that are carried, source to target
    profile: TableProfile
    reading: Reading
    highest: int
    contradicted: set[tuple[str, ...]] = field(default_factory=set)

    def cell(self, column: str) -> ColumnProfile:
        """What is known of a column that is carried."""
        return next(c for c in self.profile.columns if c.column == column)

    def is_declared(self, column: str) -> bool:
        """Whether the source says a type."""
        found = self.table.column(column)
        return found is not None and found.declared != ""

    def is_computed(self, column: str) -> bool:
        """Whether the target's own table computes it, so that nothing else can be written there."""
        own = self.present.columns if self.present else ()
        return any(c.generated and c.name == self.names[column] for c in own)

    def replace(self, column: ColumnProfile) -> None:
        """What is known of a column, instead of what was."""
        columns = tuple(column if c.column == column.column else c for c in self.profile.columns)
        self.profile = replace(self.profile, columns=columns)

    def has(self, columns: tuple[str, ...]) -> bool:
        """Whether all of them, and at least one, are carried."""
        return bool(columns) and {c.column for c in self.profile.columns} >= set(columns)

    @property
    def strict(self) -> set[str]:
        """Columns of the target's own table that take no NULL, by their names there."""
        return {c.name for c in self.present.columns if c.not_null} if self.present else set()

    def must_be_unique(self, columns: tuple[str, ...]) -> bool:
        """Whether the target's own table has them so, whatever a mapping says."""
        uniques = self.present.uniques if self.present else ()
        return {self.names.get(column) for column in columns} in [set(u) for u in uniques]

    def must_have_parents(self, columns: tuple[str, ...]) -> bool:
        """Whether the target's own table has a foreign key of these that holds for all rows."""
        return any(True for _ in self._own_keys(columns))

    def must_be_full(self, columns: tuple[str, ...]) -> bool:
        """Whether it has one that takes no NULL beside other values."""
        return len(columns) > 1 and any(key.is_full for key in self._own_keys(columns))

    def _own_keys(self, columns: tuple[str, ...]) -> Iterator[Reference]:
        keys = self.present.references if self.present else ()
        ours = {self.names.get(column) for column in columns}
        return (key for key in keys if set(key.columns) == ours)


def draw(
    connection: sqlite3.Connection,
    schema: Schema,
    table: Table,
    wish: TableWish,
    existing: dict[str, TargetTable],
    notes: list[str],
    quick: bool,
) -> tuple[Draft, list[Finding]]:
    """Choose names and codecs of a table, and say what doesn't line up.

    Args:
        notes: receives what the operator should know.
        quick: take it as declared if it is large and a sample fits.
    """
    target = wish.rename or fitting(table.name)
    present = existing.get(target)
    highest = _highest(connection, table, schema)
    candidates, names, problems = _candidates(table, wish, present)
    numbered = table.rowid_alias in candidates
    if present is None and table.rowid_alias and numbered and highest >= _LAST_INTEGER:
        candidates[table.rowid_alias] = (numbers.integer("bigint"),)
        notes.append(
            f"{table.name}.{table.rowid_alias}: becomes bigint, because rows were"
            f" numbered up to {highest}, and integer ends at {_LAST_INTEGER:,}"
        )
    types = {column.name: column.type for column in present.columns} if present else {}
    cells = {
        column: cell
        for column, wanted in wish.columns.items()
        if column in names
        and (cell := conversion.cell(column, wanted, types.get(names[column], "")))
    }
    reading = Reading(all_rows(table).relation, cells)
    # wishes are about values, so these must be looked at
    taken = (
        assume(connection, table, candidates, reading) if quick and wish == TableWish() else None
    )
    profile = taken or scan(connection, table, candidates, reading)
    columns = tuple(
        replace(column, misfits=0, cell=_fitting(column))
        if column.misfits and wish.column(column.column).misfit
        else column
        for column in profile.columns
    )
    cells |= {
        column.column: column.cell for column in columns if column.cell != sql.name(column.column)
    }
    reading, profile = replace(reading, cells=cells), replace(profile, columns=columns)
    return Draft(table, wish, present, target, names, profile, reading, highest), problems


def _highest(connection: sqlite3.Connection, table: Table, schema: Schema) -> int:
    if table.rowid_alias is None:
        return 0
    column, place = sql.name(table.rowid_alias), sql.name(table.name)
    (largest,) = connection.execute(
        f"SELECT ifnull(max({column}), 0) FROM main.{place} NOT INDEXED"
    ).fetchone()
    return max(int(largest), schema.sequences.get(table.name, 0))


def _candidates(
    table: Table, wish: TableWish, present: TargetTable | None
) -> tuple[dict[str, tuple[Codec, ...]], dict[str, str], list[Finding]]:
    """Codecs to try per column, the target's column names, and what doesn't line up."""
    wanted = [column for column in table.columns if not wish.column(column.name).exclude]
    ours = column_names(table, wish)
    if present is None:
        return (
            {column.name: _for_new(table, column, wish) for column in wanted},
            {column.name: ours[column.name] for column in wanted},
            [_too_wide(table, len(wanted))] if len(wanted) > MOST_COLUMNS else [],
        )
    candidates: dict[str, tuple[Codec, ...]] = {}
    mapping: dict[str, str] = {}
    findings: list[Finding] = []
    pairs, free = paired(table, wish, present)
    for column, match in pairs:
        if match is None:
            findings.append(
                Finding(
                    table.name,
                    "",
                    column.name,
                    "",
                    f"the target's table {present.name} has no such column",
                    f'ALTER TABLE "{present.name}" ADD COLUMN …, or drop the empty table'
                    f" and let the migration make it, or `exclude: true` for"
                    f" {table.name}.{column.name} in --mapping",
                    kind="no column",
                )
            )
        else:
            _demand_type(table, column, wish, match)
            unit = wish.column(column.name).epoch
            candidates[column.name] = choice.for_existing(match.type, match.labels, column, unit)
            mapping[column.name] = match.name
    findings += [
        Finding(
            table.name, "", left.name, "",
            f"the target's column {present.name}.{left.name} is NOT NULL without a default,"
            " and the source has no such column",
            f"ALTER TABLE {sql.name(present.name)} ALTER COLUMN {sql.name(left.name)} SET DEFAULT …"
            " in the target; no mapping helps",
            kind=BY_HAND,
        )
        for left in free
        if left.not_null and not left.has_default and not left.generated
    ]  # fmt: skip
    return candidates, mapping, findings


def _too_wide(table: Table, columns: int) -> Finding:
    return Finding(
        table.name, "", "", f"{columns:,} columns",
        f"a table of PostgreSQL has {MOST_COLUMNS:,} columns at most",
        "leave columns or the table out: `exclude: true` in --mapping",
        kind="too wide",
    )  # fmt: skip


def _for_new(table: Table, column: Column, wish: TableWish) -> tuple[Codec, ...]:
    asked = wish.column(column.name)
    if asked.mixed == "bytes":
        return choice.for_existing("bytea")
    if asked.type or asked.epoch or asked.zone:
        wished = asked.type or conversion.moment_type(asked, "")
        return choice.for_existing(wished, column=column, unit=asked.epoch)
    wanted = choice.for_declared(column)
    return tuple(c for c in wanted if c is not texts.JSON) if _indexed(table, column) else wanted


def _indexed(table: Table, column: Column) -> bool:
    """Whether rows are found by this column; PostgreSQL can't compare json."""
    indexed = {part.name for index in table.indexes for part in index.columns}
    return column.name in indexed | set(table.primary_key)


def _demand_type(table: Table, column: Column, wish: TableWish, match: TargetColumn) -> None:
    """A table that is there keeps its types: a mapping may say the same, not another."""
    wanted = wish.column(column.name).type
    if wanted and choice.named(match.type) != wanted:
        raise MigrationError(
            f"the mapping wants {table.name}.{column.name} as {wanted},"
            f" but the target has it as {match.type}",
            where="the mapping, and the target's own table",
            next="correct the mapping, or change or drop the target's table",
            code=Exit.USAGE,
        )


def _fitting(column: ColumnProfile) -> str:
    """The cell with NULL where the codec can't carry it."""
    return f"CASE WHEN {column.codec.misfit_of(column.cell)} THEN NULL ELSE {column.cell} END"


def misfits(connection: sqlite3.Connection, draft: Draft, exists: bool = True) -> Iterator[Finding]:
    """Values that the target's type doesn't hold.

    Args:
        exists: the target has the table, or is taken to have it.
    """
    computed = {column for column in draft.names if draft.is_computed(column)}
    yield from inspection.misfits(
        connection, draft.table, draft.profile, exists, required(draft), computed
    )


def objections(connection: sqlite3.Connection, draft: Draft) -> Iterator[Finding]:
    """Every row that PostgreSQL would not take by itself."""
    table, profile = draft.table, draft.profile
    if not profile.rows or profile.assumed:
        return
    exists = draft.present is not None
    yield from misfits(connection, draft, exists)
    yield from inspection.bad_text(connection, table, profile, exists)
    yield from inspection.too_wide(connection, table, profile)
    yield from inspection.nulls(connection, table, draft.reading, required(draft))


def doubles(connection: sqlite3.Connection, draft: Draft, relation: str) -> Iterator[Finding]:
    """Every row that PostgreSQL would not take beside one before it.

    Args:
        relation: SQL of the rows that come, after FROM.
    """
    table, profile = draft.table, draft.profile
    if not profile.rows or profile.assumed:
        return
    for columns, kind, enforced in uniques(draft):
        cells = [draft.cell(column) for column in columns]
        theirs = draft.must_be_unique(columns)
        if theirs and any(c.codec.type in COMPARED_OTHERWISE for c in cells):
            continue  # the server is asked
        # SQLite itself sees to it, unless two of its values become one
        if not enforced or any(
            c.codec.merges or c.codec.type == _ANY_CASE or c.cell != sql.name(c.column)
            for c in cells
        ):
            canonical = [_compared(c) for c in cells]
            kind = "duplicate there" if theirs else kind
            found = inspection.duplicates(connection, table, relation, columns, canonical, kind)
            if kind == "duplicate" and draft.wish.unique:
                if next(found, None) is not None:
                    draft.contradicted.add(columns)
            else:
                yield from found


def _compared(column: ColumnProfile) -> str:
    """What PostgreSQL compares of a value, as canonical text."""
    stored = column.codec.stored_of(column.cell)
    if column.codec.type != _ANY_CASE:
        return stored
    # A to Z are certain in every language of a server; what else it finds alike it says itself
    return f"CASE WHEN {stored} = 'NULL' THEN 'NULL' ELSE lower({stored}) END"


def required(draft: Draft) -> dict[str, str]:
    """Columns where a NULL may come and the target takes none, each with the kind of finding."""
    table, present, strict = draft.table, draft.present, draft.strict
    kinds = {}
    for found in draft.profile.columns:
        column, name = table.column(found.column), found.column
        converted = found.cell != sql.name(name)
        if column is None or (name == table.rowid_alias and not converted):
            continue
        if draft.names[name] in strict:
            kinds[name] = "null there"
        elif name in table.primary_key and not draft.wish.primary_key:
            kinds[name] = "null key"
        elif column.not_null and not present and not draft.wish.column(name).nulls:
            kinds[name] = "null"
    return kinds


def uniques(draft: Draft) -> list[tuple[tuple[str, ...], str, bool]]:
    """Columns that are to be unique in the target, the kind of finding, whether they are in SQLite."""
    table, present = draft.table, draft.present
    found: dict[frozenset[str], tuple[tuple[str, ...], str, bool]] = {}
    if table.primary_key and draft.wish.primary_key != "index":
        found[frozenset(table.primary_key)] = (table.primary_key, "duplicate key", True)
    for index in table.indexes:
        names = tuple(column.name or "" for column in index.columns)
        if index.unique and not index.partial and index.origin != "pk":
            found.setdefault(frozenset(names), (names, "duplicate", True))
    sources = {theirs: ours for ours, theirs in draft.names.items()}
    for columns in present.uniques if present else ():
        names = tuple(sources.get(column, "") for column in columns)
        found.setdefault(frozenset(names), (names, "duplicate", False))
    return [entry for entry in found.values() if draft.has(entry[0])]
