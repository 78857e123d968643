"""One look at every value: which codec carries each column, and what none can.

The scan is SQL that SQLite evaluates itself. A clean table is read once; only
columns with misfits are asked again about wider codecs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from migrate_db import source, sql
from migrate_db.codec import Codec
from migrate_db.reading import Reading
from migrate_db.schema import Table

#: Findings shown per column and kind; the count is always exact.
SHOWN = 1000


@dataclass(frozen=True)
class Finding:
    """A value, or an object, that PostgreSQL would not take as it is."""

    table: str
    key: str  #: ``id=7``, ``rowid=7``, or empty for a finding about the whole table
    column: str
    value: str  #: a short, printable rendering
    reason: str
    resolve: str  #: what the operator can do

    def line(self) -> str:
        """One line for a person."""
        place = ".".join(part for part in (self.table, self.column) if part)
        value = f" {self.value}" if self.value else ""
        return f"{place}{f' [{self.key}]' if self.key else ''}{value}: {self.reason}"


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


def misfits(
    connection: sqlite3.Connection, table: Table, profile: TableProfile
) -> Iterator[Finding]:
    """Name every value that the chosen codec can't carry."""
    for column in profile.columns:
        if not column.misfits:
            continue
        where = column.codec.misfit_of(column.cell)
        rows = connection.execute(
            f"SELECT {_key(table)}, typeof({column.cell}),"
            f" {_rendering(column.cell)}, instr({column.cell}, char(0))"
            f" FROM {profile.relation} WHERE {where} LIMIT {SHOWN}"
        )
        for key, kind, value, nul in rows:
            yield Finding(
                table=table.name,
                key=_printable(key),
                column=column.column,
                value=_printable(value),
                reason=_why(column.codec, _printable(kind), bool(nul)),
                resolve=_change_it(table, column.column),
            )
        if column.misfits > SHOWN:
            yield Finding(
                table.name, "", column.column, "",
                f"{column.misfits - SHOWN} more values like these", "",
            )  # fmt: skip


def bad_text(
    connection: sqlite3.Connection, table: Table, profile: TableProfile
) -> Iterator[Finding]:
    """Name every text that is not valid UTF-8; PostgreSQL takes no other."""
    columns = [c for c in profile.columns if c.codec.carries_text and not c.misfits]
    if not columns:
        return
    # joined even if it is one column: a number among the texts becomes bytes, too
    cells = " || ',' || ".join(["''", *(f"ifnull({c.cell}, '')" for c in columns)])
    block: list[bytes] = []
    size = 0
    clean = True
    for (text,) in connection.execute(f"SELECT {cells} FROM {profile.relation}"):
        block.append(text)
        size += len(text)
        if size > 1 << 18:
            clean = clean and _is_utf8(b",".join(block))
            block, size = [], 0
    if clean and _is_utf8(b",".join(block)):
        return
    for column in columns:  # rare: now find out where
        rows = connection.execute(
            f"SELECT {_key(table)}, CAST({column.cell} AS BLOB)"
            f" FROM {profile.relation} WHERE typeof({column.cell}) = 'text'"
        )
        for key, value in rows:
            if not _is_utf8(value):
                yield Finding(
                    table.name, _printable(key), column.column, _printable(value),
                    "the text is not valid UTF-8", _change_it(table, column.column),
                )  # fmt: skip


def nulls(
    connection: sqlite3.Connection, table: Table, reading: Reading, required: dict[str, str]
) -> Iterator[Finding]:
    """Name every NULL in columns that may have none.

    Args:
        required: the reason per column.
    """
    for column, reason in required.items():
        rows = connection.execute(
            f"SELECT {_key(table)} FROM {reading.relation}"
            f" WHERE {reading.cell(column)} IS NULL LIMIT {SHOWN}"
        )
        for (key,) in rows:
            yield Finding(
                table.name, _printable(key), column, "NULL", reason, _change_it(table, column)
            )


def orphans(connection: sqlite3.Connection, table: Table, parents: set[str]) -> Iterator[Finding]:
    """Name every row whose parent is missing.

    Args:
        parents: the tables there are; a key to any other is not carried anyway.
    """
    if not table.foreign_keys:
        return
    known = {name.lower() for name in parents}
    found = (o for o in source.orphans(connection, table.name) if o.parent.lower() in known)
    for count, orphan in enumerate(found):
        if count == SHOWN:
            yield Finding(table.name, "", "", "", "more orphans like these", "")
            return
        key, command, value = "", "", ""
        if orphan.rowid is not None:  # without one, a DELETE can't name the row
            key = f"rowid={orphan.rowid}"
            value = _orphaned(connection, table, orphan)
            command = f": DELETE FROM {sql.name(table.name)} WHERE rowid = {orphan.rowid};"
        yield Finding(
            table.name, key, orphan.column, value,
            f"points at a row of {orphan.parent} that doesn't exist",
            f"add the parent, or remove the row{command}",
        )  # fmt: skip


def _orphaned(connection: sqlite3.Connection, table: Table, orphan: source.Orphan) -> str:
    """What the row points at, as a person would write it."""
    rowid = _rowid(table)
    if rowid is None or orphan.column not in {column.name for column in table.columns}:
        return ""
    query = f"SELECT {_rendering(sql.name(orphan.column))} FROM {sql.name(table.name)} WHERE {rowid} = ?"
    row = connection.execute(query, (orphan.rowid,)).fetchone()
    return "" if row is None else _printable(row[0])


def _rowid(table: Table) -> str | None:
    """The name of the rowid that no column hides."""
    if table.rowid_alias:
        return sql.name(table.rowid_alias)
    taken = {c.name.lower() for c in table.columns}
    return next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), None)


def _key(table: Table) -> str:
    """An SQL expression that names a row for a person."""
    if table.without_rowid:
        parts = [f"{sql.string(c + '=')} || quote({sql.name(c)})" for c in table.primary_key]
        return " || ' ' || ".join(parts)
    column = _rowid(table)
    label = table.rowid_alias or "rowid"
    return f"{sql.string(label + '=')} || {column}" if column else "'?'"


def _rendering(cell: str) -> str:
    return (
        f"CASE typeof({cell}) WHEN 'text' THEN CAST(substr({cell}, 1, 60) AS BLOB)"
        f" WHEN 'blob' THEN 'X''' || hex(substr({cell}, 1, 20)) || ''''"
        f" ELSE quote({cell}) END"
    )


def _why(codec: Codec, kind: str, nul: bool) -> str:
    if kind == "text" and nul and codec.carries_text:
        return "NUL (character 0) in text, which PostgreSQL can't hold"
    return f"{kind} that does not fit {codec.type}"


def _change_it(table: Table, column: str) -> str:
    return (
        f"correct it in the app, or: UPDATE {sql.name(table.name)}"
        f" SET {sql.name(column)} = … WHERE …;"
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _printable(value: object) -> str:
    if isinstance(value, bytes):
        text = value[:80].decode("utf-8", "backslashreplace")
        return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return "" if value is None else str(value)
