"""Whether a view gives the same rows on both sides, in whatever order.

Every row becomes canonical text on either side (see ``codec``), and its digest
is added up: two sums that are equal are two equal bags of rows, in constant
memory. Floats that a query worked out may differ in their last digits, since
each side adds up in an order of its own; 12 digits are compared.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

from migrate_db import interruption, sql
from migrate_db.postgresql.target import Target
from migrate_db.structure.views import Translated

#: Seconds that one side gets; a view that takes longer is not compared.
PATIENCE = 20.0
#: Seconds for all views; the others are made, but not compared.
PATIENCE_IN_ALL = 120.0
_SIZE = 16


class TooSlow(Exception):
    """A side didn't answer in time."""


def compare(snapshot: sqlite3.Connection, target: Target, view: Translated) -> str:
    """Read the view on both sides.

    Returns:
        empty if the rows are the same, else how they differ.

    Raises:
        TooSlow: not compared.
    """
    ours = _in_sqlite(snapshot, view)
    theirs = _in_postgresql(target, view)
    if ours == theirs:
        return ""
    if ours[0] != theirs[0]:
        return f"it gives {theirs[0]} rows in PostgreSQL, {ours[0]} in SQLite"
    return "it gives other values in PostgreSQL"


def _in_sqlite(snapshot: sqlite3.Connection, view: Translated) -> tuple[int, int]:
    cells = []
    for output in view.columns:
        found = output.codec
        cells.append(found.stored_of(sql.name(output.name)) if found else sql.name(output.name))
    deadline = time.monotonic() + PATIENCE
    interruption.attend(snapshot, lambda: time.monotonic() > deadline)
    try:
        rows = snapshot.execute(f"SELECT {', '.join(cells)} FROM main.{sql.name(view.source)}")
        return _sum(view, rows)
    except sqlite3.OperationalError as error:
        interruption.check()
        if "interrupted" in str(error):
            raise TooSlow from None
        raise
    finally:
        interruption.attend(snapshot)


def _in_postgresql(target: Target, view: Translated) -> tuple[int, int]:
    import psycopg

    cells = []
    for output in view.columns:
        found, name = output.codec, output.part.sql
        cells.append(found.held_of(name) if found else name)
    place = sql.qualified(target.schema, view.name)
    try:
        with target.connection.transaction():
            target.execute(f"SET LOCAL statement_timeout = {int(PATIENCE * 1000)}")
            with target.connection.cursor(name="view") as cursor:
                cursor.execute(f"SELECT {', '.join(cells)} FROM {place}".encode())
                found_rows = _sum(view, cursor)
            target.execute("SET LOCAL statement_timeout = 0")
            return found_rows
    except psycopg.errors.QueryCanceled:
        raise TooSlow from None


def _sum(view: Translated, rows: Iterable[tuple[Any, ...]]) -> tuple[int, int]:
    """How many rows, and the sum of their digests."""
    floats = [output.codec is None for output in view.columns]
    count = total = 0
    for row in rows:
        cells = [_plain(cell, is_float) for cell, is_float in zip(row, floats, strict=True)]
        # no cell's text can be taken for a part of another
        line = b"".join(b"%d:%b" % (len(cell), cell) for cell in cells)
        total += int.from_bytes(hashlib.blake2b(line, digest_size=_SIZE).digest(), "big")
        count += 1
    return count, total % (1 << (8 * _SIZE))


def _plain(cell: object, is_float: bool) -> bytes:
    if is_float:  # and -0.0 is 0.0
        return b"NULL" if cell is None else f"{float(cell) + 0.0:.12g}".encode()  # type: ignore[arg-type]
    return cell if isinstance(cell, bytes) else str(cell).encode("utf-8", "surrogateescape")
