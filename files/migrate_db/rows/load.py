"""Rows into PostgreSQL: SQLite writes the lines itself, ``COPY`` reads them.

The lines pass through Python a block at a time, so memory doesn't grow with the
table and the program keeps up with the server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from migrate_db import sql
from migrate_db.codecs import copy_text
from migrate_db.planning import bulky
from migrate_db.planning.inspection import identity, number
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.rows import line
from migrate_db.sqlite import batches

#: Bytes handed to the server at once.
_BLOCK = 1 << 17


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
    into = (
        f"COPY {sql.qualified(target.schema, plan.target)}"
        f" ({sql.names([column.target for column in line.order(plan)])})"
        f" FROM STDIN ({copy_text.OPTIONS}{freeze})"
    )
    places = [column.bulky for column in plan.columns if column.bulky]
    large = f"{identity(plan.table)} IN ({bulky.rows(places)})" if places else "false"
    wanted = f"({where or 'true'})"
    slender = f" WHERE {wanted} AND NOT {large}" if where or places else ""
    rows = size = 0
    with target.connection.cursor() as cursor, cursor.copy(into.encode()) as copy:
        for count, text in _batches(snapshot, plan, slender):
            copy.write(text)
            rows, size = rows + count, size + len(text)
            progress(rows, size)
        if places:
            for piece in _in_pieces(snapshot, plan, f"{wanted} AND {large}"):
                copy.write(piece)
                size += len(piece)
                rows += piece == b"\n"
                progress(rows, size)
    return rows, size


def _batches(
    snapshot: sqlite3.Connection, plan: TablePlan, slender: str
) -> Iterator[tuple[int, bytes]]:
    """Some lines at a time: how many, and what ``COPY`` reads."""
    row = number(plan.table)
    if plan.assumed and row and not slender:
        lines = line.sent(plan)
        for batch in batches.read(snapshot, plan.relation, row, lines, goal=_BLOCK):
            if batch.text is None:
                raise sqlite3.DataError(batches.TOO_LARGE)
            yield batch.rows, copy_text.finished(batch.text)
        return
    # in this order they are compared, too
    order = f" ORDER BY {row}" if row else ""
    rows = snapshot.execute(f"SELECT {line.sent(plan)} FROM {plan.relation}{slender}{order}")
    for texts in batches.gathered(rows, _BLOCK):
        yield len(texts), copy_text.finished(b"".join(texts))


def _in_pieces(snapshot: sqlite3.Connection, plan: TablePlan, where: str) -> Iterator[bytes]:
    """The same lines, of rows too large to be joined; the end of a line is a piece of its own."""
    columns = line.order(plan)
    fields = ", ".join(
        f"CASE WHEN {bulky.digest(plan.table, column.bulky)} IS NULL THEN {encoded} END"
        if column.bulky
        else encoded
        for column in columns
        for encoded in [column.codec.encode_of(column.cell)]
    )
    found = snapshot.execute(
        f"SELECT {identity(plan.table)}, {fields} FROM {plan.relation} WHERE {where}"
    )
    for row, *values in found:
        for at, (column, value) in enumerate(zip(columns, values, strict=True)):
            yield copy_text.DELIMITER.encode() if at else b""
            if value is not None:
                yield copy_text.finished(value if isinstance(value, bytes) else str(value).encode())
                continue
            is_text = column.codec.type != "bytea"
            yield b"" if is_text else rb"\\x"
            for piece in bulky.pieces(snapshot, plan.table, column.source, row):
                yield copy_text.finished_piece(piece) if is_text else piece.hex().encode()
        yield b"\n"


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
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid),"
        " obj_description(oid, 'pg_constraint')"
        " FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
        " AND (conrelid = ANY(%s::regclass[]) OR confrelid = ANY(%s::regclass[]))",
        (tables, tables),
    ).fetchall()
    # partitions have their own, and what is said of a table's is said of theirs: these come last
    triggers = target.connection.execute(
        "SELECT tgrelid::regclass::text, quote_ident(tgname),"
        " CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA'"
        " WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END"
        " FROM pg_trigger JOIN (SELECT relid, min(level) AS level FROM ("
        "   SELECT t AS relid, 0 AS level FROM unnest(%s::regclass[]) t UNION ALL"
        "   SELECT p.relid, p.level FROM unnest(%s::regclass[]) t, pg_partition_tree(t) p) a"
        "  GROUP BY relid) parts ON relid = tgrelid"
        " WHERE NOT tgisinternal ORDER BY level",
        (tables, tables),
    ).fetchall()
    for table, trigger, _ in triggers:
        target.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    for table, key, *_ in keys:
        target.execute(f"ALTER TABLE {table} DROP CONSTRAINT {key}")
    yield
    for table, key, definition, comment in keys:
        target.execute(f"ALTER TABLE {table} ADD CONSTRAINT {key} {definition}")
        if comment is not None:
            target.execute(f"COMMENT ON CONSTRAINT {key} ON {table} IS {sql.string(comment)}")
    for table, trigger, enable in triggers:
        target.execute(f"ALTER TABLE {table} {enable} TRIGGER {trigger}")
