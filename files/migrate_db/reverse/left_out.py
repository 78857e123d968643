"""What PostgreSQL has lost since the load, and what the operator leaves where it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from migrate_db.errors import Exit, MigrationError
from migrate_db.finding import Finding
from migrate_db.planning import pairing
from migrate_db.planning.mapping import Mapping
from migrate_db.planning.plan import Plan
from migrate_db.postgresql import names
from migrate_db.postgresql.target import Target, TargetTable
from migrate_db.sqlite.schema import Schema


class LeftOut:
    """Tables and columns that the operator leaves where they are, by their name on either side."""

    def __init__(self, patterns: tuple[str, ...], schema: Schema, mapping: Mapping) -> None:
        self._patterns = patterns
        self._columns = {
            table.name: pairing.column_names(table, mapping.table(table.name))
            for table in schema.tables
        }
        self._there = {
            table.name: mapping.table(table.name).rename or names.fitting(table.name)
            for table in schema.tables
        }

        self._unused = set(patterns)
        for name, columns in self._columns.items():
            self._any({name, self._there[name]})
            for column in columns:
                self.column(name, column)

    def table(self, name: str) -> bool:
        """Whether a table of the file is left out."""
        return self._any({name, self._there[name]})

    def new_table(self, name: str) -> bool:
        """The same of one that is on PostgreSQL."""
        return self._any({name, *(ours for ours, there in self._there.items() if there == name)})

    def column(self, table: str, column: str) -> bool:
        """Whether a column of the file is, written ``table.column``."""
        return self._column(table, {column, self._columns[table][column]})

    def new_column(self, table: str, column: str) -> bool:
        """The same of one that is on PostgreSQL.

        Args:
            table: its name in the file.
        """
        ours = {name for name, there in self._columns[table].items() if there == column}
        return self._column(table, {column, *ours})

    def _column(self, table: str, columns: set[str]) -> bool:
        tables = {table, self._there[table]}
        return self._any({f"{table}.{column}" for table in tables for column in columns})

    def _any(self, called: set[str]) -> bool:
        # itself first: a name may hold what a pattern means otherwise
        found = {p for p in self._patterns for name in called if name == p or fnmatchcase(name, p)}
        self._unused -= found
        return bool(found)

    def demand_known(self) -> None:
        """Once what is new on PostgreSQL was asked for, too.

        Raises:
            MigrationError: usage, a pattern that matches nothing.
        """
        if self._unused:
            named = ", ".join(sorted(map(repr, self._unused)))
            raise MigrationError(
                f"no table, and no TABLE.COLUMN, matches {named}",
                where="--leave-out",
                next="name what the SQLite file or PostgreSQL has; nothing was changed",
                code=Exit.USAGE,
            )


def leaving_out(names: Iterable[str]) -> str:
    """What a command must be told to leave these tables, or ``table.column``, out."""
    return " ".join(f"--leave-out {shlex.quote(name)}" for name in names)


def dropped(target: Target, found: Plan, existing: dict[str, TargetTable]) -> Iterator[Finding]:
    """Tables and columns of the file that PostgreSQL had at the load and has no more."""
    for table in found.tables:
        name = table.table.name
        if not table.exists:
            yield _gone(name, "", f"table {table.target} is gone on PostgreSQL")
            continue
        pairs, _ = pairing.paired(table.table, table.wish, existing[table.target])
        for column, match in pairs:
            if match is None:
                reason = f"the column is gone on PostgreSQL, or has another name there ({target})"
                yield _gone(name, column.name, reason)


def _gone(table: str, column: str, reason: str) -> Finding:
    place = f"{table}.{column}" if column else table
    return Finding(
        table, "", column, "", reason,
        f"bring it back there, or leave it as it was at the cut-over: {leaving_out([place])}",
        kind="gone",
    )  # fmt: skip
