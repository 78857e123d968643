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
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from migrate_db import batches, line, source, sql
from migrate_db.plan import TablePlan
from migrate_db.target import Target

#: Blocks that are kept until somebody asks for them, and seconds between two looks at that.
_AHEAD, _PATIENCE = 2000, 0.1


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
        for plan in self._plans:
            found = self._found[plan.table.name]
            try:
                for block in _read(self._connection, plan):
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


def _read(connection: sqlite3.Connection, plan: TablePlan) -> Iterator[Block]:
    key = plan.column(plan.key[0]).cell
    utf8 = connection.execute("PRAGMA encoding").fetchone()[0] == b"UTF-8"
    lines = line.framed_stored(plan, utf8)
    for batch in batches.read(connection, plan.relation, key, lines, "\n"):
        digest, size = b"", batches.MOST
        if batch.text is not None:
            digest, size = hashlib.sha256(batch.text).digest(), len(batch.text)
        yield Block(batch.after, batch.last, batch.rows, size, digest)


def is_held(target: Target, plan: TablePlan, block: Block) -> bool:
    """Whether the target has the same rows in this range, and no others."""
    key = sql.name(plan.column(plan.key[0]).target)
    table = sql.qualified(target.schema, plan.target)
    condition, ends = block.bounds(key)
    lines = line.framed_held(plan).replace("%", "%%")
    place, table = key.replace("%", "%%"), table.replace("%", "%%")
    # in the order of the index: sorting the joined rows would cost a tenth of it all
    rows = f"SELECT {lines} AS l FROM {table} WHERE {condition} ORDER BY {place} LIMIT %s"
    digest = "sha256(convert_to(coalesce(string_agg(l, chr(10)), ''), 'UTF8'))"
    # the same words for every block, so that the server plans them but once; one row too many is
    # enough to know
    seen = target.connection.execute(
        f"SELECT count(*), {digest} FROM ({rows}) AS block".encode(),
        (*ends, block.rows + 1),
        prepare=True,
    ).fetchone()
    return bool(block.digest) and seen == (block.rows, block.digest)
