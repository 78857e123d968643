"""Changed rows on their way back, written aside as they come: canonical text by canonical text."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from migrate_db import sql
from migrate_db.errors import MigrationError
from migrate_db.planning import inspection
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.reverse.left_out import leaving_out
from migrate_db.rows.blocks import SourceBlocks
from migrate_db.rows.difference import Change, Tally, compare
from migrate_db.sqlite import collations, computed, functions, schema
from migrate_db.visible import decoded

#: What becomes of a row of the file.
REMOVED, ADDED, CHANGED = 0, 1, 2
_KINDS = {"missing": REMOVED, "extra": ADDED, "different": CHANGED}
#: KiB of each file that is kept in memory; they are written and read in their order.
_CACHE = 1024


@dataclass
class TableReversal:
    """What PostgreSQL did to one table since, as the file sees it."""

    table: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Staged:
    """One table with changed rows."""

    plan: TablePlan
    number: int
    columns: tuple[str, ...]  #: of the file, all that can be written
    row: str  #: SQL of what names a row: its rowid, or empty for a WITHOUT ROWID table
    unwritable: tuple[schema.Index, ...]  #: indexes that only the app can keep in their order

    @property
    def keys(self) -> tuple[str, ...]:
        """What names a row of a WITHOUT ROWID table."""
        return self.plan.table.primary_key

    @property
    def name(self) -> str:
        return sql.name(self.plan.table.name)

    def removed(self, within: str = "true") -> str:
        """SQL condition: rows that go, or come back changed.

        Args:
            within: which of them, by ``f``'s columns.
        """
        going = (
            f"FROM staged.f{self.number} f JOIN staged.e{self.number} e ON e.n = f.n"
            f" WHERE e.kind <> {ADDED} AND {within}"
        )
        if self.row:
            return f"{self.row} IN (SELECT f.row {going})"
        parts = ", ".join(f"f.p{i}" for i in range(len(self.keys)))
        return f"({sql.names(self.keys)}) IN (SELECT {parts} {going})"


@dataclass
class Staging:
    """The changed rows of a whole file; ``changes`` as they came, ``rows`` as they will be."""

    changes: Path
    rows: Path
    tables: list[Staged] = field(default_factory=list)
    reversals: list[TableReversal] = field(default_factory=list)

    @classmethod
    def within(cls, directory: Path) -> Staging:
        """In a directory of its own, which need not be there."""
        directory.mkdir()
        return cls(directory / "changes.db", directory / "rows.db")

    def attach(self, connection: sqlite3.Connection) -> None:
        """As schemas ``staged`` and ``made``."""
        for path, name in ((self.changes, "staged"), (self.rows, "made")):
            connection.execute(f"ATTACH {sql.string(str(path.absolute()))} AS {name}")
            connection.execute(f"PRAGMA {name}.synchronous = OFF")
            connection.execute(f"PRAGMA {name}.cache_size = -{_CACHE}")


def scratch(path: Path, encoding: str) -> sqlite3.Connection:
    """A file that nobody misses."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    for setting in ("synchronous = OFF", f"cache_size = -{_CACHE}"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def collect(
    staging: Staging,
    base: sqlite3.Connection,
    target: Target,
    plan: Plan,
    progress: Callable[[str, int, int, int], None],
) -> None:
    """Write down every row that is not the same on both sides, in constant memory."""
    encoding = decoded(base.execute("PRAGMA encoding").fetchone()[0])
    with (
        closing(scratch(staging.changes, encoding)) as file,
        closing(scratch(staging.rows, encoding)) as made,
        SourceBlocks(base, plan.tables) as ahead,
    ):
        file.execute("BEGIN")
        for number, table in enumerate(plan.tables):
            told = TableReversal(table.table.name)
            keys = len(table.key) or 1
            names = [*(f"k{i}" for i in range(keys)), *(f"t{i}" for i in range(len(table.columns)))]
            file.execute(
                f"CREATE TABLE e{number} (n INTEGER PRIMARY KEY, kind, {', '.join(names)})"
            )
            marks = ", ".join("?" * (len(names) + 1))
            tally = Tally()

            def report(rows: int, size: int, table: TablePlan = table) -> None:
                progress(table.table.name, rows, table.rows, size)

            with closing(compare(base, target, table, tally, report, ahead)) as changes:
                file.executemany(
                    f"INSERT INTO e{number} (kind, {', '.join(names)}) VALUES ({marks})",
                    _written(table, changes, told),
                )
            told.unchanged = tally.equal
            staging.reversals.append(told)
            if told.added or told.changed or told.removed:
                staging.tables.append(_staged(base, table, number))
                _declare(made, base, table)
                if not (table.table.rowid_alias in table.key and keys == 1):
                    listed = ", ".join(f"k{i}" for i in range(keys))
                    file.execute(f"CREATE INDEX ek{number} ON e{number} ({listed})")
            else:
                file.execute(f"DROP TABLE e{number}")
        file.execute("COMMIT")
    _demand_known_order(staging.tables)


def _demand_known_order(tables: list[Staged]) -> None:
    """An index that was made by hand can be left out of the file; a key or a UNIQUE can't."""
    fixed = [
        staged.plan.table.name
        for staged in tables
        if any(index.origin != "c" for index in staged.unwritable)
    ]
    if fixed:
        raise MigrationError(
            "a key or a UNIQUE is in an order that only the app knows; rows can't be written",
            where=", ".join(fixed),
            next=f"leave them as they were at the cut-over: {leaving_out(fixed)}",
        )


def _staged(base: sqlite3.Connection, table: TablePlan, number: int) -> Staged:
    row = inspection.rowid(table.table) or ""
    if not row and not table.table.without_rowid:
        raise MigrationError(
            "columns hide all names of the rowid, so no row can be named",
            where=f"table {table.table.name}",
            next=f"leave it as it was at the cut-over: {leaving_out([table.table.name])}",
        )
    # new entries would stand among those that the app's SQLite computed, and it wouldn't find them
    over = {index.name for index in table.table.indexes if index.computed}
    disagreeing = computed.disagreeing(base, table.table.name, over)
    unwritable = tuple(
        index
        for index in table.table.indexes
        if index.in_unknown_order or index.name in disagreeing
    )
    columns = tuple(c.name for c in table.table.columns if not c.generated)
    row = "" if table.table.without_rowid else row
    return Staged(table, number, columns, row, unwritable)


def _written(
    plan: TablePlan, changes: Iterator[Change], told: TableReversal
) -> Iterator[tuple[object, ...]]:
    """One row of ``e…`` for each change; a value that stays is NULL."""
    positions = [plan.columns.index(plan.column(column)) for column in plan.key]
    width = len(plan.columns)
    for change in changes:
        kind = _KINDS[change.kind]
        ours, theirs = change.source, change.target
        if kind == REMOVED:
            told.removed += 1
        elif kind == ADDED:
            told.added += 1
        else:
            told.changed += 1
        one = ours or theirs
        assert one is not None
        keys = [one[i] for i in positions] if positions else [",".join(one)]
        if theirs is None:
            texts: list[str | None] = [None] * width
        elif ours is None:
            texts = list(theirs)
        else:
            texts = [None if a == b else b for a, b in zip(ours, theirs, strict=True)]
        yield (kind, *keys, *texts)


def _declare(made: sqlite3.Connection, base: sqlite3.Connection, plan: TablePlan) -> None:
    """The table as the file declares it; or, where that needs the app, its columns alone."""
    table = plan.table
    try:
        if table.sql:
            collations.stand_in(made)
            made.execute(table.sql)
            functions.register(made)
            listed = sql.names([c.name for c in table.columns])
            made.execute(f"SELECT {listed} FROM {sql.name(table.name)}").fetchone()
            return
    except sqlite3.Error:  # a CHECK with a function of the app's own
        made.execute(f"DROP TABLE IF EXISTS {sql.name(table.name)}")
    made.execute(schema.bare(table))
