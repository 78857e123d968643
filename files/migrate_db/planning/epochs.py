"""Numbers in a column that was declared for times: what they probably count.

Nothing is changed by it; the plan says what it saw, and a mapping may say ``epoch``.
"""

from __future__ import annotations

import re
import sqlite3

from migrate_db import sql
from migrate_db.codecs.codec import Codec
from migrate_db.codecs.texts import TEXT_OR_NUMBER
from migrate_db.sqlite import functions
from migrate_db.sqlite.schema import Column, Table

#: The years that a guess must fall into, all values of a column.
_YEARS = ("1990-", "2100-")
#: The newest row of a file that somebody migrates is not older.
_AGO = "2005-"
#: The same of days: people are born, and things expire.
_YEARS_OF_DAYS = ("1800-", "2200-")
_UNITS = ("s", "ms", "us", "julian", "webkit")
#: What means that there is no moment, besides NULL; it would be one of 1970, or nearly.
_NEVER = (0, -1)
_NUMBERS = ("smallint", "integer", "bigint", "double precision", "numeric")


def unit_of(connection: sqlite3.Connection, table: Table, column: str, relation: str) -> str:
    """What all numbers of a column seem to count, whatever it is declared; empty if unclear."""
    return _guess(connection, table, column, relation).partition(" ")[0]


def unit_of_days(connection: sqlite3.Connection, table: Table, column: str, relation: str) -> str:
    """In which unit most numbers of a column are midnights in UTC; empty if in none, or in two alike."""
    cell, units = sql.name(column), _units(table, column)
    first, end, ago = map(sql.string, (*_YEARS_OF_DAYS, _AGO))
    days = [f"m_epoch(n, {sql.string(unit)}, 'date')" for unit in units]
    sums = ", ".join(f"total(ifnull({day} BETWEEN {first} AND {end}, 0))" for day in days)
    count, is_new, *midnights = connection.execute(
        f"SELECT count(*), max(m_epoch(n, 's', 'date') BETWEEN {ago} AND {end}), {sums}"
        f" FROM (SELECT DISTINCT {cell} AS n FROM {relation}"
        f" WHERE typeof({cell}) IN ('integer', 'real') AND {cell} NOT IN {_NEVER})"
    ).fetchone()
    most = max(midnights)
    if midnights.count(most) > 1 or most * 2 <= count:
        return ""
    unit = units[midnights.index(most)]
    return unit if unit != "s" or is_new else ""  # or since 2001, as for moments


def guess(
    connection: sqlite3.Connection, table: Table, column: Column, chosen: Codec, relation: str
) -> str:
    """What the numbers seem to count, with the first and last moment; empty if unclear.

    Returns:
        e.g. ``s (2019-01-31 … 2024-12-31)``.
    """
    bare = column.declared.upper()
    numbers = chosen.type in _NUMBERS or chosen == TEXT_OR_NUMBER
    if not numbers or not re.search(r"DATE|TIMESTAMP", bare):
        return ""
    return _guess(connection, table, column.name, relation)


def _guess(connection: sqlite3.Connection, table: Table, column: str, relation: str) -> str:
    cell = sql.name(column)
    low, high = connection.execute(
        f"SELECT min({cell}), max({cell}) FROM {relation} WHERE typeof({cell}) IN ('integer', 'real')"
        f" AND {cell} NOT IN {_NEVER}"
    ).fetchone()
    if low is None:
        return ""
    for unit in _units(table, column):
        first, last = (functions.m_epoch(value, unit, "timestamp") for value in (low, high))
        if first and last and _YEARS[0] <= first and last < _YEARS[1]:
            if unit == "s" and last < _AGO:
                return ""  # or since 2001, as Swift counts them
            return f"{unit} ({first[:19]} … {last[:19]})"
    return ""


def _units(table: Table, column: str) -> tuple[str, ...]:
    # Core Data names everything so, and counts from 2001
    apple = table.name.startswith("Z") and column.startswith("Z")
    return ("cocoa",) if apple else _UNITS
