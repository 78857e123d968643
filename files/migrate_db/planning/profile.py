"""One look at every value: which codec carries each column.

The scan is SQL that SQLite evaluates itself. A clean table is read once; only
columns with misfits are asked again about wider codecs, and seldom to the end.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from migrate_db import sql
from migrate_db.codecs import foreign
from migrate_db.codecs.codec import Codec
from migrate_db.codecs.numbers import integer
from migrate_db.codecs.times import TIMESTAMP_ANY, TIMESTAMPTZ
from migrate_db.planning.reading import Reading
from migrate_db.sqlite import source
from migrate_db.sqlite.schema import Table

#: Rows of a table whose scan takes long enough to be worth avoiding, and rows of a sample.
LARGE, _SAMPLE = 20_000, 1_000
#: Columns that are counted by one query; SQLite gives out 2,000.
_AT_ONCE = 1_000
#: Wider codecs whose misfits PostgreSQL or the proof notices, though nobody has looked.
_NOTICED = (TIMESTAMP_ANY, TIMESTAMPTZ, integer("bigint"))


@dataclass(frozen=True)
class ColumnProfile:
    """The codec that carries a column; ``misfits`` is 0 unless none carries all."""

    column: str
    codec: Codec
    misfits: int
    declared: Codec  #: the codec the declaration asked for
    cell: str  #: SQL of the value that is carried


@dataclass(frozen=True)
class TableProfile:
    """What the scan of one table found."""

    table: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    relation: str  #: SQL of the rows that are carried, after FROM
    assumed: bool = False  #: only a sample was looked at


def scan(
    connection: sqlite3.Connection,
    table: Table,
    candidates: dict[str, tuple[Codec, ...]],
    reading: Reading,
) -> TableProfile:
    """Choose, for each column, the first of its candidates that every value fits.

    Args:
        connection: the snapshot, with ``functions`` registered.
        candidates: codecs per column, in the order of preference.

    Where no candidate carries everything, the one with the fewest misfits is
    taken, and ``misfits`` counts the values it can't carry.
    """
    rows, misfits = _count(
        connection, reading, [(c, codecs[0]) for c, codecs in candidates.items()]
    )
    chosen = []
    for (column, codecs), count in zip(candidates.items(), misfits, strict=True):
        found, cell = codecs[0], reading.cell(column)
        if count and (wider := _first_that_fits(connection, reading, column, codecs)):
            found, count = wider, 0
        elif count:
            _, counts = _count(connection, reading, [(column, codec) for codec in codecs])
            count = min(counts)
            found = codecs[counts.index(count)]
        chosen.append(ColumnProfile(column, found, count, codecs[0], cell))
    return TableProfile(table.name, rows, tuple(chosen), reading.relation)


def _count(
    connection: sqlite3.Connection, reading: Reading, asked: list[tuple[str, Codec]]
) -> tuple[int, list[int]]:
    """All rows, and for each column with a codec the values that don't fit."""
    sums = [f"total({_misfit(connection, reading, *pair)})" for pair in asked]
    rows, found = 0, []
    for at in range(0, max(len(sums), 1), _AT_ONCE):
        wanted = ", ".join(["count(*)", *sums[at : at + _AT_ONCE]])
        rows, *some = connection.execute(f"SELECT {wanted} FROM {reading.relation}").fetchone()
        found += some
    return int(rows), [int(count) for count in found]


def _misfit(connection: sqlite3.Connection, reading: Reading, column: str, codec: Codec) -> str:
    """SQL of what doesn't fit, after the server was asked if only it knows."""
    cell = reading.cell(column)
    foreign.examine(connection, codec, reading.relation, cell)
    return codec.misfit_of(cell)


def _first_that_fits(
    connection: sqlite3.Connection, reading: Reading, column: str, codecs: tuple[Codec, ...]
) -> Codec | None:
    """The first wider codec that every value fits; asked no longer than until one doesn't."""
    cell, wider = reading.cell(column), codecs[1:]
    if not wider:
        return None
    # one value that the first can't carry rules most of the others out
    misfits = ", ".join(codec.misfit_of(cell) for codec in wider)
    ruled_out = connection.execute(
        f"SELECT {misfits} FROM {reading.relation} WHERE {codecs[0].misfit_of(cell)} LIMIT 1"
    ).fetchone()
    for codec, is_out in zip(wider, ruled_out, strict=True):
        if is_out:
            continue
        misfit = _misfit(connection, reading, column, codec)
        found = connection.execute(f"SELECT 1 FROM {reading.relation} WHERE {misfit} LIMIT 1")
        if found.fetchone() is None:
            return codec
    return None


def assume(
    connection: sqlite3.Connection,
    table: Table,
    candidates: dict[str, tuple[Codec, ...]],
    reading: Reading,
) -> TableProfile | None:
    """Take a large table for what it declares, if its first rows and its last ones fit.

    Times may be spelled otherwise, as long as these rows agree.

    Returns:
        None: it must be scanned.
    """
    (rows,) = connection.execute(f"SELECT count(*) FROM {reading.relation}").fetchone()
    if rows < LARGE or not candidates or not source.is_utf8(connection):
        return None  # half a pair of UTF-16 becomes another character on the way, in silence
    ends = [f"SELECT * FROM {reading.relation} LIMIT {_SAMPLE}"]
    if table.rowid_alias:
        last_first = f"ORDER BY {sql.name(table.rowid_alias)} DESC"
        ends.append(f"SELECT * FROM {reading.relation} {last_first} LIMIT {_SAMPLE}")
    sample = " UNION ALL ".join(f"SELECT * FROM ({end})" for end in ends)
    found = scan(connection, table, candidates, replace(reading, relation=f"({sample})"))
    safe = [column.codec is column.declared or column.codec in _NOTICED for column in found.columns]
    if not all(safe) or any(column.misfits for column in found.columns):
        return None
    return replace(found, rows=int(rows), relation=reading.relation, assumed=True)
