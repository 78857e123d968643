"""Values of a megabyte and more, which travel in pieces.

PostgreSQL takes a cell of hundreds of megabytes, but the text of a whole row, in hexadecimal and
copied a few times on its way, goes beyond what it or a small server can hold. So such a cell is
read a piece at a time, and compared by its SHA-256.

Which cells these are lies in a file beside the snapshot, which every connection to the snapshot
attaches as ``bulky``.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from migrate_db import sql
from migrate_db.codecs.codec import Codec
from migrate_db.errors import MigrationError
from migrate_db.planning.inspection import identity, number
from migrate_db.postgresql.target import Target
from migrate_db.sqlite import source
from migrate_db.sqlite.schema import Table

#: Bytes, in PostgreSQL, that a value must have more than.
LIMIT = 1 << 20
#: Number of columns without such cells.
_NONE = -1
#: Bytes that are read at once.
_PIECE = 1 << 18
#: Bytes that a line may have where nobody has looked for such values yet: the largest that is none, in hexadecimal.
LINE = 2 * LIMIT


def find(
    connection: sqlite3.Connection, table: Table, relation: str, codecs: dict[str, Codec]
) -> dict[str, int]:
    """Note every bulky cell of a table with its digest.

    Args:
        relation: SQL of the rows that are carried.
        codecs: of the columns that are carried as they are stored.

    Returns:
        a number for each column that has such cells, see ``digest``.
    """
    columns = [c for c, chosen in codecs.items() if chosen.carries_bulk] if number(table) else []
    columns = [c for c in columns if (found := table.column(c)) and not found.generated]
    small = source.path_of(connection).stat().st_size <= LIMIT
    if not columns or small or not source.is_utf8(connection):
        return {}
    row = identity(table)
    # no character has more than four bytes; of a blob, length() reads but the header
    suspects = connection.execute(
        f"SELECT {row} FROM {relation} WHERE "
        + sql.joined([f"length({sql.name(c)}) > {LIMIT // 4}" for c in columns], " OR ")
    ).fetchall()
    if not suspects:
        return {}
    attach(connection)
    found_in: dict[str, int] = {}
    for column in columns:
        following = connection.execute("SELECT ifnull(max(m_bulky_column), 0) + 1 FROM bulky.cells")
        (place,) = following.fetchone()
        for (rowid,) in suspects:
            size, seen = 0, hashlib.sha256()
            for piece in pieces(connection, table, column, rowid):
                size += len(piece)
                seen.update(piece)
            _demand_same(connection, table, column, rowid, size)
            if size > LIMIT:
                found_in[column] = place
                cell = (place, rowid, f"sha256:{seen.hexdigest()}")
                connection.execute("INSERT INTO bulky.cells VALUES (?, ?, ?)", cell)
    connection.commit()  # others attach it
    return found_in


def room(connection: sqlite3.Connection, table: Table) -> int:
    """A number for a column that has no such cells here, but in PostgreSQL; 0: it can't have any."""
    if not number(table) or not source.is_utf8(connection):
        return 0
    attach(connection)
    return _NONE


def digest(table: Table, place: int) -> str:
    """SQLite's SQL of a bulky cell's digest; NULL if the cell isn't one.

    Args:
        place: the column's number, see ``find``.
    """
    row = identity(table)
    return f"(SELECT m_bulky_digest FROM bulky.cells WHERE m_bulky_column = {place} AND m_bulky_row = {row})"


def rows(places: list[int]) -> str:
    """SQLite's SQL of the rows with such cells."""
    return f"SELECT m_bulky_row FROM bulky.cells WHERE m_bulky_column IN ({', '.join(map(str, places))})"


def held(codec: Codec, column: str) -> str:
    """PostgreSQL's SQL of the same: a bulky value's digest, or the codec's canonical text."""
    content = column if codec.type == "bytea" else f"convert_to({column}::text, 'UTF8')"
    return (
        f"CASE WHEN {_is_large(codec, column)} THEN 'sha256:' || encode(sha256({content}), 'hex')"
        f" ELSE {codec.held_of(column)} END"
    )


def in_target(target: Target, place: str, codecs: dict[str, Codec]) -> set[str]:
    """Columns of a table of PostgreSQL's that have such values.

    Args:
        place: the quoted table.
        codecs: of its columns.
    """
    columns = [column for column, codec in codecs.items() if codec.carries_bulk]
    size = target.value(
        "SELECT pg_relation_size(reltoastrelid) FROM pg_class"
        f" WHERE oid = {sql.string(place)}::regclass AND reltoastrelid <> 0"
    )
    if not columns or not size:  # they never lie in the table itself
        return set()
    sizes = ", ".join(
        f"coalesce(bool_or({_is_large(codecs[c], sql.name(c))}), false)" for c in columns
    )
    found = target.execute(f"SELECT {sizes} FROM {place}").fetchall()[0]
    return {column for column, large in zip(columns, found, strict=True) if large}


def stored(codec: Codec, cell: str) -> str:
    """SQLite's SQL of the same as ``held``, of a cell that nobody looked at before."""
    size = f"length(CAST({cell} AS BLOB)) > {LIMIT}"
    large = f"typeof({cell}) IN ('text', 'blob') AND {size}"
    return (
        f"CASE WHEN {large} THEN 'sha256:' || m_sha256(CAST({cell} AS BLOB))"
        f" ELSE {codec.stored_of(cell)} END"
    )


def is_digest(canonical: str) -> bool:
    """Whether a canonical text stands for such a value; no other one looks like that."""
    return canonical.startswith("sha256:")


def pieces(
    connection: sqlite3.Connection, table: Table, column: str, rowid: int
) -> Iterator[bytes]:
    """The bytes of a text or a blob, some at a time; none of any other value."""
    # SQLite up to 3.40 opens another column's cell where one that is not stored stands before it
    if not source.HAS_LIMITS or any(c.generated for c in table.columns):
        yield from _whole(connection, table, column, rowid)
        return
    try:
        blob = connection.blobopen(table.name, column, rowid, readonly=True)
    except sqlite3.Error:  # NULL or a number, or the default of a column that came later
        yield from _whole(connection, table, column, rowid)
        return
    with closing(blob):
        while piece := blob.read(_PIECE):
            yield piece


def _whole(
    connection: sqlite3.Connection, table: Table, column: str, rowid: int
) -> Iterator[bytes]:
    """As ``pieces``, for a Python that can't read a part of a cell, or where that is not to be trusted."""
    cell, row = sql.name(column), identity(table)
    found = connection.execute(
        f"SELECT CAST({cell} AS BLOB) FROM main.{sql.name(table.name)}"
        f" WHERE {row} = ? AND typeof({cell}) IN ('text', 'blob')",
        (rowid,),
    ).fetchone()
    for start in range(0, len(found[0]) if found else 0, _PIECE):
        yield found[0][start : start + _PIECE]


def _demand_same(
    connection: sqlite3.Connection, table: Table, column: str, rowid: int, size: int
) -> None:
    """What was read in pieces is as long as SQL says: the load reads the same way, so no proof would tell."""
    cell = sql.name(column)
    # of a blob, length() reads but the header
    (said,) = connection.execute(
        f"SELECT CASE typeof({cell}) WHEN 'blob' THEN length({cell})"
        f" WHEN 'text' THEN length(CAST({cell} AS BLOB)) ELSE 0 END"
        f" FROM main.{sql.name(table.name)} WHERE {identity(table)} = ?",
        (rowid,),
    ).fetchone()
    if said != size:
        raise MigrationError(
            f"SQLite reads {table.name}.{column} in two ways: {said:,} bytes, and {size:,} in pieces",
            where=f"rowid {rowid}",
            next="please report this, with SQLite's version and the CREATE TABLE",
        )


def _is_large(codec: Codec, column: str) -> str:
    """PostgreSQL's SQL; only the headers of values are read."""
    size = f"octet_length({column})" if codec.type == "bytea" else f"octet_length({column}::text)"
    return f"{size} > {LIMIT}"


def attach(connection: sqlite3.Connection) -> None:
    """Make what was noted known to a connection, as schema ``bulky``."""
    path: Path = source.path_of(connection).with_name("bulky.db")
    with suppress(sqlite3.OperationalError):  # it is there
        connection.execute("ATTACH ? AS bulky", (source.uri(path, "rwc"),))
    connection.execute(
        "CREATE TABLE IF NOT EXISTS bulky.cells"
        " (m_bulky_column INTEGER, m_bulky_row INTEGER, m_bulky_digest TEXT, PRIMARY KEY (m_bulky_column, m_bulky_row))"
        " WITHOUT ROWID"
    )
