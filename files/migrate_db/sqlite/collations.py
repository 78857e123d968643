"""Collations that the app brings along; nobody else can compare by them.

SQLite refuses to touch a table that has one. So a stand-in takes its name, and
no index in that order is used or believed: such tables are read as they lie.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from migrate_db import sql
from migrate_db.sqlite import declaration
from migrate_db.visible import decoded

#: SQLite's own.
KNOWN = ("BINARY", "NOCASE", "RTRIM")
#: What integrity_check says of an index whose order it doesn't know.
_ABOUT_INDEX = re.compile(
    r"(?:row \d+ missing from|non-unique entry in|wrong # of entries in"
    r"|row \d+ values differ from) index (.*)|row not in PRIMARY KEY order for (.*)"
    # where rows lie in that order, it looks for them in the wrong place
    r"|\S+ value in (.*)\..*",
    re.DOTALL,
)


def stand_in(connection: sqlite3.Connection, database: str = "main") -> None:
    """Give every collation that a database names, and SQLite doesn't know, a stand-in."""
    rows = connection.execute(
        f"SELECT sql FROM {database}.sqlite_schema WHERE sql LIKE '%collate%'"
    )
    named = set()
    for (text,) in rows.fetchall():
        words = declaration.tokens(decoded(text))
        named |= {
            words[at + 1].name.upper()
            for at, word in enumerate(words[:-1])
            if word.word == "COLLATE"
        }
    for name in named - set(KNOWN):
        connection.create_collation(name, _by_bytes)


def believed(
    connection: sqlite3.Connection, lines: Iterator[str], doubted: set[str]
) -> Iterator[str]:
    """What integrity_check says, without what it says of indexes in an unknown order.

    Args:
        doubted: indexes that can't be believed for another reason.
    """
    unknown = _indexes_in_unknown_order(connection) | doubted
    for line in lines:
        # rows that break a CHECK are sound; PostgreSQL will say so when it is to hold it
        if line.startswith("CHECK constraint failed in "):
            continue
        if _mistaken(connection, line):
            continue
        about = _ABOUT_INDEX.fullmatch(line)
        if about is None or not unknown & set(about.groups()):
            yield line


def index_in(line: str) -> str:
    """The index that a line of integrity_check says to disagree with its rows; or nothing."""
    about = _ABOUT_INDEX.fullmatch(line)
    return (about[1] or "") if about else ""


def _mistaken(connection: sqlite3.Connection, line: str) -> bool:
    """Whether it took one column for another, as 3.40 does where rows lie in a key's order.

    Then a column that allows no NULL is said to have one, and a number to be a text.
    """
    kind, said, place = line.partition(" value in ")
    if not said:
        return False
    for row in connection.execute("PRAGMA main.table_list").fetchall():
        table, without_rowid = decoded(row[1]), bool(row[4])
        if not (without_rowid and place.startswith(f"{table}.")):
            continue
        column = sql.name(place[len(table) + 1 :])
        query = f"SELECT 1 FROM main.{sql.name(table)} WHERE typeof({column}) = ? LIMIT 1"
        try:
            # not IS NULL, which SQLite believes to be false by the declaration
            found = connection.execute(query, (kind.lower(),)).fetchone()
        except sqlite3.OperationalError:  # another table's name begins like this one
            continue
        if found is None or kind != "NULL":
            return True
    return False


def _indexes_in_unknown_order(connection: sqlite3.Connection) -> set[str]:
    """Names of indexes; of the table itself where its rows lie in that order."""
    found = set()
    tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0"
    for (table,) in connection.execute(tables).fetchall():
        quoted = sql.name(decoded(table))
        for _, index, _, origin, *_ in connection.execute(f"PRAGMA main.index_list({quoted})"):
            parts = connection.execute(f"PRAGMA main.index_xinfo({sql.name(decoded(index))})")
            if any(decoded(part[4] or "BINARY").upper() not in KNOWN for part in parts):
                found |= {decoded(index)} | ({decoded(table)} if decoded(origin) == "pk" else set())
    return found


def _by_bytes(one: str, other: str) -> int:
    return (one > other) - (one < other)
