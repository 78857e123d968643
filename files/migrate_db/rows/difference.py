"""The keyed difference of a table, streamed from both databases in constant memory.

Each side turns every row into one line of canonical text (see ``codec``), in
key order; SQLite with its own functions, PostgreSQL with its own. Equal lines
are equal rows, value and type, and are compared as bytes. Only rows that
differ are ever taken apart.

The difference is the proof when it is empty, the report when it is printed,
and what ``catch_up`` applies.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from migrate_db import sql
from migrate_db.codecs.numbers import counts
from migrate_db.planning.plan import TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.rows import blocks, line
from migrate_db.rows.blocks import Block, SourceBlocks
from migrate_db.sqlite import batches, source

#: Of `COPY … (FORMAT binary)`: signature, no flags, no extension.
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
#: A field and its comma; for a long line the expression would take gigabytes.
_FIELD = re.compile(r"(X?'[^']*'(?:'[^']*')*|[^,]*),")
_SHORT = 1 << 16
#: Blocks that are compared row by row without being asked for first, at most.
_AT_ONCE = 64
#: Rows between two calls of ``progress``.
_STEP = 20_000


#: A row as canonical text, one field per column of the plan.
Row = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One row that is not the same on both sides; None where a side lacks it."""

    table: str
    key: tuple[str, ...]
    source: Row | None
    target: Row | None

    @property
    def kind(self) -> str:
        """``missing`` or ``extra`` in the target, or ``different``."""
        return "missing" if self.target is None else "extra" if self.source is None else "different"


@dataclass
class Tally:
    """What a comparison saw, filled while the difference is read."""

    source_rows: int = 0
    target_rows: int = 0
    equal: int = 0
    source_bytes: int = 0
    #: a digest differed, and row by row nothing did: one of the two lines says too little
    doubtful: bool = False

    def add(self, block: Block) -> None:
        """A block that is equal on both sides."""
        self.equal += block.rows
        self.source_rows += block.rows
        self.target_rows += block.rows
        self.source_bytes += block.size


def compare(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    tally: Tally,
    progress: Callable[[int, int], None] = lambda rows, size: None,
    ahead: SourceBlocks | None = None,
) -> Generator[Change, None, None]:
    """Yield every row that is not the same on both sides.

    Args:
        tally: counts what was compared; complete when the iterator is.
        progress: called now and then with rows and bytes so far.
        ahead: the source's blocks, if somebody has begun to read them.
    """
    with ExitStack() as stack:
        ahead = ahead or stack.enter_context(SourceBlocks(snapshot, [plan]))
        if blocks.possible(plan):
            yield from _by_ranges(snapshot, target, plan, tally, progress, ahead)
        elif not _lie_alike(target, plan, tally, progress, ahead):
            ahead.forget(plan)
            tally.doubtful = not (yield from _merged(snapshot, target, plan, tally, progress))


def _by_ranges(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    tally: Tally,
    progress: Callable[[int, int], None],
    ahead: SourceBlocks,
) -> Generator[Change, None, None]:
    """Compare ranges of the key, and row by row those that differ."""
    coming, at_once = ahead.of(plan), 0
    for block in coming:
        if not at_once and blocks.is_held(target, plan, block):
            tally.add(block)
            progress(tally.equal, tally.source_bytes)
            continue
        # where one block differs its neighbours often do: not asked first, and more at once
        joined = blocks.joined([block, *islice(coming, max(at_once - 1, 0))])
        differs = yield from _merged(snapshot, target, plan, tally, progress, joined)
        # one without a digest is never asked for, and after one that differed the next ones aren't
        tally.doubtful |= bool(block.digest) and not (at_once or differs)
        at_once = min(max(at_once, 1) * 2, _AT_ONCE) if differs else 0


def _lie_alike(
    target: Target,
    plan: TablePlan,
    tally: Tally,
    progress: Callable[[int, int], None],
    ahead: SourceBlocks,
) -> bool:
    """Compare the rows as they lie, which is how they were loaded: nothing has to be sorted.

    Two equal sequences are two equal sets; of two that are not, nothing is known.
    """
    seen, place = Tally(), blocks.BEGINNING
    for block in ahead.of(plan):
        last = blocks.next_held(target, plan, block, place)
        if last is None:
            return False
        place = last
        seen.add(block)
        progress(seen.equal, seen.source_bytes)
    table = sql.qualified(target.schema, plan.target)
    if target.value(f"SELECT count(*) FROM {table}") != seen.equal:
        return False
    tally.source_rows = tally.target_rows = tally.equal = seen.equal
    tally.source_bytes = seen.source_bytes
    return True


def _merged(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    tally: Tally,
    progress: Callable[[int, int], None],
    block: Block | None = None,
) -> Generator[Change, None, bool]:
    """Compare row by row, the whole table or a block of it.

    Returns:
        whether anything differs.
    """
    differs = False
    left, right = _source_lines(snapshot, plan, block), _target_lines(target, plan, block)
    reader = _Reader(plan)
    # closed by name: a COPY that is still running would block the end of the transaction
    with closing(left), closing(right):
        ours, theirs = next(left, None), next(right, None)
        our_row: Row | None = None
        their_row: Row | None = None
        our_place: Any = None
        their_place: Any = None
        while ours is not None or theirs is not None:
            if ours == theirs and ours is not None:
                tally.equal += 1
                tally.source_rows += 1
                tally.target_rows += 1
                tally.source_bytes += len(ours)
                if tally.equal % _STEP == 0:
                    progress(tally.equal, tally.source_bytes)
                ours, theirs = next(left, None), next(right, None)
                our_row = their_row = None
                continue
            if our_row is None and ours is not None:
                our_row, our_place = reader.read(ours)
            if their_row is None and theirs is not None:
                their_row, their_place = reader.read(theirs)
            # no `or`: a key may be empty, and one side may be at its end
            ours_first = our_row is not None and (their_row is None or our_place <= their_place)
            theirs_first = their_row is not None and (our_row is None or their_place <= our_place)
            differs = True
            yield reader.change(
                our_row if ours_first else None, their_row if theirs_first else None
            )
            if ours_first:
                tally.source_rows += 1
                tally.source_bytes += len(ours or b"")
                ours, our_row = next(left, None), None
            if theirs_first:
                tally.target_rows += 1
                theirs, their_row = next(right, None), None
        progress(tally.equal, tally.source_bytes)
    return differs


class _Reader:
    """Takes lines apart: the row, and where it stands in the common order."""

    def __init__(self, plan: TablePlan) -> None:
        self._table, self._key = plan.table.name, plan.key
        sources = [column.source for column in plan.columns]
        self._positions = [sources.index(plan.column(column).source) for column in plan.key]
        self._by_number = _ordered_by_number(plan)

    def read(self, line: bytes) -> tuple[Row, Any]:
        """A row and its place; a NULL in a key, which only the target may have, is last."""
        fields = _split(line)
        row = tuple(fields)
        if not self._positions:
            return row, line
        if self._by_number:
            return row, [_number(fields[position]) for position in self._positions]
        return row, [
            fields[position].encode("utf-8", "surrogateescape") for position in self._positions
        ]

    def change(self, source: Row | None, target: Row | None) -> Change:
        """One difference, with its key."""
        fields = source or target or ()
        if not self._positions:
            label: tuple[str, ...] = (", ".join(fields)[:200],)
        else:
            named = zip(self._key, self._positions, strict=True)
            label = tuple(f"{column}={fields[position]}" for column, position in named)
        return Change(self._table, label, source, target)


def _ordered_by_number(plan: TablePlan) -> bool:
    """Whether both databases can walk their own index in the same order."""
    return bool(plan.key) and all(counts(plan.column(column).codec) for column in plan.key)


def _source_lines(
    snapshot: sqlite3.Connection, plan: TablePlan, block: Block | None
) -> Generator[bytes, None, None]:
    text = line.stored(plan)
    if _ordered_by_number(plan):
        order = ", ".join(plan.column(c).cell for c in plan.key)
    else:
        # bytes, so that the order is PostgreSQL's "C" whatever the column's collation
        columns = [plan.column(c) for c in plan.key]
        keys = [column.codec.stored_of(column.cell) for column in columns] or [text]
        form = "CAST({} AS BLOB)" if source.is_utf8(snapshot) else "m_utf8(CAST({} AS BLOB))"
        order = ", ".join(form.format(key) for key in keys)
    where = f"WHERE {block.condition(plan.column(plan.key[0]).cell)}" if block else ""
    cursor = snapshot.execute(f"SELECT {text} FROM {plan.relation} {where} ORDER BY {order}")
    for (row,) in cursor:
        if row is None:
            raise sqlite3.DataError(batches.TOO_LARGE)
        yield row if isinstance(row, bytes) else str(row).encode()


def _target_lines(
    target: Target, plan: TablePlan, block: Block | None
) -> Generator[bytes, None, None]:
    text = line.held(plan)
    keys = [plan.column(c) for c in plan.key]
    if _ordered_by_number(plan):
        order = ", ".join(sql.name(column.target) for column in keys)
    else:
        forms = [column.codec.held_of(sql.name(column.target)) for column in keys]
        order = ", ".join(f'({form}) COLLATE "C"' for form in forms or [text])
    where = f"WHERE {block.condition(sql.name(keys[0].target))}" if block else ""
    table = sql.qualified(target.schema, plan.target)
    rows = f"SELECT {text} FROM {table} {where} ORDER BY {order}"
    statement = f"COPY ({rows}) TO STDOUT (FORMAT binary)"
    # binary: the bytes of the line as they are, nothing escaped. A message is one row:
    # field count (2 bytes), length (4), line; the header precedes the first row.
    with target.connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for message in copy:
            row = bytes(message).removeprefix(_HEADER)
            if row and row != _TRAILER:
                yield row[6:]


def _split(line: bytes) -> list[str]:
    """The fields of a line; bare words hold no comma, and quotes are doubled.

    Where nobody has looked, SQLite's side may have bytes that are no UTF-8.
    """
    if len(line) < _SHORT:
        return _FIELD.findall(line.decode("utf-8", "surrogateescape") + ",")
    fields: list[str] = []
    at = 0
    while True:
        quoted = line.startswith((b"'", b"X'"), at)
        end = _end_of_quoted(line, line.index(b"'", at) + 1) if quoted else line.find(b",", at)
        end = len(line) if end < 0 else end
        fields.append(line[at:end].decode("utf-8", "surrogateescape"))
        at = end + 1
        if at > len(line):
            return fields


def _end_of_quoted(line: bytes, at: int) -> int:
    """After the quote that closes; a regular expression takes gigabytes for a long value."""
    while line.startswith(b"''", at := line.index(b"'", at)):
        at += 2
    return at + 1


def _number(field: str) -> float:
    try:
        return int(field)
    except ValueError:  # NULL, or what only a database without types takes for a number
        return math.inf
