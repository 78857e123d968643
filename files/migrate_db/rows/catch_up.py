"""Bring the target up to the source: the keyed difference, applied to PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from sys import getsizeof

from migrate_db import sql
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.rows import load
from migrate_db.rows.difference import Row, Tally, compare
from migrate_db.rows.proof import unvalidated

#: Bytes of the keys of changed rows that are remembered; with more, a table is loaded anew.
_ROOM = 3 << 20
#: Bytes that a changed row takes besides the texts of its key.
_OVERHEAD = 100


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
    wanted: set[str] | None,
    progress: Callable[[str, int, int, int], None],
) -> list[CaughtUp]:
    """Make every table equal to the snapshot; run inside a transaction.

    Args:
        wanted: the tables to look at, None for all.

    Returns:
        one entry per table that was not equal.
    """
    unequal = []
    room = _ROOM
    for table in (t for t in plan.tables if wanted is None or t.table.name in wanted):
        changes, total = _changes(snapshot, target, table, room, progress)
        room -= sum(change.size for change in changes)
        if total:
            unequal.append((table, changes, total))
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


def validate(target: Target, plan: Plan) -> None:
    """Have the server look at constraints that orphans of an earlier load kept from being valid."""
    import psycopg

    for table, name in unvalidated(target, plan):
        with (
            suppress(psycopg.IntegrityError),
            target.connection.transaction(),
        ):  # the proof tells it
            place = sql.qualified(target.schema, table.target)
            target.execute(f"ALTER TABLE {place} VALIDATE CONSTRAINT {name}")


@dataclass(frozen=True, slots=True)
class _Changed:
    """A changed row's key on the sides that have it; the values would fill the memory."""

    kind: str
    source: tuple[str, ...] | None
    target: tuple[str, ...] | None

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return _OVERHEAD + sum(map(getsizeof, self.source or self.target or ()))


def _changes(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    room: int,
    progress: Callable[[str, int, int, int], None],
) -> tuple[list[_Changed], int]:
    """The first changes of a table, and how many there are.

    Args:
        room: bytes that their keys may have.
    """
    kept: list[_Changed] = []
    total = 0
    positions = [plan.columns.index(plan.column(column)) for column in plan.key]

    def report(rows: int, size: int) -> None:
        progress(plan.table.name, rows, plan.rows, size)

    def key(row: Row | None) -> tuple[str, ...] | None:
        return None if row is None else tuple(row[position] for position in positions)

    with closing(compare(snapshot, target, plan, Tally(), report)) as changes:
        for change in changes:
            total += 1
            if room > 0:
                ours, theirs = key(change.source), key(change.target)
                # most rows have one key on both sides; it is kept once
                same = ours if ours == theirs else theirs
                kept.append(_Changed(change.kind, ours, same))
                room -= kept[-1].size
    return kept, total


def _replace(
    snapshot: sqlite3.Connection, target: Target, plan: TablePlan, changes: list[_Changed]
) -> None:
    """Take out every row that differs, put in the source's: unique values may swap places."""
    keys = [plan.column(column) for column in plan.key]
    gone = [list(part) for part in zip(*(c.target for c in changes if c.target), strict=True)]
    held = ", ".join(column.codec.held_of(sql.name(column.target)) for column in keys)
    arrays = ", ".join(["%s::text[]"] * len(keys))
    if gone:
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
            [c.source for c in changes if c.source],
        )
        stored = ", ".join(column.codec.stored_of(column.cell) for column in keys)
        load.copy_rows(
            snapshot, target, plan, lambda rows, size: None,
            where=f"({stored}) IN (SELECT * FROM temp.wanted)",
        )  # fmt: skip
    finally:
        snapshot.execute("DROP TABLE temp.wanted")
