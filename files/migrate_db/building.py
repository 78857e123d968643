"""Tables, keys and views made in the target, one statement at a time; what may fail, and does, is told."""

from __future__ import annotations

import sqlite3
import time

import psycopg

from migrate_db import sql
from migrate_db.failures import (
    is_about_the_data,
    is_about_the_size,
    is_about_the_statement,
    too_few_locks,
)
from migrate_db.planning.plan import Plan
from migrate_db.postgresql.target import Target
from migrate_db.report import Report
from migrate_db.sqlite.schema import Uncarried
from migrate_db.structure import same_rows
from migrate_db.structure.ddl import Ddl, Statement
from migrate_db.structure.views import Translated

#: Types of any length.
_LONG = {"text", "bytea", "json", "jsonb"}
#: Kinds of statements that make an index.
_INDEXES = ("primary key", "unique", "index")
#: That all sessions together can hold; see "max_locks_per_transaction" in PostgreSQL's manual.
_LOCKS = """
    SELECT current_setting('max_locks_per_transaction')::bigint * sum(setting::bigint) FROM pg_settings
    WHERE name IN ('max_connections', 'max_prepared_transactions', 'autovacuum_max_workers',
                   'max_worker_processes', 'max_wal_senders')
"""


class Builder:
    """What one run makes, inside its transaction."""

    def __init__(
        self, snapshot: sqlite3.Connection, target: Target, plan: Plan, report: Report
    ) -> None:
        self._snapshot, self._target, self._plan, self._report = snapshot, target, plan, report
        self._spent_on_views = 0.0  # seconds

    def demand_locks(self, statements: Ddl) -> None:
        """Refuse what the server surely has no locks for, before hours are spent on loading it.

        Raises:
            MigrationError: it says what to raise.
        """
        new = [table for table in self._plan.tables if not table.exists]
        # a long text lies in a table of its own, which has an index
        parts = [3 if _LONG & {c.codec.type for c in table.columns} else 1 for table in new]
        indexes = [statement for statement in statements.keys if statement.kind in _INDEXES]
        wanted = sum(parts) + len(indexes)
        there = int(str(self._target.value(_LOCKS)))
        # it has some memory to spare: 1.23 times as many were seen, and 1.38 with a tenth of the connections
        if wanted > there * 1.25 + 100:
            said = f"{wanted:,} tables and indexes, and some {there:,} locks"
            raise too_few_locks(str(self._target), [said])

    def make_tables(self, statements: list[Statement]) -> None:
        """And the schema, if it isn't there."""
        schema = self._target.schema
        quoted = sql.name(schema)
        if self._target.value(f"SELECT to_regnamespace({sql.string(quoted)})") is None:
            self._target.execute(f"CREATE SCHEMA {quoted}")
            self._report.notes.append(f"schema {schema}: it was not there, it is made")
        for statement in statements:
            self._target.perform(statement.sql)

    def make(self, statement: Statement) -> bool:
        """Run one DDL statement; an optional one that fails is reported as not carried."""
        if not statement.optional:
            self._target.perform(statement.sql)
            return True
        try:
            with self._target.connection.transaction():
                self._target.perform(statement.sql)
        except psycopg.Error as error:
            # rows that a primary key refuses are not left to chance; a key that is too long is named
            left_to_chance = statement.kind == "primary key" and not is_about_the_size(error)
            if (
                not is_about_the_statement(error)
                or left_to_chance
                or (self._plan.assumed and is_about_the_data(error))
            ):
                raise
            told = (error.diag.message_primary or str(error), error.diag.message_detail)
            reason = "PostgreSQL says: " + ": ".join(part.strip() for part in told if part)
            if error.sqlstate == "42601" and " IS JSON)" in statement.sql:
                reason = "PostgreSQL has no json_valid() before 16"
            if statement.kind == "check":  # which need not have a name
                reason = f"{statement.sql.partition(' ADD ')[2]}: {reason}"
            self._report.uncarried.append(Uncarried(statement.kind, statement.name, reason))
            return False
        return True

    def make_view(self, view: Translated) -> bool:
        """Make a view and demand the same rows as in SQLite; else it is taken back."""
        gone = {lack.name for lack in self._report.uncarried if lack.kind == "view"} & view.through
        if gone:
            why = f"it reads {', '.join(sorted(gone))}, which is not carried"
            self._report.uncarried.append(Uncarried("view", view.source, why))
            return False
        place = sql.qualified(self._target.schema, view.name)
        statement = view.create(self._target.schema)
        if not self.make(Statement("view", view.source, statement, optional=True)):
            return False
        changed = {t.table.name for t in self._plan.tables if not t.is_whole}
        if view.reads & changed:
            self._report.notes.append(
                f"view {view.source}: its rows were not compared, because values or rows of"
                f" {', '.join(sorted(view.reads & changed))} are not carried as they are"
            )
            return True
        begun = time.monotonic()
        try:
            if self._spent_on_views > same_rows.PATIENCE_IN_ALL:
                raise same_rows.TooSlow
            why = same_rows.compare(self._snapshot, self._target, view)
        except same_rows.TooSlow:
            self._report.notes.append(
                f"view {view.source}: its rows were not compared, because that takes longer"
                f" than {same_rows.PATIENCE:.0f} s, or {same_rows.PATIENCE_IN_ALL:.0f} s for all"
            )
            return True
        # a sum that is too large, for instance, or a column that is another thing than was thought
        except (psycopg.Error, sqlite3.Error, ValueError) as error:
            if isinstance(error, psycopg.Error) and not is_about_the_statement(error):
                raise
            why = f"it can't be read: {error}"
        finally:
            self._spent_on_views += time.monotonic() - begun
        if why:
            self._target.execute(f"DROP VIEW {place}")
            self._report.uncarried.append(Uncarried("view", view.source, why))
        return not why
