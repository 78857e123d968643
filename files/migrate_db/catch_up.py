"""Bring the target up to the source: the keyed difference, applied to PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from migrate_db import load, sql
from migrate_db.difference import Change, Tally, compare
from migrate_db.plan import Plan, TablePlan
from migrate_db.target import Target

#: With more changed rows than this a table is loaded anew; memory stays bounded.
_MANY = 20_000


@dataclass(frozen=True)
class CaughtUp:
    """What was done to one table."""

    table: str
    added: int
    changed: int
    removed: int
    reloaded: bool  #: loaded anew as a whole; the counts are of the first rows only


def apply(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: Plan,
    progress: Callable[[str, int, int, int], None],
) -> list[CaughtUp]:
    """Make every table equal to the snapshot; run inside a transaction.

    Returns:
        one entry per table that was not equal.
    """
    found = [(table, *_changes(snapshot, target, table, progress)) for table in plan.tables]
    unequal = [(table, changes, total) for table, changes, total in found if total]
    if not unequal:
        return []
    done = []
    with load.undisturbed(target, plan):
        for table, changes, total in unequal:
            reload = total > len(changes) or not table.key
            if reload:
                target.execute(f"DELETE FROM {sql.qualified(target.schema, table.target)}")
                load.copy_rows(snapshot, target, table, lambda rows, size: None)
            else:
                _replace(snapshot, target, table, changes)
            kinds = [change.kind for change in changes]
            done.append(
                CaughtUp(
                    table.table.name,
                    added=kinds.count("missing"),
                    changed=kinds.count("different"),
                    removed=kinds.count("extra"),
                    reloaded=reload,
                )
            )
    return done


def _changes(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    progress: Callable[[str, int, int, int], None],
) -> tuple[list[Change], int]:
    """The first changes of a table, and how many there are."""
    kept: list[Change] = []
    total = 0

    def report(rows: int, size: int) -> None:
        progress(plan.table.name, rows, plan.rows, size)

    with closing(compare(snapshot, target, plan, Tally(), report)) as changes:
        for change in changes:
            total += 1
            if total <= _MANY:
                kept.append(change)
    return kept, total


def _replace(
    snapshot: sqlite3.Connection, target: Target, plan: TablePlan, changes: list[Change]
) -> None:
    """Take out every row that differs, put in the source's: unique values may swap places."""
    keys = [plan.column(column) for column in plan.key]
    positions = [plan.columns.index(column) for column in keys]
    gone = [[c.target.fields[p] for c in changes if c.target is not None] for p in positions]
    held = ", ".join(column.codec.held_of(sql.name(column.target)) for column in keys)
    arrays = ", ".join(["%s::text[]"] * len(keys))
    target.connection.execute(
        f"DELETE FROM {sql.qualified(target.schema, plan.target)}".replace("%", "%%").encode()
        + f" WHERE ({held.replace('%', '%%')}) IN (SELECT * FROM unnest({arrays}))".encode(),
        gone,
    )
    names = [f"k{number}" for number in range(len(keys))]
    snapshot.execute(
        f"CREATE TEMP TABLE wanted ({', '.join(names)}, PRIMARY KEY ({', '.join(names)}))"
    )
    try:
        snapshot.executemany(
            f"INSERT INTO temp.wanted VALUES ({', '.join('?' * len(keys))})",
            [[c.source.fields[p] for p in positions] for c in changes if c.source is not None],
        )
        stored = ", ".join(column.codec.stored_of(sql.name(column.source)) for column in keys)
        load.copy_rows(
            snapshot, target, plan, lambda rows, size: None,
            where=f"({stored}) IN (SELECT * FROM temp.wanted)",
        )  # fmt: skip
    finally:
        snapshot.execute("DROP TABLE temp.wanted")
