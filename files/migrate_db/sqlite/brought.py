"""Functions that the app brings along, or a newer SQLite; nobody else can compute by them.

SQLite reads a table that has one in a CHECK or an index, but it can't check that index, nor work
out a column that is computed by one. So where the file is checked, a stand-in takes the
function's name, and no index by it is used or believed.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable

from migrate_db import sql
from migrate_db.sqlite import computed, declaration
from migrate_db.visible import decoded

_UNKNOWN = re.compile(r"(?:no such|unknown) function: (.*?)(?:\(\))?")


def in_expression(connection: sqlite3.Connection, table: str, text: str) -> str:
    """The name of such a function in an expression about a table; empty if there is none."""
    try:
        connection.execute(f"EXPLAIN SELECT {text} FROM main.{sql.name(table)} NOT INDEXED")
    except sqlite3.OperationalError as error:
        said = _UNKNOWN.fullmatch(str(error))
        return said[1] if said else ""
    return ""


def missing(connection: sqlite3.Connection, table: str, text: str) -> str:
    """Why this SQLite can't work out an expression; empty if it can."""
    function = in_expression(connection, table, text)
    if function:
        return f"{function}() is a function that only the app has"
    word = computed.unknown_word(connection, text)
    version = sqlite3.sqlite_version
    return word and f"SQLite {version} doesn't know {word}; run this where Python has a newer one"


def in_columns(
    connection: sqlite3.Connection,
    table: str,
    virtual: dict[str, str],
    lacking: Callable[[sqlite3.Connection, str, str], str] = in_expression,
) -> dict[str, str]:
    """Columns that need such a function, themselves or by another column; with its name.

    Args:
        lacking: tells what an expression needs and isn't there, in other words.
        virtual: expressions of the columns that are worked out as they are read, by name,
            folded.
    """
    lost = {name: lacking(connection, table, text) for name, text in virtual.items()}
    lost = {name: what for name, what in lost.items() if what}
    found = bool(lost)
    while found:
        found = False
        for name in virtual.keys() - lost.keys():
            through = in_names(virtual[name], lost)
            if through:
                lost[name], found = through, True
    return lost


def failing(connection: sqlite3.Connection, table: str, columns: Iterable[str]) -> dict[str, str]:
    """Columns that SQLite can't work out in every row (bad JSON, numbers too large), and why."""
    failed = {}
    for name in columns:
        try:
            connection.execute(
                f"SELECT max(typeof({sql.name(name)})) FROM main.{sql.name(table)} NOT INDEXED"
            ).fetchone()
        except sqlite3.OperationalError as error:
            failed[name] = str(error)
    return failed


def in_names(text: str, lost: dict[str, str]) -> str:
    """The function that an expression needs by one of these columns."""
    return next((lost[word] for word in declaration.names(text) if word in lost), "")


def stand_in(connection: sqlite3.Connection) -> set[str]:
    """Give every such function of tables and indexes a stand-in, which knows nothing.

    Returns:
        the names of the indexes that can't be believed then.
    """
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema"
        " WHERE type IN ('table', 'index') AND sql LIKE '%(%'"
    ).fetchall()
    objects = [tuple(map(decoded, row)) for row in rows]
    lost: dict[str, dict[str, str]] = {}
    wanted: set[str] = set()
    for kind, name, _, text in objects:
        if kind == "table":
            said = declaration.table(text)
            lost[name] = in_columns(connection, name, said.generated)
            checks = (in_expression(connection, name, check) for _, check in said.checks)
            wanted |= {*lost[name].values(), *checks}
    doubted = set()
    for kind, name, table, text in objects:
        if kind == "index":
            said_of = declaration.index(text)
            expressions = [part for part in (*said_of.parts, said_of.where) if part]
            named = {in_expression(connection, table, part) for part in expressions}
            if any(named) or any(in_names(part, lost.get(table, {})) for part in expressions):
                doubted.add(name)
            wanted |= named
    for function in wanted - {""}:
        connection.create_function(function, -1, computed.nothing, deterministic=True)
    return doubted
