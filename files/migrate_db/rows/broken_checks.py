"""Rows that a CHECK of the app's own table refuses, by the table's own expressions.

``COPY`` stops at the first one. So the table is loaded once more without its CHECKs, the rows that
contradict them are asked for, and all of it is taken back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from migrate_db import sql
from migrate_db.finding import Finding
from migrate_db.planning.inspection import printable
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.rows import load

#: Rows that are named for each CHECK.
_NAMED = 300
#: Characters of a value that are shown.
_SHOWN = 80


def find(
    snapshot: sqlite3.Connection, target: Target, plan: Plan, first: str
) -> tuple[list[Finding], list[str]]:
    """The rows of a table and of those that are loaded after it, and each broken CHECK with how many there are.

    Args:
        first: the table's name in the target; of a partition, which has rules of its own, nothing is found.
    """
    found: list[Finding] = []
    told: list[str] = []
    names = [table.target for table in plan.tables]
    for table in plan.tables[names.index(first) :] if first in names else ():
        if table.exists:
            rows, broken = _of_table(snapshot, target, plan, table)
            found, told = found + rows, told + broken
    return found, told


def _of_table(
    snapshot: sqlite3.Connection, target: Target, plan: Plan, table: TablePlan
) -> tuple[list[Finding], list[str]]:
    """The same of one; nothing if that can't be found out."""
    import psycopg

    place = sql.qualified(target.schema, table.target)
    found: list[Finding] = []
    told: list[str] = []
    try:
        with target.connection.transaction():
            with load.undisturbed(target, plan):
                checks = _without_checks(target, place)
                if not checks:
                    raise psycopg.Rollback
                target.execute(f"TRUNCATE {place}")
                load.copy_rows(snapshot, target, table, lambda rows, size: None)
                for name, expression, column in checks:
                    broken = f"FROM {place} WHERE NOT {expression}"
                    count = int(str(target.value(f"SELECT count(*) {broken}")))
                    rule = f"CHECK {expression} of the target's own table ({name})"
                    if count:
                        told.append(f"{table.table.name}: {count:,} rows contradict {rule}")
                        found += _rows(target, table, broken, rule, column)
                raise psycopg.Rollback
    except (psycopg.Error, sqlite3.Error):
        return [], []
    return found, told


def _without_checks(target: Target, place: str) -> list[tuple[str, str, str]]:
    """Take the CHECKs from a table: name, expression in parentheses and first column of each."""
    checks = target.connection.execute(
        "SELECT conname, pg_get_expr(conbin, conrelid), coalesce((SELECT attname FROM pg_attribute"
        " WHERE attrelid = conrelid AND attnum = conkey[1]), '')"
        " FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass ORDER BY conname",
        (place,),
    ).fetchall()
    for name, *_ in checks:
        target.execute(f"ALTER TABLE {place} DROP CONSTRAINT {sql.name(name)}")
    return [
        (name, text if text.startswith("(") else f"({text})", column)
        for name, text, column in checks
    ]


def _rows(
    target: Target, table: TablePlan, broken: str, rule: str, column: str
) -> Iterator[Finding]:
    key = [table.column(name).target for name in table.key]
    value = f"left({sql.name(column)}::text, {_SHOWN})" if column else "NULL"
    wanted = ", ".join([value, *(f"{sql.name(name)}::text" for name in key)])
    order = f"ORDER BY {sql.names(key)}" if key else ""
    rows = target.execute(f"SELECT {wanted} {broken} {order} LIMIT {_NAMED}").fetchall()
    source = next((c.source for c in table.columns if c.target == column), column)
    for shown, *values in rows:
        named = " ".join(f"{c}={v}" for c, v in zip(table.key, values, strict=True))
        yield Finding(
            table.table.name,
            printable(named),
            source,
            printable(None if shown is None else shown.encode()),
            f"contradicts {rule}",
            "correct it in the app, or change or drop the CHECK in the target",
            kind="check there",
        )
