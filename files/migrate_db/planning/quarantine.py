"""Rows that stay behind: which ones, why, and a file with everything to put them back.

While a run lasts, what names them lies in a file beside the snapshot, which
every connection to the snapshot attaches as ``quarantine``.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from migrate_db import sql
from migrate_db.errors import MigrationError
from migrate_db.finding import Finding
from migrate_db.planning.inspection import exactly, identity
from migrate_db.sqlite import collations, functions, schema, source
from migrate_db.sqlite.schema import Table
from migrate_db.visible import decoded


@dataclass(frozen=True)
class Link:
    """A foreign key between rows that don't stay behind yet."""

    child: str  #: names of tables
    parent: str
    rows: str  #: SQL of each ``child`` that points somewhere, and its ``parent``: NULL if that stays behind


class Quarantine:
    """The rows that stay behind."""

    def __init__(self, connection: sqlite3.Connection, directory: Path) -> None:
        self._connection = connection
        self.directory = directory  #: where the file lies
        self._numbers: dict[str, int] = {}
        source.attach_quarantine(connection, directory)
        connection.execute(
            "CREATE TABLE quarantine.reasons (table_name TEXT, row, key TEXT, column_name TEXT,"
            " value TEXT, reason TEXT)"
        )

    def add(self, finding: Finding) -> bool:
        """Keep a row out; False if the finding isn't about one row."""
        if finding.row is None:
            return False
        place = self._made(finding.table)
        self._connection.execute(f"INSERT OR IGNORE INTO {place} VALUES (?)", (finding.row,))
        self._connection.execute(
            "INSERT INTO quarantine.reasons VALUES (?, ?, ?, ?, ?, ?)",
            (finding.table, finding.row, finding.key, finding.column, finding.value,
             finding.reason),
        )  # fmt: skip
        return True

    def follow(self, links: Sequence[Link]) -> None:
        """Keep out the children of what is kept out, and theirs; why each, ``add`` says later.

        Which row points at which is written down once, so that no table is read again for each
        row of a chain.
        """
        execute = self._connection.execute
        execute("CREATE TABLE quarantine.links (child_table, child, parent_table, parent)")
        for link in links:
            execute(
                f"INSERT INTO quarantine.links SELECT ?, child, ?, parent FROM ({link.rows})",
                (link.child, link.parent),
            )
        execute("CREATE INDEX quarantine.links_to ON links (parent_table, parent)")
        execute(
            "CREATE TABLE quarantine.followers AS WITH RECURSIVE f(name, row) AS ("
            " SELECT child_table, child FROM quarantine.links WHERE parent IS NULL"
            " UNION SELECT l.child_table, l.child FROM f JOIN quarantine.links l"
            " ON l.parent_table = f.name AND l.parent = f.row"
            ") SELECT name, row FROM f WHERE row IS NOT NULL"
        )
        for (name,) in execute("SELECT DISTINCT name FROM quarantine.followers").fetchall():
            place = self._made(decoded(name))
            execute(
                f"INSERT OR IGNORE INTO {place}"
                " SELECT row FROM quarantine.followers WHERE name = ?", (decoded(name),),
            )  # fmt: skip
        for made in ("links", "followers"):
            execute(f"DROP TABLE quarantine.{made}")

    def relation(self, table: Table, plain: str) -> str:
        """The rows of a table without those, as SQL after FROM."""
        place = self._place(table.name)
        return plain if place is None else _without(table, plain, f"SELECT row FROM {place}")

    def untold(self, table: Table, plain: str) -> str:
        """The rows of a table without those of which ``add`` said why they stay behind."""
        name = sql.string(table.name)
        told = f"SELECT row FROM quarantine.reasons WHERE table_name = {name}"
        return plain if self._place(table.name) is None else _without(table, plain, told)

    def count(self, table: Table, connection: sqlite3.Connection | None = None) -> int:
        """How many rows of a table stay behind.

        Args:
            connection: with these rows attached, if not the one that found them.
        """
        place = self._place(table.name)
        if place is None:
            return 0
        asked = connection or self._connection
        return int(asked.execute(f"SELECT count(*) FROM {place}").fetchone()[0])

    def digests(self) -> dict[str, str]:
        """Of each table that has such rows, a digest of what names them."""
        found = {}
        for name in self._numbers:
            told = hashlib.sha256()
            rows = self._connection.execute(f"SELECT row FROM {self._place(name)} ORDER BY row")
            for (row,) in rows:
                told.update(f"{decoded(row)}\n".encode())
            found[name] = told.hexdigest()
        return found

    def place(self, table: Table) -> str | None:
        """What stands after FROM for what names these rows of a table, if there are any."""
        return self._place(table.name)

    def _place(self, table: str) -> str | None:
        number = self._numbers.get(table)
        return None if number is None else f"quarantine.rows_{number}"

    def _made(self, table: str) -> str:
        place = self._place(table)
        if place is None:
            number = self._numbers[table] = len(self._numbers)
            place = f"quarantine.rows_{number}"
            # a rowid, or the text of a key; without a type SQLite would copy all for each query by a rowid
            self._connection.execute(
                f"CREATE TABLE {place} (row NUMERIC PRIMARY KEY) WITHOUT ROWID"
            )
        return place

    def write(self, tables: tuple[Table, ...], snapshot: Path, path: Path) -> None:
        """Write the rows, as they are stored, and why each is there, into a file of its own.

        Args:
            snapshot: the file that the rows are in.
            path: must not exist yet.

        Raises:
            MigrationError: the file can't be written, or would replace another.
        """
        self._connection.commit()
        aside = path.with_name(path.name + ".partial")
        aside.unlink(missing_ok=True)
        try:
            os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            file = sqlite3.connect(aside.absolute().as_uri(), uri=True)
            try:
                self._fill(file, tables, snapshot)
            finally:
                file.close()
            with aside.open("rb") as written:
                os.fsync(written.fileno())
            os.link(aside, path)  # never over another one
            aside.unlink()
        except (OSError, sqlite3.Error) as error:
            aside.unlink(missing_ok=True)
            why = getattr(error, "strerror", None) or str(error)
            raise MigrationError(
                f"the quarantine file can't be written: {why}",
                where=str(path),
                next="pass another one with --quarantine-file; nothing was changed",
            ) from None

    def _fill(self, file: sqlite3.Connection, tables: tuple[Table, ...], snapshot: Path) -> None:
        file.execute(f"PRAGMA encoding = '{source.encoding(self._connection)}'")
        file.text_factory = bytes
        # rows come as they were, whatever a CHECK says
        file.execute("PRAGMA ignore_check_constraints = ON")
        uri = snapshot.absolute().as_uri() + "?mode=ro&immutable=1"
        held = {table.name: table for table in tables if table.name in self._numbers}
        reasons = "migrate_db_reasons"
        while reasons in map(str.lower, held):
            reasons += "_"
        file.execute(f"CREATE TABLE {reasons} (table_name TEXT, key TEXT,"
                     " column_name TEXT, value TEXT, reason TEXT)")  # fmt: skip
        for table in held.values():
            _declare(file, table)
        file.execute("ATTACH ? AS snapshot", (uri,))
        # to read by; the file itself has no index in an order that only the app knows
        collations.stand_in(file, "snapshot")
        path = snapshot.with_name(source.QUARANTINE)
        file.execute("ATTACH ? AS quarantine", (path.absolute().as_uri(),))
        functions.register(file)
        for table in held.values():
            self._copy(file, table)
        file.execute(
            f"INSERT INTO main.{reasons} SELECT table_name, key, column_name, value,"
            " reason FROM quarantine.reasons"
        )
        file.commit()

    def _copy(self, file: sqlite3.Connection, table: Table) -> None:
        """The rows of one table; declared as in the source, if it stores each value as it was."""
        stored = [c.name for c in table.columns if not c.generated]
        columns, row = sql.names(stored), identity(table)
        if not table.without_rowid and not table.rowid_alias:
            columns = f"{row}, {columns}"
        name = sql.name(table.name)
        those = f"WHERE {row} IN (SELECT row FROM {self._place(table.name)})"
        fill = f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM snapshot.{name} {those}"
        exact = ", ".join(map(exactly, stored))
        altered = (
            f"SELECT {exact} FROM snapshot.{name} {those} EXCEPT SELECT {exact} FROM main.{name}"
        )
        # a rule, or a type, that came later than the rows
        for otherwise in (schema.bare(table), f"CREATE TABLE main.{name} ({sql.names(stored)})"):
            try:
                file.execute(fill)
                if file.execute(f"{altered} LIMIT 1").fetchone() is None:
                    return
            except sqlite3.IntegrityError:
                pass
            file.execute(f"DROP TABLE main.{name}")
            file.execute(otherwise)
        file.execute(fill)


def _without(table: Table, plain: str, rows: str) -> str:
    """The rows of a table without some, as SQL after FROM.

    Args:
        rows: SQL that gives what names those.
    """
    for column in table.columns:
        # SQLite forgets such a name in a subquery, and reads "true" as a text there
        if column.name.lower() in ("true", "false"):
            raise MigrationError(
                f"SQLite can't leave rows out of a table with a column named {column.name}",
                where=f"table {table.name}",
                next="say in --mapping what becomes of what check lists of this table",
            )
    row = identity(table)
    # a rowid that isn't a column would be hidden by the parentheses
    named = "" if table.without_rowid or table.rowid_alias else f"{row} AS {row}, "
    # by name, as * leaves out the rowid of a virtual table
    columns = sql.names([c.name for c in table.columns if not c.unreadable])
    return f"(SELECT {named}{columns} FROM {plain} WHERE {row} NOT IN ({rows}))"


def _declare(file: sqlite3.Connection, table: Table) -> None:
    """The table as the source declares it; where that needs the app, its columns alone."""
    try:
        file.execute(table.sql or schema.bare(table))
    except sqlite3.Error:  # a collation, or a function in a CHECK
        file.execute(schema.bare(table))


def default_path(original: Path, beside: Path | None) -> Path:
    """Where a quarantine goes if the operator doesn't say."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return (beside or Path()) / f"{original.stem}-quarantine-{stamp}.db"
