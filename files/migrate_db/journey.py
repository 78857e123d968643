"""One run's way into the target: in one transaction, all of it or nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from migrate_db import sql
from migrate_db.building import Builder
from migrate_db.errors import Exit, MigrationError, Misassumed
from migrate_db.events import Events
from migrate_db.failures import (
    is_about_the_data,
    is_about_the_size,
    is_about_the_statement,
    server_said,
    unknown,
)
from migrate_db.options import Options
from migrate_db.planning import bulky, mapping
from migrate_db.planning.mapping import Mapping
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql import dump, leader, sessions, state
from migrate_db.postgresql.surroundings import hidden
from migrate_db.postgresql.target import Target, connect, relation_names
from migrate_db.report import Report, TableReport
from migrate_db.rows import catch_up, load
from migrate_db.rows.blocks import SourceBlocks
from migrate_db.rows.proof import Proof, prove
from migrate_db.sqlite import schema, source
from migrate_db.stations import Copy, conclude, demand_soundness, keep_quarantined, proved
from migrate_db.structure import catalogue, ddl, lacking, meaning, sequences, unasked


class _Miscomputed(Exception):
    """PostgreSQL doesn't compute a generated column, or not the same; nothing was changed."""


@dataclass
class Journey:
    """One run's way into the target."""

    options: Options
    events: Events
    report: Report
    copy: Copy
    target: Target
    plan: Plan
    proved_on: str = ""  #: the server that answered, see ``leader``

    @property
    def snapshot(self) -> sqlite3.Connection:
        return self.copy.connection

    def is_equal(self) -> bool:
        if not all(table.exists for table in self.plan.tables):
            return False
        with self.events.phase("compare") as phase, self.target.one_moment():
            before = catalogue.recorded(self.target)
            self.report.proof = prove(
                self.snapshot, self.target, self.plan, self.events.progress, before
            )
            holds = self.report.proof.holds
            phase.note = "the target holds every row already" if holds else "the target differs"
        return holds

    def record(self) -> None:
        """Write down what was loaded."""
        sha256 = str(self.report.source["sha256"])
        with self.target.connection.transaction():
            self.proved_on = leader.of(self.target)
            known = state.read(self.target)
            rest = self._rest(known)
            places = {
                table.table.name: sql.qualified(self.target.schema, table.target)
                for table in self.plan.tables
            }
            load = state.Load(
                source.shown(self.options.source),
                sha256,
                self.remembered(known),
                self._aside(known),
                rest | state.parts(self.target, sha256, places),
            )
            structure = catalogue.as_text(self.target, self.plan)
            state.record_load(
                self.target, load, not rest, self.options.hold, structure, self.proved_on
            )

    def _rest(self, known: state.State | None) -> dict[str, state.Part]:
        """Tables of the source that an earlier run loaded and this one doesn't look at, see ``Load.parts``."""
        chosen = {table.table.name for table in self.plan.tables}
        here = {table.name for table in self.plan.schema.tables} - chosen
        parts = known.parts if known is not None else {}
        return {name: part for name, part in parts.items() if name in here}

    def _aside(self, known: state.State | None) -> str:
        """Which rows stayed behind; of tables that this run leaves out, those of an earlier one."""
        before: dict[str, str] = json.loads(known.aside) if known and known.aside else {}
        chosen = {table.table.name for table in self.plan.tables}
        rows = {name: digest for name, digest in before.items() if name not in chosen}
        rows |= self.plan.quarantine.digests() if self.plan.quarantine else {}
        return json.dumps(rows)

    def remembered(self, known: state.State | None) -> str:
        """The mapping as it is written down; what it leaves out, and an earlier run has loaded, is not left out."""
        loaded = catalogue.recorded(self.target).keys() & relation_names(self.target)
        earlier = Mapping()
        if known is not None and known.mapping:
            with suppress(MigrationError):  # it was of another file
                earlier = mapping.remembered(known.mapping, self.plan.schema)
        return mapping.with_loaded(self.plan.mapping, earlier, loaded).as_json()

    def load(self, replace: bool) -> None:
        before = list(self.report.notes), list(self.report.uncarried)
        try:
            self._fill(replace)
        except _Miscomputed:
            computed = meaning.computes(self.plan)
            self.plan = meaning.without_generated(self.plan)
            self.report.proof = None
            told, self.report.uncarried = before
            self.report.notes = [
                note for note in told if not note.startswith(tuple(f"{c}: a gen" for c in computed))
            ] + [
                f"{column}: a generated column, carried as plain values, because PostgreSQL"
                " does not compute it, or another one, as SQLite does"
                for column in computed
            ]
            self._fill(replace)

    def _keep(self) -> None:
        """Dump what is about to be replaced; nobody may write from here on what the dump hasn't."""

        with self.events.phase("keep") as phase:
            kept = dump.keep(
                self.target,
                self.options.target,
                self.options.keep_dump,
                list(self.options.server_tools),
            )
            self.report.kept_dump = phase.note = str(kept)

    def _fill(self, replace: bool) -> None:
        statements = ddl.make(self.plan, self.target.schema, relation_names(self.target))
        self.report.uncarried += statements.uncarried
        self.report.notes += statements.notes
        builder = Builder(self.snapshot, self.target, self.plan, self.report)
        builder.demand_locks(statements)
        old = [sql.qualified(self.target.schema, t.target) for t in self.plan.tables if t.exists]
        with self._all_or_nothing(), ExitStack() as stack:
            self._take_hold(old, replace)
            builder.make_tables(statements.tables)
            with load.undisturbed(self.target, self.plan):
                if replace:
                    self.target.execute(f"TRUNCATE {', '.join(old)}")
                    before = catalogue.recorded(self.target)
                    self.report.notes += catalogue.of_another_source(self.plan, before)
                self._load_rows()
                # the proof's reading of the source goes on while PostgreSQL makes the indexes
                ahead = stack.enter_context(SourceBlocks(self.snapshot, self.plan.tables))
                with self.events.phase("index") as phase:
                    wanted = [*statements.keys, *statements.foreign_keys]
                    phase.note = _kinds([s.kind for s in wanted if builder.make(s)])
            self.report.notes += hidden(self.target, [table.target for table in self.plan.tables])
            self._set_numbering(bool(old))
            if statements.views:
                with self.events.phase("views") as phase:
                    made = [view for view in statements.views if builder.make_view(view)]
                    phase.note = f"{len(made)} of {len(self.plan.schema.views)}"
            self._prove(ahead)
        self._arrived("rehearsed" if self.options.rehearse else "migrated")

    def _take_hold(self, old: list[str], replace: bool) -> None:
        """Keep everybody else out of the tables that are there already.

        Args:
            old: their names, as SQL.
        """
        if replace:
            # writers wait; pg_dump only reads
            self.target.execute(f"LOCK TABLE {', '.join(old)} IN EXCLUSIVE MODE")
            self._keep()
        if old:
            self.target.execute(f"LOCK TABLE {', '.join(old)} IN ACCESS EXCLUSIVE MODE")
        if not replace:
            self._demand_still_empty()

    def _load_rows(self) -> None:
        with self.events.phase("load") as phase:
            for table, told in zip(self.plan.tables, self.report.tables, strict=True):
                self._load_table(table, told)
            rows = sum(table.loaded_rows for table in self.report.tables)
            phase.note = f"{rows:,} rows in {len(self.report.tables)} tables"

    def _set_numbering(self, of_the_app: bool) -> None:
        """Let new rows go on where the source's end.

        Args:
            of_the_app: some tables were there already, and may number what nobody asked for.
        """

        with self.events.phase("sequences") as phase:
            sequences.advance(self.target, self.plan)
            if of_the_app:
                self.report.notes += unasked.advance(self.target, self.plan)
            for table in self.plan.tables:
                self.target.execute(f"ANALYZE {sql.qualified(self.target.schema, table.target)}")
            phase.note = "numbering goes on, statistics are fresh"

    def _prove(self, ahead: SourceBlocks) -> None:
        with self.events.phase("prove") as phase:
            self.report.proof = prove(
                self.snapshot, self.target, self.plan, self.events.progress, ahead=ahead
            )
            self._compare_structure(lacking.find(self.target, self.plan))
            phase.note = proved(self.report)
        self._demand_proof()

    def _demand_still_empty(self) -> None:
        """Nobody wrote to the tables between the plan and the lock."""

        for table in self.plan.tables:
            place = sql.qualified(self.target.schema, table.target)
            if table.exists and self.target.value(f"SELECT 1 FROM {place} LIMIT 1"):
                raise MigrationError(
                    f"somebody writes to {table.target}, which was empty a moment ago",
                    where=str(self.target),
                    next="stop the app that is connected to the target, then run again; nothing was changed",
                )

    def catch_up(self, unequal: set[str] | None) -> None:
        """Apply the difference, then prove everything.

        Args:
            unequal: tables to look at, if a comparison just before has named them; the app
                is down meanwhile, and what it missed the proof would find.
        """

        with self._all_or_nothing():
            with self.events.phase("catch up") as phase:
                done = catch_up.apply(
                    self.snapshot, self.target, self.plan, unequal, self.events.progress
                )
                catch_up.validate(self.target, self.plan)
                sequences.advance(self.target, self.plan)
                self.report.notes += unasked.advance(self.target, self.plan)
                self.report.notes += lacking.notes(self.target, self.plan)
                self.report.caught_up = done
                rows = sum(d.added + d.changed + d.removed for d in done)
                phase.note = f"{rows:,} rows brought up to the source"
            with self.events.phase("prove") as phase:
                self.report.proof = prove(
                    self.snapshot,
                    self.target,
                    self.plan,
                    self.events.progress,
                    catalogue.recorded(self.target),
                )
                phase.note = proved(self.report)
            self._demand_proof()
        self._arrived("rehearsed" if self.options.rehearse else "caught up")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """One transaction: whatever happens inside, the target is as before."""

        committing = False
        written: Path | None = None
        try:
            with self.target.connection.transaction(force_rollback=self.options.rehearse):
                yield
                if self.plan.assumed:
                    demand_soundness(self.copy, self.events, self.report)
                written = keep_quarantined(self.options, self.report, self.plan, self.snapshot)
                self.record()  # a rehearsal must know whether that may be done
                committing = not self.options.rehearse
        except psycopg.Error as error:
            if error.sqlstate or not committing:
                self._take_back(written)
            if self.plan.assumed and (is_about_the_data(error) or is_about_the_size(error)):
                raise Misassumed from None
            if is_about_the_statement(error) and meaning.computes(self.plan):
                raise _Miscomputed from None
            raise server_said(error, str(self.target), committing) from None
        # a row that is too large for a line, or a value that a function of ours can't read
        except (sqlite3.DataError, sqlite3.OperationalError):
            if not self.plan.assumed:
                raise
            raise Misassumed from None
        except KeyboardInterrupt:
            if not committing:
                self._take_back(written)
                raise
            raise unknown(str(self.target), ["interrupted"]) from None
        self.report.changed = not self.options.rehearse

    def _take_back(self, written: Path | None) -> None:
        """Nothing was carried, so nothing stayed behind."""
        if written is not None:
            written.unlink(missing_ok=True)
            self.report.quarantine_file = ""

    def _load_table(self, table: TablePlan, told: TableReport) -> None:
        begun = time.monotonic()
        with source.limited(self.snapshot, bulky.LINE) if self.plan.assumed else nullcontext():
            told.loaded_rows, told.loaded_bytes = load.copy_rows(
                self.snapshot,
                self.target,
                table,
                lambda rows, size: self.events.progress(table.table.name, rows, table.rows, size),
            )
        told.seconds = round(time.monotonic() - begun, 3)

    def _compare_structure(self, lacks: list[tuple[TablePlan, schema.Uncarried]]) -> None:
        """What a table of ours lacks must have been told; one of the app's may differ."""

        assert self.report.proof is not None
        said = [lack.name for lack in self.report.uncarried]
        for table, lack in lacks:
            if table.exists:
                self.report.notes.append(lacking.told(lack))
            elif not any(lack.name in (name, f"{table.table.name}.{name}") for name in said):
                self.report.proof.unsound.append(lacking.told(lack))

    def _demand_proof(self) -> None:
        proof = self.report.proof
        # where nobody has looked, what is not equal at once is looked at
        if self.plan.assumed and (
            not proof or not proof.holds or any(t.doubtful for t in proof.tables)
        ):
            self.report.proof = None
            raise Misassumed
        if proof is None or not proof.holds:
            if meaning.computes(self.plan):
                raise _Miscomputed
            own = [
                f"{t.table.name}.{c.source}"
                for t in self.plan.tables
                for c in t.columns
                if c.computed
            ]
            raise MigrationError(
                "what arrived is not equal to the source; all of it was taken back",
                where=str(self.target),
                details=proof.failures[:20] if proof else [],
                next="nothing was changed; " + _advice(proof, own),
                code=Exit.REFUSED,
            )

    def _arrived(self, verdict: str) -> None:
        """Look once more, from another connection, at what everybody sees now."""

        if verdict != "rehearsed" and self.options.hold:
            sessions.end_older(self.target)
        if verdict != "rehearsed":
            with self.events.phase("publish") as phase:
                self._count_again()
                phase.note = "visible to everybody, counted from another connection"
        conclude(self.report, verdict)

    def _count_again(self) -> None:
        try:
            other = connect(self.options.target, self.target.schema)
            try:
                now = leader.of(other)
                if now != self.proved_on:
                    raise leader.changed(other, self.proved_on, now, Exit.CHANGED)
                for table in self.plan.tables:
                    place = sql.qualified(other.schema, table.target)
                    seen = other.value(f"SELECT count(*) FROM {place}")
                    if seen != table.rows:
                        raise MigrationError(
                            f"{table.target}: {seen} rows after the commit, not {table.rows}",
                            where=str(other),
                            next="something else wrote to it: migrate_db verify",
                        )
            finally:
                other.connection.close()
        except (MigrationError, psycopg.Error) as error:
            told = error if isinstance(error, MigrationError) else server_said(
                error, str(self.target), committing=False
            )  # fmt: skip
            raise MigrationError(
                "everything was loaded and proved, but a last look failed: " + told.what,
                where=told.where,
                details=told.details,
                next=told.next
                if told.code == Exit.CHANGED
                else "see whether it is all there: migrate_db verify",
                code=Exit.CHANGED,
            ) from None


def _advice(proof: Proof | None, computed: list[str]) -> str:
    """What to do about a proof that failed.

    Args:
        computed: columns that the target works out itself.
    """
    if computed:
        return (
            f"if the target is right about what it computes ({', '.join(computed)}), `exclude: true` for"
            " it in --mapping"
        )
    if proof is not None and all(table.holds for table in proof.tables):
        return (
            "every value was equal, but the target's own tables don't keep it so: ALTER TABLE …"
            " VALIDATE CONSTRAINT, SET LOGGED, or ENABLE TRIGGER, as said above; then run again."
            " What is gone since the load: make it again, or have it as it is now by --replace --keep-dump DIR"
        )
    return "please report this with the lines above"


def _kinds(kinds: list[str]) -> str:
    plural = {"index": "indexes", "primary key": "primary keys", "foreign key": "foreign keys"}
    counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return ", ".join(
        f"{count} {kind if count == 1 else plural.get(kind, kind + 's')}"
        for kind, count in counted.items()
    )
