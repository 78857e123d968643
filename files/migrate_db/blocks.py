"""Whole blocks of rows compared as one digest, at the speed of the two databases.

A block is a range of an integer key, some hundred kilobytes of framed lines (see ``line``). Each
database joins its own lines; only the SHA-256 of a block is brought together.
The source's side runs in a thread of its own, over a connection of its own, so
that it goes on while PostgreSQL works. Where digests differ, ``difference``
compares that range row by row.
"""

from __future__ import annotations

import hashlib
import queue
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from migrate_db import line, source, sql
from migrate_db.plan import TablePlan
from migrate_db.target import Target

#: Bytes that a block should have, and may have at most; one row may be larger than that.
_GOAL, _MOST = 1 << 19, 1 << 24
#: Blocks that are kept until somebody asks for them, and seconds between two looks at that.
_AHEAD, _PATIENCE = 2000, 0.1
#: Rows of the first block and of the largest.
_FIRST, _LARGEST = 64, 4096
#: Without SQLite's own limit on a text's length (Python 3.10), fewer rows are a risk worth taking.
_LARGEST_WITHOUT_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Block:
    """Rows with ``after`` < key <= ``last``; None where a range has no end."""

    after: int | None
    last: int | None
    rows: int
    size: int  #: bytes of framed lines
    digest: bytes  #: empty: too large for one text, to be compared row by row

    def condition(self, key: str) -> str:
        """As SQL; a NULL, which only the target may have, belongs to the last block."""
        condition, ends = self.bounds(key)
        return condition % ends

    def bounds(self, key: str) -> tuple[str, tuple[int, ...]]:
        """The same with placeholders, and what they stand for."""
        name = key.replace("%", "%%")
        above = f"{name} > %s" if self.after is not None else ""
        below = f"{name} <= %s" if self.last is not None else ""
        both = " AND ".join(part for part in (above, below) if part) or "true"
        ends = tuple(end for end in (self.after, self.last) if end is not None)
        return (f"({both})" if self.last is not None else f"({both} OR {name} IS NULL)"), ends


def joined(run: Sequence[Block]) -> Block:
    """Neighbours as one, to be compared row by row."""
    rows, size = sum(block.rows for block in run), sum(block.size for block in run)
    return Block(run[0].after, run[-1].last, rows, size, b"")


def possible(plan: TablePlan) -> bool:
    """Whether rows are named by one integer, which both databases find by its index."""
    return len(plan.key) == 1 and plan.column(plan.key[0]).codec.type in (
        "smallint",
        "integer",
        "bigint",
    )


class _Stopped(Exception):
    """Nobody waits for blocks any more."""


class SourceBlocks:
    """The blocks of several tables, read ahead of who asks for them."""

    def __init__(self, snapshot: sqlite3.Connection, plans: Sequence[TablePlan]) -> None:
        self._plans = [plan for plan in plans if possible(plan)]
        self._found: dict[str, queue.Queue[Block | Exception | None]] = {
            plan.table.name: queue.Queue(_AHEAD) for plan in self._plans
        }
        self._connection = source.twin(snapshot)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> SourceBlocks:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._connection.interrupt()
        self._thread.join()
        self._connection.close()

    def of(self, plan: TablePlan) -> Iterator[Block]:
        """The blocks of one table, in the order of its key."""
        found = self._found[plan.table.name]
        while (block := found.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block

    def _run(self) -> None:
        largest = _limit(self._connection)
        for plan in self._plans:
            found = self._found[plan.table.name]
            try:
                for block in _read(self._connection, plan, largest):
                    self._put(found, block)
                self._put(found, None)
            except _Stopped:
                return
            except Exception as error:  # it belongs to who waits for the block
                with suppress(_Stopped):
                    self._put(found, error)

    def _put(
        self, found: queue.Queue[Block | Exception | None], item: Block | Exception | None
    ) -> None:
        while not self._stop.is_set():
            try:
                return found.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
        raise _Stopped


def _read(connection: sqlite3.Connection, plan: TablePlan, largest: int) -> Iterator[Block]:
    key = plan.column(plan.key[0]).cell
    utf8 = connection.execute("PRAGMA encoding").fetchone()[0] == b"UTF-8"
    lines = line.framed_stored(plan, utf8)
    after: int | None = None
    wanted = _FIRST
    while True:
        where = f"WHERE {key} > {after}" if after is not None else ""
        rows = f"FROM {plan.relation} {where} ORDER BY {key} LIMIT {wanted}"
        try:
            last, count, text = connection.execute(
                "SELECT max(k), count(*), group_concat(l, char(10))"
                f" FROM (SELECT {key} AS k, {lines} AS l {rows})"
            ).fetchone()
            text = text or b""
            digest, size = hashlib.sha256(text).digest(), len(text)
        # a text that is too large, or a blob among numbers, which JSON doesn't take
        except (sqlite3.DataError, sqlite3.OperationalError):
            if wanted > 1:
                wanted = max(wanted // 16, 1)
                continue
            last, count = connection.execute(
                f"SELECT max(k), count(*) FROM (SELECT {key} AS k {rows})"
            ).fetchone()
            digest, size = b"", _MOST
        if count and not isinstance(last, int):  # a key that isn't one: not by ranges
            count, digest = 0, b""
        done = count < wanted
        yield Block(after, None if done else last, count, size, digest)
        if done:
            return
        after = last
        if size < _GOAL // 2:
            wanted = min(wanted * 2, largest)
        elif size > _GOAL * 2:
            wanted = max(wanted // 2, 1)


def _limit(connection: sqlite3.Connection) -> int:
    """Let SQLite refuse a block that is too large; the most rows a block may have."""
    if sys.version_info < (3, 11):
        return _LARGEST_WITHOUT_LIMIT
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST)
    return _LARGEST


def is_held(target: Target, plan: TablePlan, block: Block) -> bool:
    """Whether the target has the same rows in this range, and no others."""
    key = sql.name(plan.column(plan.key[0]).target)
    table = sql.qualified(target.schema, plan.target)
    condition, ends = block.bounds(key)
    lines = line.framed_held(plan).replace("%", "%%")
    rows = f"SELECT {lines} AS l, {key.replace('%', '%%')} AS k FROM {table.replace('%', '%%')}"
    digest = "sha256(convert_to(coalesce(string_agg(l, chr(10) ORDER BY k), ''), 'UTF8'))"
    # the same words for every block, so that the server plans them but once; one row too many is
    # enough to know
    seen = target.connection.execute(
        f"SELECT count(*), {digest} FROM ({rows} WHERE {condition} LIMIT %s) AS block".encode(),
        (*ends, block.rows + 1),
        prepare=True,
    ).fetchone()
    return bool(block.digest) and seen == (block.rows, block.digest)
