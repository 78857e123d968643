"""What stands against a table, value by value: each generator names every one, in constant memory."""

from __future__ import annotations

import codecs
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.codecs.codec import Codec
from migrate_db.finding import Finding
from migrate_db.planning import advice, choice, conversion
from migrate_db.planning.profile import ColumnProfile, TableProfile
from migrate_db.planning.reading import Reading
from migrate_db.sqlite import batches, functions, source
from migrate_db.sqlite.schema import Table
from migrate_db.visible import visible

_decoder = codecs.getincrementaldecoder("utf-8")
#: Bytes of text that are decoded at once to see whether they are UTF-8. Letters take up to four bytes each then, and
#: larger pieces leave holes of ten megabytes in the heap.
_BLOCK = 1 << 14
_PIECE = 1 << 19
#: Bytes of a row that PostgreSQL takes, and of the head of each.
_WIDEST, _HEAD = 8160, 24
#: Bytes of a value that stays in its row, by type; of any other at most those of a pointer.
_FIXED = {
    "boolean": 1, "smallint": 2, "integer": 4, "bigint": 8, "real": 4, "double precision": 8,
    "numeric": 3, "date": 4, "time": 8, "timestamp": 8, "timestamptz": 8, "uuid": 16,
}  # fmt: skip
_POINTER = 18
#: What reads a time in any spelling, by type.
_READ = {
    "timestamp": "m_timestamp",
    "timestamptz": "m_timestamptz_named_any",
    "time": "m_time",
}
#: Where a NULL can't be, by kind.
_TAKES_NONE = {
    "null key": "NULL in a primary key",
    "null": "NULL where the target's column is NOT NULL",
    "null there": "NULL where the target's column is NOT NULL",
}


def misfits(
    connection: sqlite3.Connection,
    table: Table,
    profile: TableProfile,
    exists: bool,
    required: Collection[str] = (),
    computed: Collection[str] = (),
) -> Iterator[Finding]:
    """Name every value that the chosen codec can't carry.

    Args:
        required: columns where no NULL may be.
        computed: columns that the target's own table computes.
    """
    for column in profile.columns:
        if not column.misfits:
            continue
        rows = connection.execute(
            f"SELECT {identity(table)}, {naming(table)}, typeof({column.cell}),"
            f" {rendering(column.cell)}, instr({column.cell}, char(0)), {_is_fine(column)}"
            f" FROM {profile.relation} WHERE {column.codec.misfit_of(column.cell)}"
        )
        for row, key, kind, value, nul, fine in rows:
            storage = printable(kind)
            named = _kind(column.codec, storage, value, bool(nul), exists)
            reason = f"{storage} that does not fit {column.codec.type}"
            if named == "nul":
                reason = "NUL (character 0) in text, which PostgreSQL can't hold"
            elif fine:
                what = "time" if storage == "text" else "number"
                named, reason = "round", f"a {what} with more digits than {column.codec.type} keeps"
            found = finding(table, column.column, row, key, value, named, reason)
            if exists:
                column_rules = column.column in required, column.column in computed
                found = advice.there(found, column.codec.type, storage, *column_rules)
            yield found


def _is_fine(column: ColumnProfile) -> str:
    """SQL of whether a misfit only has too many digits."""
    chosen = column.codec
    if choice.fraction(chosen.type) is not None:
        short = conversion.cut(column.cell, 0)
        fits = f"NOT {chosen.misfit_of(short)}"
        if chosen.type in _READ:  # where none fits, the chosen codec may be of another spelling
            fits += f" OR {_READ[chosen.type]}(CAST({short} AS BLOB)) IS NOT NULL"
        return f"CASE typeof({column.cell}) WHEN 'text' THEN {fits} ELSE 0 END"
    if not conversion.rounds(chosen.type):
        return "0"
    rounded = f"m_round({column.cell}, {sql.string(chosen.type)})"
    # no AND: SQLite may ask both sides, and a text need not be one that Python can read
    return (
        f"CASE WHEN typeof({column.cell}) IN ('integer', 'real')"
        f" THEN NOT {chosen.misfit_of(rounded)} ELSE 0 END"
    )


def _kind(chosen: Codec, storage: str, value: bytes, nul: bool, exists: bool) -> str:
    """What sort of misfit it is, by what would resolve it."""
    # in a table that is yet to be made, the column becomes a text once that is gone
    if storage == "text" and nul and (chosen.carries_text or not exists):
        return "nul"
    if chosen.type == "bytea" or (storage == "blob" and (chosen.carries_text or not exists)):
        return "mixed"
    if storage == "text" and not value:
        return "empty"
    if storage in ("integer", "real") and chosen.type == "interval":
        return "unit"
    moments = {
        "timestamp": functions.m_timestamptz_named_any,
        "timestamptz": functions.m_timestamp,
        "time with time zone": functions.m_time,
    }
    if storage == "text" and chosen.type in moments and moments[chosen.type](value) is not None:
        return "zone"
    return "misfit"


def bad_text(
    connection: sqlite3.Connection, table: Table, profile: TableProfile, exists: bool
) -> Iterator[Finding]:
    """Name every text that is not valid UTF-8; PostgreSQL takes no other."""
    columns = [c for c in profile.columns if c.codec.carries_text]
    encoding = source.encoding(connection)
    if not columns or _is_clean(connection, profile, columns, encoding):
        return
    reason = "the text is not valid UTF-8"
    if encoding != "UTF-8":
        reason = (
            f"the text is not valid {encoding}, or has U+FFFE or U+FFFF, which SQLite loses there"
        )
    for column in columns:  # rare: now find out where
        rows = connection.execute(
            f"SELECT {identity(table)}, {naming(table)}, {column.cell}, CAST({column.cell} AS BLOB)"
            f" FROM {profile.relation} WHERE typeof({column.cell}) = 'text'"
            f" AND NOT {column.codec.misfit_of(column.cell)}"
        )
        for row, key, value, stored in rows:
            if not _is_legible(stored, encoding):
                found = finding(table, column.column, row, key, value, "utf8", reason)
                yield advice.as_it_is(found) if exists else found


def _is_clean(
    connection: sqlite3.Connection,
    profile: TableProfile,
    columns: Sequence[ColumnProfile],
    encoding: str,
) -> bool:
    """Whether all text of a table is valid; a block at a time, at C speed."""
    if encoding == "UTF-8":
        # joined even if it is one column: a number among the texts becomes bytes, too
        cells, comma = ["''", *(f"ifnull({c.cell}, '')" for c in columns)], " || ',' || "
        queries = [f"SELECT {sql.joined(cells, comma)} FROM {profile.relation}"]
    else:  # as it is stored: SQLite makes a letter of half a pair and what follows it
        queries = [
            f"SELECT CAST({c.cell} AS BLOB) FROM {profile.relation} WHERE typeof({c.cell}) = 'text'"
            for c in columns
        ]
    between = ",".encode(encoding)
    return all(
        _is_legible(between.join(texts), encoding)
        for query in queries
        for texts in batches.gathered(connection.execute(query), _BLOCK)
    )


def nulls(
    connection: sqlite3.Connection, table: Table, reading: Reading, required: dict[str, str]
) -> Iterator[Finding]:
    """Name every NULL in columns that may have none.

    Args:
        required: the kind of finding per column.
    """
    # not IS NULL, which SQLite believes to be false by a declaration of NOT NULL
    tests = {column: f"typeof({reading.cell(column)}) = 'null'" for column in required}
    if (
        not tests
        or not connection.execute(
            f"SELECT 1 FROM {reading.relation} WHERE {sql.joined(list(tests.values()), ' OR ')} LIMIT 1"
        ).fetchone()
    ):
        return
    for column, kind in required.items():
        rows = connection.execute(
            f"SELECT {identity(table)}, {naming(table)} FROM {reading.relation} WHERE {tests[column]}"
        )
        for row, key in rows:
            yield finding(table, column, row, key, "NULL", kind, _TAKES_NONE[kind])


def too_wide(
    connection: sqlite3.Connection, table: Table, profile: TableProfile
) -> Iterator[Finding]:
    """Name rows that fill more than a page, even with each long value moved out of it.

    A row that is only too wide by the gaps between its values is left to PostgreSQL.
    """
    fixed = [_FIXED.get(c.codec.type.partition("(")[0]) for c in profile.columns]
    if _HEAD + sum(size or _POINTER for size in fixed) <= _WIDEST:
        return
    sizes = [
        f"({c.cell} IS NOT NULL) * {size}"
        if size
        else f"ifnull(min(length({c.cell}) + 1, {_POINTER}), 0)"
        for c, size in zip(profile.columns, fixed, strict=True)
    ]
    rows = connection.execute(
        f"SELECT * FROM (SELECT {identity(table)}, {naming(table)}, {_HEAD} + {sql.joined(sizes, ' + ')}"
        f" AS m_size FROM {profile.relation}) WHERE m_size > {_WIDEST}"
    )
    for row, key, size in rows:
        yield finding(
            table, "", row, key, f"{size:,} bytes", "wide row",
            f"a row has {_WIDEST:,} bytes at most, and long values count as {_POINTER}",
        )  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A foreign key as two lists of expressions."""

    column: str  #: one of the key, to name it
    parent: str
    cells: tuple[str, ...]
    parent_relation: str
    parent_cells: tuple[str, ...]
    indexed: bool = True  #: whether the parent's own index may be used to compare bytes
    searched: bool = True  #: whether a parent is found without reading all of them
    kind: str = "orphan"  #: of the findings, by what would resolve them


def orphans(
    connection: sqlite3.Connection,
    table: Table,
    relation: str,
    reference: Reference,
    reason: str = "points at a row of {} that doesn't exist",
) -> Iterator[Finding]:
    """Name every row whose parent is missing."""
    theirs, pairs = _beside_parents(table, relation, reference)
    rows = connection.execute(
        f"WITH {theirs} SELECT c.row, c.key, c.value {pairs} AND p.p0 IS NULL"
    )
    for row, key, value in rows:
        yield finding(
            table, reference.column, row, key, value, reference.kind,
            reason.format(reference.parent),
        )  # fmt: skip


def links(table: Table, relation: str, reference: Reference, parent: Table) -> str:
    """SQL of every row that points somewhere, and the row it points at: NULL if that is missing."""
    theirs, pairs = _beside_parents(table, relation, reference, f", {identity(parent)} AS row")
    return f"WITH {theirs} SELECT c.row AS child, p.row AS parent {pairs}"


def _beside_parents(
    table: Table, relation: str, reference: Reference, more: str = ""
) -> tuple[str, str]:
    """SQL of the parents ``p``, after WITH, and of each row ``c`` that points somewhere beside its own, from FROM on.

    Args:
        more: of the parents besides their keys.
    """
    ours = ", ".join(f"{cell} AS k{n}" for n, cell in enumerate(reference.cells))
    theirs = ", ".join(f"{cell} AS p{n}" for n, cell in enumerate(reference.parent_cells))
    numbers = range(len(reference.cells))
    # the parent's side first: SQLite compares in its way, but bytes as PostgreSQL does
    same = " AND ".join(f"p.p{n} = c.k{n} COLLATE BINARY" for n in numbers)
    # what is computed gets an index of its own, what is stored may have one
    computed = any("(" in cell for cell in reference.parent_cells)
    kept = "" if computed or not (reference.indexed and reference.searched) else "NOT "
    return (
        f"p AS {kept}MATERIALIZED (SELECT {theirs}{more} FROM {reference.parent_relation})",
        f"FROM (SELECT {identity(table)} AS row, {naming(table)} AS key,"
        f" {rendering(reference.cells[0])} AS value, {ours} FROM {relation}) c LEFT JOIN p ON {same}"
        " WHERE " + " AND ".join(f"c.k{n} IS NOT NULL" for n in numbers),
    )


def duplicates(
    connection: sqlite3.Connection,
    table: Table,
    relation: str,
    columns: tuple[str, ...],
    canonical: list[str],
    kind: str,
) -> Iterator[Finding]:
    """Name every row that has the same key as one before it.

    Args:
        canonical: the columns' values as expressions of canonical text.
        kind: ``duplicate key``, ``duplicate`` or ``duplicate there``.
    """
    given = " AND ".join(f"{cell} <> 'NULL'" for cell in canonical)
    alike = ", ".join(canonical)
    rows = connection.execute(
        f"SELECT row, key, value FROM (SELECT {identity(table)} AS row, {naming(table)} AS key,"
        f" {rendering(sql.name(columns[0]))} AS value,"
        f" row_number() OVER (PARTITION BY {alike} ORDER BY {identity(table)}) AS place"
        f" FROM {relation} WHERE {given}) WHERE place > 1"
    )
    for row, key, value in rows:
        yield finding(
            table, columns[0], row, key, value, kind,
            f"a second row with the same {', '.join(columns)}, as PostgreSQL sees it",
        )  # fmt: skip


def changes(
    connection: sqlite3.Connection,
    table: Table,
    relation: str,
    column: str,
    cell: str,
    where: str,
    limit: int,
) -> Iterator[Finding]:
    """Name values that a wish changes; the reason says what each becomes."""
    rows = connection.execute(
        f"SELECT {naming(table)}, {rendering(sql.name(column))}, {rendering(cell)}"
        f" FROM {relation} WHERE {where} LIMIT {limit}"
    )
    for key, old, new in rows:
        yield Finding(
            table.name, printable(key), column, printable(old),
            f"becomes {printable(new)}", "", "converted",
        )  # fmt: skip


def identity(table: Table) -> str:
    """An SQL expression that names a row for the program: its rowid, or its key as text."""
    if not table.without_rowid:
        return rowid(table) or "NULL"
    return " || ' ' || ".join(map(exactly, table.primary_key))


def exactly(column: str) -> str:
    """An SQL expression of a value's storage class and bytes, to be compared by."""
    cell = sql.name(column)
    digits = f"CASE typeof({cell}) WHEN 'real' THEN m_hex({cell}) ELSE hex({cell}) END"
    return f"typeof({cell}) || {digits}"


def rowid(table: Table) -> str | None:
    """The name of the rowid that no column hides."""
    if table.rowid_alias:
        return sql.name(table.rowid_alias)
    taken = {sql.folded(c.name) for c in table.columns}
    return next((n for n in sql.ROWID if n not in taken), None)


def number(table: Table) -> str | None:
    """The name of each row's number, in whose order rows lie; None if rows have none."""
    return rowid(table) if table.sql and not table.without_rowid else None


def naming(table: Table) -> str:
    """An SQL expression that names a row for a person."""
    if table.without_rowid:
        parts = [f"{sql.string(c + '=')} || quote({sql.name(c)})" for c in table.primary_key]
        return " || ' ' || ".join(parts)
    column = rowid(table)
    label = table.rowid_alias or "rowid"
    return f"{sql.string(label + '=')} || {column}" if column else "'?'"


def finding(
    table: Table, column: str, row: object, key: object, value: object, kind: str, reason: str
) -> Finding:
    """One of a row, of what ``identity``, ``naming`` and ``rendering`` gave."""
    named = row.decode("ascii") if isinstance(row, bytes) else row
    return Finding(
        table=table.name,
        key=printable(key),
        column=column,
        value=printable(value),
        reason=reason,
        resolve=advice.of(kind, table.name, column),
        kind=kind,
        row=named if isinstance(named, (int, str)) else None,
    )


def rendering(cell: str) -> str:
    """An SQL expression of a value's beginning, for a person."""
    return (
        f"CASE typeof({cell}) WHEN 'text' THEN substr(m_utf8(CAST({cell} AS BLOB)), 1, 81)"
        f" WHEN 'blob' THEN 'X''' || hex(substr({cell}, 1, 20)) || ''''"
        f" ELSE quote({cell}) END"
    )


def _is_utf8(text: bytes) -> bool:
    # in pieces: a large text would take four times its size
    decoder, pieces = _decoder(), memoryview(text)
    try:
        for start in range(0, len(text), _PIECE):
            decoder.decode(pieces[start : start + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_legible(text: bytes, encoding: str) -> bool:
    """Whether a text as it is stored is one; of UTF-16 also whether SQLite can turn it into UTF-8 and back."""
    if encoding == "UTF-8":
        return _is_utf8(text)
    try:
        letters = text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return "\ufffe" not in letters and "\uffff" not in letters


def printable(value: object) -> str:
    """What SQLite gave, for a person's line; texts as bytes, of which the first ones are shown."""
    if isinstance(value, bytes):
        # a character that is cut off at the end is no mistake of the text's
        text = _decoder("backslashreplace").decode(value[:80], final=len(value) <= 80)
        return visible(text)
    return "" if value is None else str(value)
