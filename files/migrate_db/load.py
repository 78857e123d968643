"""Rows into PostgreSQL: SQLite writes the CSV lines itself, ``COPY`` reads them.

The lines pass through Python untouched, a block at a time, so memory doesn't
grow with the table and the program keeps up with the server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from migrate_db import codec, line, sql
from migrate_db.plan import Plan, TablePlan
from migrate_db.target import Target

#: Bytes handed to the server at once.
_BLOCK = 1 << 18


def copy_rows(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    progress: Callable[[int, int], None],
    where: str = "",
) -> tuple[int, int]:
    """Stream a table, or the rows of it that ``where`` names.

    Args:
        progress: called with rows and bytes so far, once a block.
        where: an SQL condition on the source, empty for all rows.

    Returns:
        rows and bytes sent.
    """
    # a table of this very transaction: nobody can have seen it, and nobody need look at its rows again
    freeze = "" if plan.exists else ", FREEZE"
    # CSV, because only the quote character needs doubling, and ours hardly ever occurs
    into = (
        f"COPY {sql.qualified(target.schema, plan.target)}"
        f" ({sql.names([column.target for column in line.order(plan)])})"
        f" FROM STDIN (FORMAT csv, DELIMITER ',', QUOTE E'\\x{ord(codec.CSV_QUOTE):02x}'{freeze})"
    )
    lines = snapshot.execute(
        f"SELECT {line.csv(plan)} FROM {plan.relation}" + (f" WHERE {where}" if where else "")
    )
    rows = size = waiting = 0
    block: list[bytes] = []
    with target.connection.cursor() as cursor, cursor.copy(into.encode()) as copy:
        for (row,) in lines:
            block.append(row)
            waiting += len(row)
            if waiting >= _BLOCK:
                copy.write(b"".join(block))
                rows, size = rows + len(block), size + waiting
                block, waiting = [], 0
                progress(rows, size)
        copy.write(b"".join(block))
    rows, size = rows + len(block), size + waiting
    progress(rows, size)
    return rows, size


@contextmanager
def undisturbed(target: Target, plan: Plan) -> Iterator[None]:
    """Set aside what the target's own tables would do to rows on their way in.

    Foreign keys are dropped and made again, which checks all rows at once and
    lets tables refer to each other in circles; triggers of the user's are off
    meanwhile, since they would change values. All inside the caller's
    transaction, so nobody ever sees it.
    """
    tables = [sql.qualified(target.schema, table.target) for table in plan.tables if table.exists]
    keys = target.connection.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
        " AND (conrelid = ANY(%s::regclass[]) OR confrelid = ANY(%s::regclass[]))",
        (tables, tables),
    ).fetchall()
    triggers = target.connection.execute(
        "SELECT tgrelid::regclass::text, quote_ident(tgname),"
        " CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA'"
        " ELSE 'ENABLE' END"
        " FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        " AND tgrelid = ANY(%s::regclass[])",
        (tables,),
    ).fetchall()
    for table, trigger, _ in triggers:
        target.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    for table, key, _ in keys:
        target.execute(f"ALTER TABLE {table} DROP CONSTRAINT {key}")
    yield
    for table, key, definition in keys:
        target.execute(f"ALTER TABLE {table} ADD CONSTRAINT {key} {definition}")
    for table, trigger, enable in triggers:
        target.execute(f"ALTER TABLE {table} {enable} TRIGGER {trigger}")
