"""Where a schema means something else in PostgreSQL, or must be worked out by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.planning.plan import ColumnPlan, Plan, TablePlan
from migrate_db.structure import expressions
from migrate_db.translation import parsing, typed


def decide(plan: Plan) -> Plan:
    """Settle generated columns of new tables, and say what compares in another way."""
    notes = [*plan.schema.notes, *plan.notes]
    tables = []
    for table in plan.tables:
        if not table.exists:
            table = replace(table, columns=tuple(_generated(table, notes)))
        tables.append(table)
        notes += _collations(table)
        notes += [
            f"{table.table.name}: {conflict}: PostgreSQL refuses such a row instead"
            for conflict in table.table.conflicts
        ]
    return replace(plan, tables=tuple(tables), notes=tuple(notes))


def without_generated(plan: Plan) -> Plan:
    """The same plan, with plain values where PostgreSQL would compute a new table's column."""
    tables = [
        t if t.exists else replace(t, columns=tuple(replace(c, computed="") for c in t.columns))
        for t in plan.tables
    ]
    return replace(plan, tables=tuple(tables))


def computes(plan: Plan) -> list[str]:
    """Columns of new tables that PostgreSQL computes."""
    return [
        f"{table.table.name}.{column.source}"
        for table in plan.tables
        for column in table.columns
        if column.computed and not table.exists
    ]


def _generated(table: TablePlan, notes: list[str]) -> Iterator[ColumnPlan]:
    for planned in table.columns:
        column = table.table.column(planned.source)
        if column is None or not column.generated:
            yield planned
            continue
        place = f"{table.table.name}.{planned.source}"
        try:
            text = expressions.generated(table, planned.source)
            read = parsing.columns_in(column.expression) | {sql.folded(planned.source)}
            changed = [
                c.source
                for c in table.columns
                if sql.folded(c.source) in read and c.cell != sql.name(c.source)
            ]
            if changed:
                raise Untranslated(f"values of {', '.join(changed)} are converted")
        except Untranslated as reason:
            notes.append(
                f"{place}: a generated column, carried as plain values"
                f" ({column.expression}: {reason.reason})"
            )
            yield planned
            continue
        others = {sql.folded(c.name) for c in table.table.columns if c.generated}
        if others & parsing.columns_in(column.expression):
            notes.append(
                f"{place}: a generated column, carried as plain values, because PostgreSQL"
                " computes none from another one"
            )
            yield planned
            continue
        notes.append(f"{place}: a generated column, PostgreSQL computes and stores it: {text}")
        yield replace(planned, computed=text)


def _collations(table: TablePlan) -> Iterator[str]:
    for planned in table.columns:
        column = table.table.column(planned.source)
        if column is None or column.collation == "BINARY":
            continue
        if typed.kind_of(planned.codec) not in ("text", "loose", "other"):
            continue
        place = f"{table.table.name}.{planned.source}"
        name = sql.name(planned.target)
        if column.collation == "NOCASE":
            yield (
                f"{place}: COLLATE NOCASE: in PostgreSQL 'a' = 'A' is false;"
                f" a query that shall find both compares lower({name})"
            )
        elif column.collation == "RTRIM":
            yield (
                f"{place}: COLLATE RTRIM: in PostgreSQL 'a' = 'a ' is false;"
                f" a query that shall find both compares rtrim({name})"
            )
        else:
            yield (
                f"{place}: COLLATE {column.collation} is the app's own;"
                " PostgreSQL compares by the database's collation"
            )
