"""A table's lines out of SQLite, many at once: it joins those of a range of keys itself.

Python takes as long to receive a row as SQLite takes to write its line, and holds up other threads
meanwhile; a batch costs it nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from migrate_db.sqlite import source

#: Bytes that a batch should have, and may have at most; one row may be larger than that.
GOAL, MOST = 1 << 19, 1 << 24
#: Rows of the first batch and of the largest.
_FIRST, _LARGEST = 64, 4096
#: Without SQLite's own limit on a text's length (Python 3.10), fewer rows are a risk worth taking.
_LARGEST_WITHOUT_LIMIT = 256


TOO_LARGE = "a row that is too large for a line"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with ``after`` < key <= ``last``; None where a range has no end."""

    after: int | None
    last: int | None
    rows: int
    text: bytes | None  #: the lines; None: they can't be joined, or the key is no number


def read(
    connection: sqlite3.Connection,
    relation: str,
    key: str,
    line: str,
    between: str = "",
    goal: int = GOAL,
) -> Iterator[Batch]:
    """All rows in the order of a key of whole numbers.

    Args:
        relation: SQL of the rows, after FROM.
        line: SQL of a row's text.
        between: what separates two of them.
        goal: bytes that a batch should have.
    """
    largest = _LARGEST if source.HAS_LIMITS else _LARGEST_WITHOUT_LIMIT
    after: int | None = None
    wanted = _FIRST
    while True:
        where = f"WHERE {key} > ?" if after is not None else ""
        rows = f"FROM {relation} {where} ORDER BY {key} LIMIT ?"
        ends = (wanted,) if after is None else (after, wanted)
        try:
            with source.limited(connection, MOST):
                last, count, lines, text = connection.execute(
                    "SELECT max(k), count(*), count(l), group_concat(l, ?)"
                    f" FROM (SELECT {key} AS k, {line} AS l {rows})",
                    (between, *ends),
                ).fetchone()
            if lines < count:  # of a text that is too large, printf() makes NULL
                raise sqlite3.DataError(TOO_LARGE)
            text = text or b""
        # a text that is too large, or a blob among numbers, which JSON doesn't take
        except (sqlite3.DataError, sqlite3.OperationalError):
            if wanted > 1:
                wanted = max(wanted // 16, 1)
                continue
            last, count = connection.execute(
                f"SELECT max(k), count(*) FROM (SELECT {key} AS k {rows})", ends
            ).fetchone()
            text = None
        if count and not isinstance(last, int):  # a key that isn't one: not by ranges
            count, text = 0, None
        done = count < wanted
        yield Batch(after, None if done else last, count, text)
        if done:
            return
        after = last
        size = MOST if text is None else len(text)
        if size < goal // 2:
            wanted = min(wanted * 2, largest)
        elif size > goal * 2:
            wanted = max(wanted // 2, 1)


def gathered(rows: Iterable[tuple[bytes]], goal: int = GOAL) -> Iterator[list[bytes]]:
    """The single texts of rows, some at a time; the last list may be empty.

    Args:
        goal: bytes that a list should have.
    """
    texts: list[bytes] = []
    size = 0
    for (text,) in rows:
        if text is None:
            raise sqlite3.DataError(TOO_LARGE)
        texts.append(text)
        size += len(text)
        if size >= goal:
            yield texts
            texts, size = [], 0
    yield texts
