"""The way back: the kept SQLite file with everything that PostgreSQL holds now.

    kept file, proved -> copy -> what PostgreSQL has besides -> difference -> staged rows, judged
    -> applied to the copy -> proved against PostgreSQL -> renamed into place

The copy is made byte for byte, so whatever did not change is as it was: rows, text forms,
triggers, indexes, pragmas. Until the rename nothing but files of ours was written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from migrate_db import sql
from migrate_db.codecs import foreign
from migrate_db.errors import Exit, MigrationError, Misassumed
from migrate_db.events import Events
from migrate_db.finding import Finding, Findings
from migrate_db.options import Options
from migrate_db.planning import bulky, mapping, pairing, planner, quarantine
from migrate_db.planning.mapping import ColumnWish, Mapping
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.state import State
from migrate_db.postgresql.target import Target, TargetTable, tables
from migrate_db.report import Report, Reversal
from migrate_db.reverse import additions, kept, landing, rules, staging, textual_form, whole_rows
from migrate_db.reverse.additions import Additions
from migrate_db.reverse.left_out import LeftOut, dropped, leaving_out
from migrate_db.reverse.staging import Staging
from migrate_db.rows import proof
from migrate_db.sqlite import parents, schema, source
from migrate_db.sqlite.schema import Schema, Uncarried
from migrate_db.sqlite.soundness import Soundness
from migrate_db.sqlite.source import Snapshot
from migrate_db.stations import proved
from migrate_db.structure import sequences

#: What can't be carried, in the report; all of it is counted, and in its findings.
_LISTED = 1000
#: Of an index.
_UNWRITABLE = (
    "only the app knows its order, so the file is made without it; let the app make it again"
)
#: What SQLite works out by itself.
_COMPUTED = "generated column"
#: KiB of the file that are kept in memory.
_CACHE = 1024


@dataclass
class Way:
    """One reversal."""

    options: Options
    events: Events
    report: Report
    target: Target
    known: State
    directory: Path  #: for what is thrown away
    beside: Path  #: for the file that is made, on the disk where it will be
    extra: Additions = field(default_factory=Additions)

    def go(self) -> None:
        """All of it; nothing outside our own directories is changed before the last step."""
        told = self.report.reversal = Reversal(into=str(self.options.into or ""))
        with ExitStack() as stack:
            base = self._take(told)
            stack.enter_context(self.target.one_moment())
            found = self._plan(base, told, quick=True)
            try:
                staged = self._stage(found, base, told, 0)
            except Misassumed:
                found = self._plan(base, told, quick=False)
                staged = self._stage(found, base, told, 1)
            self._demand_carried(told)
            self._apply(found, base, staged)
            if any(c.orphans == "null" for t in found.tables for c in t.wish.columns.values()):
                # references that were cut when their parent was missing; it may be there now
                again = self._stage(found, base, Reversal(), 2)
                self._demand_carried(told)
                if again.tables:
                    self._apply(found, base, again)
            self._prove(found, base, told)
        if self.options.check_only:
            self.report.verdict, self.report.exit_code = "reversible", Exit.DONE
        else:
            self._publish(base)

    def _apply(self, found: Plan, base: Path, staged: Staging) -> None:
        into = self.options.into
        with self.events.phase("apply") as phase, _on_disk(self.beside.parent):
            numbering = sequences.read(self.target, found)
            wal = into is not None and source.is_wal(into)
            notes = landing.land(base, staged, found.tables, numbering, wal, found.quarantine)
            self.report.notes += notes
            rows = sum(t.added + t.changed + t.removed for t in staged.reversals)
            phase.note = f"{rows:,} rows written, removed or added"

    def _take(self, told: Reversal) -> Path:
        """A copy of the kept file, byte for byte."""
        path, copy = self.options.source, self.beside / "made.db"
        kept.examine(path, self.options.into)
        with self.events.phase("kept") as phase:
            kept.demand_room(path, self.beside)
            with _on_disk(self.beside):
                told.from_sha256 = kept.copy(path, copy)
            self.report.source = {
                "path": str(path), "bytes": path.stat().st_size, "sha256": told.from_sha256,
                "wal": "none",
            }  # fmt: skip
            wanted = self.options.expect_sha256.lower() or self.known.snapshot_sha256
            kept.demand_proved(path, told.from_sha256, wanted)
            phase.note = f"{path.stat().st_size / 1e6:,.1f} MB, as it was proved at the cut-over"
        return copy

    def _plan(self, base: Path, told: Reversal, quick: bool) -> Plan:
        """How each column travels, and what each side has that the other lacks."""
        with self.events.phase("plan") as phase:
            self.report.notes, self.report.uncarried = [], []
            self.report.findings = Findings(self.options.work_dir)
            with _opened(base) as connection:
                read, found, existing, left_out = self._decide(connection, quick)
                for finding in self._of_another_moment(found, told.from_sha256):
                    self.report.findings.add(finding)
                for finding in self._other_rows_aside(found):
                    self.report.findings.add(finding)
                for finding in dropped(self.target, found, existing):
                    self.report.findings.add(finding)
                if quick:  # the second time the file has it already
                    self.extra = additions.find(
                        self.target, read, found, existing, left_out, additions.names_of(connection)
                    )
                    left_out.demand_known()
            extra = self.extra
            told.added_tables, told.added_columns = extra.tables, extra.columns
            self.report.notes += rules.not_carried(self.target, found, extra)
            self.report.notes += extra.notes
            for problem in extra.problems:
                self.report.findings.add(problem)
            if quick and extra.statements and not self.report.findings:
                self._extend(base, extra)
                with _opened(base) as connection:
                    _, found, *_ = self._decide(connection, quick)
            self._demand_carried(told)
            if self.options.leave_out and not found.tables:
                raise MigrationError(
                    "every table is left out",
                    where="--leave-out",
                    next="leave some; the file as it was at the cut-over is the kept one",
                    code=Exit.USAGE,
                )
            named = {lack.name for lack in self.report.uncarried}
            self.report.uncarried += [
                Uncarried(lack.kind, lack.name, "not migrated: it is as it was at the cut-over")
                for lack in found.uncarried
                if lack.kind in ("table", "column") and lack.name not in named
            ]
            self.report.uncarried += [lack for lack in found.uncarried if lack.kind == _COMPUTED]
            phase.note = f"{len(found.tables)} tables"
            if extra.tables or extra.columns:
                phase.note += f", new on PostgreSQL: {', '.join([*extra.tables, *extra.columns])}"
        return found

    def _decide(
        self, connection: sqlite3.Connection, quick: bool
    ) -> tuple[Schema, Plan, dict[str, TargetTable], LeftOut]:
        read = schema.read(connection)
        wishes = Mapping()
        if self.known.mapping:
            wishes = mapping.remembered(self.known.mapping, read)
        left_out = LeftOut(self.options.leave_out, read, wishes)
        wishes = self._without(wishes, read, left_out)
        existing = tables(self.target, pairing.target_names(read, wishes))
        aside = None
        if wishes.on_finding:  # the same rows stay behind again
            aside = quarantine.Quarantine(connection, self._fresh("rows"))
        told = Findings(self.options.work_dir)
        with foreign.asking(self.target):
            found = planner.make(
                connection, read, existing, wishes, told, aside,
                quick=quick and aside is None, reversing=aside is None, target=self.target,
            )  # fmt: skip
        for finding in told:
            if found.blocking and finding.kind not in ("structure", "no column"):
                self.report.findings.add(_retyped(finding))
        found = _without_computed(found)
        there = tuple(
            self._with_bulky(connection, textual_form.settled(connection, table), set())
            if table.exists
            else table
            for table in found.tables
        )
        return read, replace(found, tables=there), existing, left_out

    def _of_another_moment(self, found: Plan, sha256: str) -> Iterator[Finding]:
        """Tables that weren't brought up to the kept file, so that its newer rows would seem removed on PostgreSQL."""
        if self.options.expect_sha256:
            return
        for table in found.tables:
            name = table.table.name
            part = self.known.parts.get(name)
            if part is not None and part.sha256 != sha256:
                yield Finding(
                    name, "", "", "", "it was loaded from an earlier state of the file than the kept one; rows that"
                    " SQLite got in between would be taken for removed",
                    f"leave it as it is in the kept file: {leaving_out([name])}; or, if no row of it changed in"
                    f" between: --expect-sha256 {sha256}", kind="moment",
                )  # fmt: skip

    def _other_rows_aside(self, found: Plan) -> Iterator[Finding]:
        """Tables whose quarantined rows are not those of the load, so that some would seem removed on PostgreSQL."""
        if not self.known.aside:  # an older record doesn't have them
            return
        before: dict[str, str] = json.loads(self.known.aside)
        now = found.quarantine.digests() if found.quarantine is not None else {}
        for table in found.tables:
            name = table.table.name
            if before.get(name) != now.get(name):
                yield Finding(
                    name, "", "", "", "with its types and rules of now on PostgreSQL, or without columns"
                    " that are left out, other rows would be quarantined than were at the load; what"
                    " PostgreSQL never had would be taken for removed there",
                    "give the column the type or rule that it had (it is said above), or leave the"
                    f" table as it was at the cut-over: {leaving_out([name])}", kind="aside",
                )  # fmt: skip

    def _with_bulky(
        self, connection: sqlite3.Connection, table: TablePlan, before: set[str]
    ) -> TablePlan:
        """Note values of megabytes, of either side.

        Args:
            before: columns that are to count as having such, whatever they have now.
        """
        plain = [c for c in table.columns if c.cell == sql.name(c.source)]
        place = sql.qualified(self.target.schema, table.target)
        there = bulky.in_target(self.target, place, {c.target: c.codec for c in plain})
        codecs = {c.source: c.codec for c in plain}
        here = bulky.find(connection, table.table, table.relation, codecs)
        wanted = here.keys() | before | {c.source for c in plain if c.target in there}
        columns = tuple(
            replace(c, bulky=here.get(c.source) or bulky.room(connection, table.table))
            if c.source in wanted
            else replace(c, bulky=0)
            for c in table.columns
        )
        return replace(table, columns=columns)

    def _without(self, wishes: Mapping, read: Schema, left_out: LeftOut) -> Mapping:
        """The wishes of the load, and what the operator leaves out this time."""
        wanted = dict(wishes.tables)
        for table in read.tables:
            if wishes.table(table.name).exclude:
                continue
            if left_out.table(table.name):
                wanted[table.name] = replace(wishes.table(table.name), exclude="true")
                self.report.uncarried.append(
                    Uncarried("table", table.name, "left out: it is as it was at the cut-over")
                )
                continue
            for column in table.columns:
                if left_out.column(table.name, column.name):
                    wish = wanted.get(table.name, wishes.table(table.name))
                    columns = {**wish.columns, column.name: ColumnWish(exclude="true")}
                    wanted[table.name] = replace(wish, columns=columns)
                    self.report.uncarried.append(
                        Uncarried("column", f"{table.name}.{column.name}",
                                  "left out: it is as it was at the cut-over")
                    )  # fmt: skip
        return replace(wishes, tables=wanted)

    def _extend(self, base: Path, extra: Additions) -> None:
        """Make the tables and columns that PostgreSQL got since."""
        connection = sqlite3.connect(base, isolation_level=None)
        try:
            additions.make(connection, extra)
        except sqlite3.Error as error:
            self.report.findings.add(Finding(
                "", "", "", "", f"SQLite can't make what is new on PostgreSQL: {error}",
                "leave it behind: --leave-out TABLE, or --leave-out TABLE.COLUMN", kind="new",
            ))  # fmt: skip
        finally:
            connection.close()

    def _stage(self, found: Plan, base: Path, told: Reversal, attempt: int) -> Staging:
        """Every row that differs, as the file will store it."""
        staged = Staging.within(self.directory / f"staged{attempt}")
        with _opened(base, found) as connection:
            with self.events.phase("compare") as phase, _on_disk(self.options.work_dir):
                staging.collect(staged, connection, self.target, found, self.events.progress)
                told.tables = staged.reversals
                self.report.uncarried += [
                    Uncarried("index", index.name, f"{_UNWRITABLE}: {index.sql}")
                    for table in staged.tables
                    for index in table.unwritable
                ]
                changes = [sum(t) for t in zip(*((r.added, r.changed, r.removed)
                                                 for r in told.tables), strict=True)]  # fmt: skip
                added, changed, removed = changes or (0, 0, 0)
                phase.note = f"{added:,} rows added, {changed:,} changed, {removed:,} removed since"
            with self.events.phase("stage") as phase, _on_disk(self.options.work_dir):
                staged.attach(connection)
                for finding in whole_rows.make(staged, connection, self.target, found.assumed):
                    self.report.findings.add(finding)
                phase.note = "SQLite can hold every value" if not self.report.findings else (
                    f"{len(self.report.findings):,} values can't be held"
                )  # fmt: skip
        return staged

    def _demand_carried(self, told: Reversal) -> None:
        """Everything that SQLite can't hold is told at once, and nothing is made."""
        count = len(self.report.findings)
        if not count:
            return
        told.uncarried_count = self.report.blocking = count
        told.uncarried = [finding.plain() for finding in islice(self.report.findings, _LISTED)]
        if self.options.findings is not None:
            self.report.findings.write(self.options.findings)
        raise MigrationError(
            f"{count:,} values or objects of PostgreSQL can't be in the SQLite file as they are",
            where=str(self.target),
            next="resolve what is listed above, then run again; nothing was changed",
        )

    def _prove(self, found: Plan, base: Path, told: Reversal) -> None:
        with ExitStack() as stack:
            made = Snapshot(base, base, base.stat().st_size, "none")
            sound = stack.enter_context(Soundness(made))
            with self.events.phase("prove") as phase:
                base.with_name("bulky.db").unlink(missing_ok=True)  # it was of other rows
                connection = stack.enter_context(_opened(base, found))
                noted = [
                    self._with_bulky(connection, t, {c.source for c in t.columns if c.bulky})
                    for t in found.tables
                ]
                found = replace(found, tables=tuple(noted))
                compared = proof.rows(connection, self.target, found, self.events.progress)
                self.report.proof = proof.Proof(compared, of_target=False)
                self.report.notes += _still_aside(connection, found)
                phase.note = proved(self.report)
                if not self.report.proof.holds:
                    unequal = [table.table for table in compared if not table.holds]
                    raise MigrationError(
                        "the file that was made is not equal to PostgreSQL; it was thrown away",
                        where=str(self.target),
                        details=self.report.proof.failures[:20],
                        # an R-tree rounds what it is given
                        next="nothing was changed; change these rows on PostgreSQL, or leave the table as it was at"
                        f" the cut-over: {leaving_out(unequal[:20])}; please report this with the lines above",
                    )
            with self.events.phase("integrity") as phase:
                landing.demand_references(self.options.source, base)
                told.sha256 = sound.demand()
                phase.note = f"every page is sound, sha256 {told.sha256[:12]}…"

    def _publish(self, base: Path) -> None:
        assert self.options.into is not None
        with self.events.phase("publish") as phase, _on_disk(self.options.into.parent):
            ours = {self.known.snapshot_sha256, self.known.returned_sha256}
            replaced = kept.put(base, self.options.into, None if self.options.overwrite else ours)
            self.report.changed = True
            if replaced is not None:
                self.report.notes.append(
                    f"{self.options.into} was not as it was migrated or led back: somebody wrote to it since;"
                    f" it is kept as {replaced}"
                )
            phase.note = str(self.options.into)
        self.report.verdict, self.report.exit_code = "reversed", Exit.DONE

    def _fresh(self, name: str) -> Path:
        number = len(list(self.directory.iterdir()))
        directory = self.directory / f"{name}{number}"
        directory.mkdir()
        return directory


def _without_computed(found: Plan) -> Plan:
    """The plan without columns that only SQLite computes: an app on PostgreSQL doesn't keep them up to date.

    Not before there is a plan, as some rows may have been quarantined because of them.
    """
    tables, told = [], list(found.uncarried)
    for table in found.tables:
        generated = {c.name for c in table.table.columns if c.generated}
        left = {c.source for c in table.columns if c.source in generated and not c.computed}
        if table.exists and left:
            columns = tuple(c for c in table.columns if c.source not in left)
            key = () if left & set(table.key) else table.key
            table = replace(table, columns=columns, key=key)
            told += [
                Uncarried(_COMPUTED, f"{table.table.name}.{name}",
                          "SQLite computes it; PostgreSQL's values of it are not compared")
                for name in sorted(left)
            ]  # fmt: skip
        tables.append(table)
    return replace(found, tables=tuple(tables), uncarried=tuple(told))


def _still_aside(connection: sqlite3.Connection, found: Plan) -> list[str]:
    """Rows of the file that PostgreSQL never had, and has nothing with their keys."""
    if found.quarantine is None:
        return []
    counts = {t.table.name: found.quarantine.count(t.table, connection) for t in found.tables}
    return [
        f"{table}: {count:,} rows that were quarantined at the load are in the file as they were"
        for table, count in counts.items()
        if count
    ]


def _retyped(finding: Finding) -> Finding:
    """A value of the kept file that the column's type of today can't be compared with."""
    place = f"{finding.table}.{finding.column}"
    return replace(
        finding,
        reason=f"the column has another type on PostgreSQL now: {finding.reason}",
        resolve=f"give it the type it had, or leave it as it was: {leaving_out([place])}",
        kind="retyped",
    )


@contextmanager
def _opened(path: Path, found: Plan | None = None) -> Iterator[sqlite3.Connection]:
    """A file for reading; with the rows that stay behind and the keys of parents, if there are any."""
    connection = source.open_snapshot(path)
    try:
        if found is not None and found.quarantine is not None:
            source.attach_quarantine(connection, found.quarantine.directory)
        if found is not None and any(c.bulky for t in found.tables for c in t.columns):
            bulky.attach(connection)
        for table in found.tables if found is not None else ():
            for keys in table.parents:  # the file may hold others than before
                parents.write_down(connection, keys)
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        yield connection
    finally:
        connection.close()


@contextmanager
def _on_disk(place: Path) -> Iterator[None]:
    """A full disk, said of the directory that is full."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        full = isinstance(error, OSError) or _is_full(error)
        if not full:
            raise
        raise MigrationError(
            f"the file can't be written: {getattr(error, 'strerror', None) or error}",
            where=str(getattr(error, "filename", None) or place),
            next="see that there is room and that it may be written; then run again;"
            " nothing was changed",
        ) from None


def _is_full(error: sqlite3.OperationalError) -> bool:
    """Whether SQLite could not write."""
    return any(word in str(error) for word in ("full", "disk I/O", "readonly"))
