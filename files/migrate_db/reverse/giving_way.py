"""Rows that were quarantined at the load, and what PostgreSQL has in their place by now.

PostgreSQL never had them, so they stay in the file as they were; but the file can't hold both such a row and
another one with its key, nor a row that points at one that is gone. Each that leaves the file is named.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

from migrate_db import sql
from migrate_db.planning.inspection import identity, naming, printable
from migrate_db.planning.quarantine import Quarantine
from migrate_db.reverse.staging import Staged
from migrate_db.sqlite.schema import ForeignKey, Index, Table

#: Rows of a table that are named, at most; all are counted.
_NAMED = 1000


class GivingWay:
    """What leaves a copy of the kept file.

    Args:
        connection: to the copy, with these rows attached, before anything arrives there.
        tables: that are carried, parents first.
    """

    def __init__(
        self, connection: sqlite3.Connection, aside: Quarantine, tables: Sequence[Table]
    ) -> None:
        self._connection, self._aside = connection, aside
        self._tables = {table.name: table for table in tables}
        self._gone: Counter[str] = Counter()
        self._lines: list[str] = []
        connection.execute("CREATE TEMP TABLE m_orphans (place, row)")
        for place, _, _, query in self._orphans():
            connection.execute(f"INSERT INTO m_orphans SELECT {place}, row FROM ({query})")
        connection.execute("CREATE INDEX temp.m_orphans_of ON m_orphans (place, row)")

    def make_room(self, staged: Staged) -> None:
        """Drop rows in whose place other ones are about to be inserted."""
        table, place = staged.plan.table, self._aside.place(staged.plan.table)
        if place is None:
            return
        row = identity(table)
        shown = f"{naming(table)} AS m_key"
        for columns, parts, where in _keys(table):
            given = ", ".join(f"{part} AS m_p{i}" for i, (part, _) in enumerate(parts))
            same = " AND ".join(
                f"a.m_p{i} = b.m_p{i} COLLATE {sql.name(collation)}"
                for i, (_, collation) in enumerate(parts)
            )
            self._drop(
                table,
                f"SELECT a.m_row AS row, a.m_key AS key, min(b.m_key) AS other"
                f" FROM (SELECT {row} AS m_row, {shown}, {given} FROM main.{staged.name}"
                f" WHERE {row} IN (SELECT row FROM {place}) AND {where}) a"
                f" JOIN (SELECT {shown}, {given} FROM made.{staged.name} WHERE {where}) b ON {same}"
                " GROUP BY a.m_row",
                f"gave way to PostgreSQL's row with the same {columns}",
            )

    def follow(self) -> None:
        """Drop rows that point at one that is gone, and those that point at them, once all others are there."""
        before = -1
        while before < self._gone.total() > 0:
            before = self._gone.total()
            for place, table, parent, query in self._orphans():
                self._drop(
                    table,
                    f"SELECT row, key, NULL AS other FROM ({query}) WHERE row NOT IN"
                    f" (SELECT row FROM temp.m_orphans WHERE place = {place})",
                    f"went with the row of {parent} that it points at",
                )

    def notes(self) -> list[str]:
        """A line for each row, and how many there are."""
        return [
            *self._lines,
            *(
                f"{table}: {count:,} rows that were quarantined at the load are not in the file any"
                " more; the quarantine file has them, and the kept one"
                for table, count in self._gone.items()
            ),
        ]

    def _drop(self, table: Table, rows: str, why: str) -> None:
        """From the copy, and from the quarantine of this run.

        Args:
            rows: SQL that gives each ``row``, its ``key`` and the ``other`` one's.
            why: it leaves, for the ``other`` one or without one.
        """
        execute, row = self._connection.execute, identity(table)
        execute(f"CREATE TEMP TABLE m_way AS {rows}")
        (count,) = execute("SELECT count(*) FROM temp.m_way").fetchone()
        room = max(_NAMED - self._gone[table.name], 0)
        self._connection.text_factory = bytes  # as it may be no UTF-8
        named = "SELECT key, other FROM temp.m_way ORDER BY rowid LIMIT ?"
        for key, other in execute(named, (room,)):
            place = "" if other is None else f" [{printable(other)}]"
            self._lines.append(
                f"{table.name} [{printable(key)}]: quarantined at the load, it {why}{place}"
            )
        self._connection.text_factory = str
        for relation, named in (
            (f"main.{sql.name(table.name)}", row),
            (self._aside.place(table), "row"),
        ):
            execute(f"DELETE FROM {relation} WHERE {named} IN (SELECT row FROM temp.m_way)")
        execute("DROP TABLE temp.m_way")
        if count:
            self._gone[table.name] += count

    def _orphans(self) -> Iterator[tuple[int, Table, str, str]]:
        """For each foreign key its number, table and parent, and SQL of rows that stayed behind and point nowhere."""
        keys = ((t, key) for t in self._tables.values() for key in t.foreign_keys)
        for number, (table, key) in enumerate(keys):
            place, parent = self._aside.place(table), self._tables.get(key.parent)
            if place is not None and parent is not None and _is_sound(key, parent):
                yield number, table, parent.name, _pointing_nowhere(table, key, place)


def _is_sound(key: ForeignKey, parent: Table) -> bool:
    there = [name for name in key.parent_columns if parent.column(name) is not None]
    return len(key.columns) == len(there)


def _pointing_nowhere(table: Table, key: ForeignKey, place: str) -> str:
    # the parent's side first: its collation counts
    pairs = zip(key.columns, key.parent_columns, strict=True)
    same = " AND ".join(f"p.{sql.name(theirs)} = c.m_{i}" for i, (_, theirs) in enumerate(pairs))
    ours = ", ".join(f"{sql.name(column)} AS m_{i}" for i, column in enumerate(key.columns))
    given = " AND ".join(f"c.m_{i} IS NOT NULL" for i in range(len(key.columns)))
    row = identity(table)
    return (
        f"SELECT c.row AS row, c.key AS key FROM (SELECT {row} AS row,"
        f" {naming(table)} AS key, {ours} FROM main.{sql.name(table.name)}"
        f" WHERE {row} IN (SELECT row FROM {place})) c WHERE {given}"
        f" AND NOT EXISTS (SELECT 1 FROM main.{sql.name(key.parent)} p WHERE {same})"
    )


def _keys(table: Table) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    """What may be there once: its name, SQL of its parts with their collations, and of which rows."""
    if table.rowid_alias:
        yield table.rowid_alias, [(sql.name(table.rowid_alias), "BINARY")], "1"
    for index in table.indexes:
        if index.unique and all(column.name or column.expression for column in index.columns):
            parts = [
                (f"({c.expression})" if c.name is None else sql.name(c.name), c.collation)
                for c in index.columns
            ]
            yield _named(index), parts, f"({index.where})" if index.where else "1"


def _named(index: Index) -> str:
    return ", ".join(column.name or column.expression for column in index.columns)
