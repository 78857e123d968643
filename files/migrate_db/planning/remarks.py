"""What the operator should know of a table: which of its parts are carried in another shape, and why."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from migrate_db import sql
from migrate_db.codecs import numbers, texts, times
from migrate_db.codecs.codec import Codec
from migrate_db.planning import choice, conversion, epochs
from migrate_db.planning.draft import Draft
from migrate_db.planning.profile import ColumnProfile
from migrate_db.postgresql.names import SYSTEM_COLUMNS
from migrate_db.sqlite.schema import Column, Table

#: As MySQL, Sequelize and SQL Server declare what is true or false.
_TRUTH = re.compile(r"(?i)TINYINT ?\( ?1 ?\)|BIT( ?\( ?1 ?\))?")


def of_table(connection: sqlite3.Connection, draft: Draft) -> list[str]:
    """What is carried under another name or type, or not at all."""
    table, scanned, exists = draft.table, draft.profile, draft.present is not None
    computed = {c.name for c in draft.present.columns if c.generated} if draft.present else set()
    notes = [
        f"{table.name}.{found.column}: the target computes it itself; compared, not loaded"
        for found in scanned.columns
        if draft.names[found.column] in computed
    ]
    if draft.target != table.name:
        why = "the name is too long" if table.name else "the name is empty"
        why = "renamed" if draft.wish.rename else why
        notes.append(f"table {table.name}: {why}, it becomes {draft.target}")
    kept = "rows without a {} stay, as you asked"
    if not exists:
        kept = f"not validated, because {kept}; it holds for new rows"
    notes += [
        f"foreign key of {table.name} ({', '.join(key.columns)}): {kept.format(key.parent)}"
        for key in table.foreign_keys
        if draft.wish.keeps_orphans(key.columns) and not draft.must_have_parents(key.columns)
    ]
    for found in scanned.columns:
        column = table.column(found.column)
        wish = draft.wish.column(found.column)
        place = f"{table.name}.{found.column}"
        if not exists and draft.names[found.column] != found.column:
            why = "PostgreSQL keeps that name" if found.column in SYSTEM_COLUMNS else "too long"
            why = "renamed" if wish.rename else why if found.column else "empty"
            notes.append(f"{place}: {why}, it becomes {draft.names[found.column]}")
        if found.codec.type != found.declared.type and not found.misfits and not exists:
            why = "because that holds every value"
            if (found.declared.type, found.codec.type) == ("integer", "bigint"):
                why = "because that leaves room: integer ends at 2,147,483,647"
            if (found.declared, found.codec) == (texts.BYTEA, texts.text()):
                why += " (`mixed: bytes` in a mapping keeps bytea)"
            notes.append(
                f"{place}: declared {column.declared or 'without a type' if column else '?'},"
                f" becomes {found.codec.type}, {why}"
            )
        if column is not None and choice.counts_by_default(column) and not (exists or wish.type):
            notes.append(
                f"{place}: declared {column.declared}, becomes {found.codec.type}, because its"
                f" default is {column.default}"
            )
        means_json = column is not None and texts.JSON in choice.for_declared(column)
        if means_json and not exists and found.declared is not texts.JSON and not wish.type:
            notes.append(f"{place}: declared JSON, becomes text; json can't be indexed")
        # of the codecs with a precision, too
        all_utc = found.codec.says in (times.TIMESTAMPTZ.says, times.TIMESTAMPTZ_NAMED.says)
        untrue = all_utc and (found.misfits or wish.zone)
        if found.codec.says and not untrue and _has_values(connection, draft, found):
            notes.append(f"{place}: {found.codec.says}")
        notes += [f"{place}: {said}" for said in conversion.says(wish)]
    if not exists and not draft.wish.primary_key:
        notes += [
            f"{table.name}.{name}: takes NULL in SQLite, though it is the key; not in PostgreSQL (there is none)"
            for name in table.primary_key
            if _takes_null(table, name)
        ]
    return notes


def _has_values(connection: sqlite3.Connection, draft: Draft, column: ColumnProfile) -> bool:
    """Whether there is anything but NULL to say something of."""
    rows = f"{draft.profile.relation} WHERE typeof({column.cell}) <> 'null'"
    return connection.execute(f"SELECT 1 FROM {rows} LIMIT 1").fetchone() is not None


def _takes_null(table: Table, name: str) -> bool:
    """Whether SQLite takes NULL in a column of the primary key, as the standard doesn't."""
    column = table.column(name)
    return column is not None and not (
        column.not_null or table.without_rowid or name == table.rowid_alias
    )


def _seems_true_or_false(
    connection: sqlite3.Connection, draft: Draft, column: Column, chosen: Codec
) -> bool:
    """Whether a column is declared as where there is no BOOLEAN, and holds nothing else."""
    settled = draft.present is not None or draft.wish.column(column.name).type
    if (
        settled
        or draft.profile.assumed
        or chosen.type not in numbers.WHOLE
        or not _TRUTH.fullmatch(column.declared.strip())
    ):
        return False
    other = numbers.BOOLEAN.misfit_of(sql.name(column.name))
    found = connection.execute(
        f"SELECT 1 FROM {draft.profile.relation} WHERE {other} LIMIT 1"
    ).fetchone()
    return found is None


def of_numbers(connection: sqlite3.Connection, draft: Draft) -> Iterator[str]:
    """Columns of numbers that look like moments, or like truth."""
    for found in draft.profile.columns:
        column = draft.table.column(found.column)
        if column is None or draft.wish.column(column.name).epoch or not draft.profile.rows:
            continue
        if _seems_true_or_false(connection, draft, column, found.codec):
            yield (
                f"{draft.table.name}.{column.name}: numbers that seem to be true and false;"
                " they stay numbers, unless a mapping says `type: boolean`"
            )
        seen = epochs.guess(connection, draft.table, column, found.codec, draft.profile.relation)
        if seen:
            unit, _, span = seen.partition(" ")
            mixed = found.codec == texts.TEXT_OR_NUMBER
            stay = "the column becomes text" if mixed else "they stay numbers"
            wish = f"`epoch: {unit}`" + (" and `zone: utc`" if mixed else "")
            yield (
                f"{draft.table.name}.{column.name}: numbers that seem to count moments"
                f" {span}; {stay}, unless a mapping says {wish}"
            )
