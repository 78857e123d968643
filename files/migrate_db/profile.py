"""One look at every value: which codec carries each column.

The scan is SQL that SQLite evaluates itself. A clean table is read once; only
columns with misfits are asked again about wider codecs.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from migrate_db import sql
from migrate_db.codec import Codec
from migrate_db.reading import Reading
from migrate_db.schema import Table

#: Rows of a table whose scan takes long enough to be worth avoiding, and rows of a sample.
LARGE, _SAMPLE = 20_000, 1_000


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
    counts: dict[str, list[int]] = {column: [] for column in candidates}
    rows = 0
    if not candidates:  # an existing table with other columns; its rows count nevertheless
        (rows,) = connection.execute(f"SELECT count(*) FROM {reading.relation}").fetchone()
    waiting = dict(candidates)
    depth = 0
    while waiting:
        sums = ", ".join(
            f"total({codecs[depth].misfit_of(reading.cell(column))})"
            for column, codecs in waiting.items()
        )
        row = connection.execute(f"SELECT count(*), {sums} FROM {reading.relation}").fetchone()
        rows = int(row[0])
        for column, misfits in zip(waiting, row[1:], strict=True):
            counts[column].append(int(misfits))
        depth += 1
        waiting = {
            column: codecs
            for column, codecs in waiting.items()
            if counts[column][-1] and depth < len(codecs)
        }
    chosen = []
    for column, codecs in candidates.items():
        best = min(range(len(counts[column])), key=lambda i: (counts[column][i], i))
        misfitting = counts[column][best]
        cell = reading.cell(column)
        chosen.append(ColumnProfile(column, codecs[best], misfitting, codecs[0], cell))
    return TableProfile(table.name, rows, tuple(chosen), reading.relation)


def assume(
    connection: sqlite3.Connection,
    table: Table,
    candidates: dict[str, tuple[Codec, ...]],
    reading: Reading,
) -> TableProfile | None:
    """Take a large table for what it declares, if its first rows and its last ones fit.

    Returns:
        None: it must be scanned.
    """
    (rows,) = connection.execute(f"SELECT count(*) FROM {reading.relation}").fetchone()
    if rows < LARGE or not candidates:
        return None
    ends = [f"SELECT * FROM {reading.relation} LIMIT {_SAMPLE}"]
    if table.rowid_alias:
        last_first = f"ORDER BY {sql.name(table.rowid_alias)} DESC"
        ends.append(f"SELECT * FROM {reading.relation} {last_first} LIMIT {_SAMPLE}")
    sample = " UNION ALL ".join(f"SELECT * FROM ({end})" for end in ends)
    found = scan(connection, table, candidates, replace(reading, relation=f"({sample})"))
    if any(column.misfits or column.codec is not column.declared for column in found.columns):
        return None
    return replace(found, rows=int(rows), relation=reading.relation, assumed=True)
