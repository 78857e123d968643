"""Whole blocks of rows compared as one digest, at the speed of the two databases.

A block is some hundred kilobytes of framed lines (see ``line``): a range of an integer key or, of a
table without one, the next rows as they lie, which is how they were loaded. Each
database joins its own lines; only the SHA-256 of a block is brought together.
The source's side runs in a thread of its own, over a connection of its own, so
that it goes on while PostgreSQL works. Where digests differ, ``difference``
compares row by row: that range, or the whole table.
"""

from __future__ import annotations

import hashlib
import queue
import sqlite3
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.codecs.numbers import counts
from migrate_db.planning import inspection
from migrate_db.planning.plan import TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.rows import line
from migrate_db.sqlite import batches, source

#: Blocks that are kept until somebody asks for them, and seconds between two looks at that.
_AHEAD, _PATIENCE = 2000, 0.1
#: Before every place where PostgreSQL keeps a row.
BEGINNING = "(0,0)"


@dataclass(frozen=True, slots=True)
class Block:
    """Rows with ``after`` < key <= ``last``; None where a range has no end.

    Of a table without an integer key they are the next ones, and the ends say nothing.
    """

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
    if len(plan.key) != 1 or not counts(plan.column(plan.key[0]).codec):
        return False
    # where one index is doubted SQLite uses none, and would read the table again for each range
    return plan.key[0] == plan.table.rowid_alias or not plan.table.has_doubtful_index


class _Stopped(Exception):
    """Nobody waits for blocks any more."""


class SourceBlocks:
    """The blocks of several tables, read ahead of who asks for them."""

    def __init__(self, snapshot: sqlite3.Connection, plans: Sequence[TablePlan]) -> None:
        self._plans = plans
        self._found: queue.Queue[tuple[str, Block | Exception | None]] = queue.Queue(_AHEAD)
        self._unwanted: set[str] = set()
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
        """The blocks of one table, in the order of its key; tables are asked for in their order."""
        while True:
            table, block = self._found.get()
            if table != plan.table.name:
                continue  # one before it, whose other blocks nobody wanted
            if block is None:
                return
            if isinstance(block, Exception):
                raise block
            yield block

    def forget(self, plan: TablePlan) -> None:
        """No more blocks of this table are wanted."""
        self._unwanted.add(plan.table.name)

    def _run(self) -> None:
        for plan in self._plans:
            name = plan.table.name
            try:
                with closing(_read(self._connection, plan)) as found:
                    for block in found:
                        self._put(name, block)
                self._put(name, None)
            except _Stopped:
                if self._stop.is_set():
                    return
            except Exception as error:  # it belongs to who waits for the block
                with suppress(_Stopped):
                    self._put(name, error)

    def _put(self, table: str, item: Block | Exception | None) -> None:
        while not (self._stop.is_set() or table in self._unwanted):
            try:
                return self._found.put((table, item), timeout=_PATIENCE)
            except queue.Full:
                continue
        raise _Stopped


def _read(connection: sqlite3.Connection, plan: TablePlan) -> Generator[Block, None, None]:
    by_key = possible(plan)
    key = plan.column(plan.key[0]).cell if by_key else inspection.number(plan.table)
    lines = line.framed_stored(plan, source.is_utf8(connection))
    if key is None:
        yield from _read_singly(connection, plan, lines)
        return
    for batch in batches.read(connection, plan.relation, key, lines, "\n"):
        yield _block(batch.after, batch.last, batch.rows, batch.text)


def _read_singly(
    connection: sqlite3.Connection, plan: TablePlan, lines: str
) -> Generator[Block, None, None]:
    """The same of a table whose rows have no numbers."""
    try:
        for texts in batches.gathered(connection.execute(f"SELECT {lines} FROM {plan.relation}")):
            yield _block(None, None, len(texts), b"\n".join(texts))
    except sqlite3.OperationalError:  # a blob among numbers, which JSON doesn't take
        yield _block(None, None, 0, None)


def _block(after: int | None, last: int | None, rows: int, text: bytes | None) -> Block:
    if text is None:
        return Block(after, last, rows, batches.MOST, b"")
    return Block(after, last, rows, len(text), hashlib.sha256(text).digest())


def is_held(target: Target, plan: TablePlan, block: Block) -> bool:
    """Whether the target has the same rows in this range, and no others."""
    key = sql.name(plan.column(plan.key[0]).target)
    condition, ends = block.bounds(key)
    place = key.replace("%", "%%")
    # in the order of the index: sorting the joined rows would cost a tenth of it all;
    # one row too many is enough to know
    which = f"{condition} ORDER BY {place} LIMIT %s"
    return _last_of_same(target, plan, block, place, which, (*ends, block.rows + 1)) is not None


def next_held(target: Target, plan: TablePlan, block: Block, after: str) -> str | None:
    """Whether the target has the same rows next, as they lie.

    Args:
        after: the place of the row before them.

    Returns:
        the place of the last one, None if they are not the same.
    """
    which = "ctid > %s::tid LIMIT %s"
    last = _last_of_same(target, plan, block, "ctid", which, (after, block.rows))
    return last if last is None else last or after


def _last_of_same(
    target: Target,
    plan: TablePlan,
    block: Block,
    place: str,
    which: str,
    values: tuple[object, ...],
) -> str | None:
    """The highest place of the target's rows, empty without any; None if they aren't the block's.

    Args:
        which: SQL after WHERE, with placeholders for ``values``.
    """
    table = sql.qualified(target.schema, plan.target).replace("%", "%%")
    lines = line.framed_held(plan).replace("%", "%%")
    rows = f"SELECT {place} AS p, {lines} AS l FROM {table} WHERE {which}"
    digest = "sha256(convert_to(coalesce(string_agg(l, chr(10)), ''), 'UTF8'))"
    # the same words for every block, so that the server plans them but once
    seen = target.connection.execute(
        f"SELECT count(*), {digest}, coalesce(max(p)::text, '') FROM ({rows}) AS block".encode(),
        values,
        prepare=True,
    ).fetchone()
    same = block.digest and seen and seen[:2] == (block.rows, block.digest)
    return str(seen[2]) if seen and same else None
