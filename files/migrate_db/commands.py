"""The commands: stations put in a row. No logic about values lives here."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from migrate_db import functions, plan, schema, source
from migrate_db.errors import Exit, MigrationError
from migrate_db.events import Events
from migrate_db.plan import Plan, TablePlan
from migrate_db.report import Report, TableReport
from migrate_db.source import Snapshot

if TYPE_CHECKING:  # a preview on a bare host reads the source without psycopg
    from migrate_db import ddl
    from migrate_db.target import Target, TargetTable

#: What a target needs, as a multiple of the SQLite file: rows, indexes, WAL.
_TARGET_SHARE = 2.5
#: Seconds in which a working directory may be without its lock.
_NEWBORN = 60.0


@dataclass(frozen=True)
class Options:
    """What the user asked for; see ``cli``."""

    source: Path
    target: str = ""
    schema: str = "public"
    work_dir: Path = Path("/var/tmp")
    target_disk: Path | None = None
    allow_empty: bool = False
    rehearse: bool = False
    catch_up: bool = False
    hold: bool = False
    replace: bool = False
    keep_dump: Path = Path(".")
    server_tools: tuple[str, ...] = field(default=())
    keep_snapshot: Path | None = None


def check(options: Options, events: Events, report: Report) -> None:
    """Read everything, change nothing, name everything that stands in the way."""
    _room(options)
    with _workspace(options.work_dir) as directory, _target(options, report) as target:
        with _snapshot(options, events, report, directory) as connection:
            _plan(connection, target, events, report)
    _judge(report)


def plan_(options: Options, events: Events, report: Report) -> None:
    """Like ``check``, and show the DDL of what would be made."""
    from migrate_db import ddl

    with _workspace(options.work_dir) as directory, _target(options, report) as target:
        with _snapshot(options, events, report, directory) as connection:
            found = _plan(connection, target, events, report)
            statements = ddl.make(found, options.schema)
    report.uncarried += statements.uncarried
    report.ddl = [
        statement.sql + ";"
        for statement in (*statements.tables, *statements.keys, *statements.foreign_keys)
    ]
    _judge(report)


def verify(options: Options, events: Events, report: Report) -> None:
    """Compare both sides, row by row, and change nothing."""
    from migrate_db.proof import prove

    with _workspace(options.work_dir) as directory, _target(options, report) as target:
        assert target is not None
        with _snapshot(options, events, report, directory) as connection:
            found = _plan(connection, target, events, report)
            absent = [table.target for table in found.tables if not table.exists]
            if absent:
                raise MigrationError(
                    f"the target has no table {', '.join(absent)}",
                    where=str(target),
                    next="migrate first: migrate_db run",
                    code=Exit.DIFFERENT,
                )
            if report.findings:
                raise MigrationError(
                    f"{len(report.findings)} values or objects of the source can't be in the"
                    " target as it is, so the sides can't be equal",
                    where=str(target),
                    next="see what is listed above; nothing else was compared",
                    code=Exit.DIFFERENT,
                )
            with events.phase("prove") as phase, target.one_moment():
                report.proof = prove(connection, target, found, events.progress)
                phase.note = _proved(report)
    report.verdict, report.exit_code = ("equal", Exit.DONE) if report.proof.holds else (
        "different", Exit.DIFFERENT
    )  # fmt: skip


def run(options: Options, events: Events, report: Report) -> None:
    """The whole road, in one transaction of the target: all of it, or nothing."""
    from migrate_db import state
    from migrate_db.target import lock

    with _workspace(options.work_dir) as directory, _target(options, report) as target:
        assert target is not None
        lock(target)
        _room(options)
        with _snapshot(options, events, report, directory) as connection:
            found = _plan(connection, target, events, report)
            if not any(table.rows for table in found.tables) and not options.allow_empty:
                raise MigrationError(
                    "the source has no rows at all; is it the right file?",
                    where=str(options.source),
                    next="if it is, pass --allow-empty",
                )
            known = state.read(target)
            full = [table for table in found.tables if table.target_rows]
            journey = _Journey(options, events, report, connection, target, found)
            if (full or known) and not report.findings and journey.is_equal():
                report.verdict, report.exit_code = "already migrated", Exit.DONE
                if options.hold and known is not None and known.opened_at is None:
                    journey.record()
                _keep_snapshot(options, report, directory)
                return
            report.proof = None
            if known is not None and known.opened_at is not None and not options.replace:
                raise MigrationError(
                    f"the app lives on this database since {known.opened_at};"
                    " loading the source again would destroy what it wrote",
                    where=str(target),
                    details=_counts(found),
                    next="nothing is to be migrated; to go back to SQLite, roll back",
                )
            absent = [table.target for table in found.tables if not table.exists]
            if full and options.catch_up and known is not None and not absent:
                _no_findings(report)
                journey.catch_up()
            elif full and not options.replace:
                # catching up fills tables, it doesn't make any
                can_catch_up = known is not None and not absent
                again = "--catch-up to bring it up to the source, or " if can_catch_up else ""
                raise MigrationError(
                    "the target is not empty" + ("" if known else ", and not made by us"),
                    where=str(target),
                    details=_counts(found) + [f"{name}: not there" for name in absent if known],
                    next=f"run again with {again}--replace --keep-dump DIR, which replaces these"
                    " tables after keeping a dump",
                )
            else:
                _no_findings(report)
                journey.load(replace=bool(full))
            _keep_snapshot(options, report, directory)


def open_(options: Options, events: Events, report: Report) -> None:
    """Tell the target that the app lives on it: it becomes writable, and is never reloaded."""
    from migrate_db import state

    with _target(options, report) as target:
        assert target is not None
        if state.read(target) is None:
            raise MigrationError(
                "nothing was migrated to this database",
                where=str(target),
                next="migrate first: migrate_db run",
            )
        report.changed = state.open_(target)
    report.verdict, report.exit_code = "opened", Exit.DONE


def status(options: Options, events: Events, report: Report) -> None:
    """What the target knows of its migration; changes nothing."""
    from migrate_db import state

    with _target(options, report) as target:
        assert target is not None
        known = state.read(target)
    report.state = None if known is None else asdict(known)
    report.verdict = "unknown" if known is None else "live" if known.opened_at else "loaded"
    report.exit_code = Exit.DONE


@dataclass
class _Journey:
    """One run's way into the target."""

    options: Options
    events: Events
    report: Report
    snapshot: sqlite3.Connection
    target: Target
    plan: Plan

    def is_equal(self) -> bool:
        from migrate_db.proof import prove

        if not all(table.exists for table in self.plan.tables):
            return False
        with self.events.phase("compare") as phase, self.target.one_moment():
            self.report.proof = prove(self.snapshot, self.target, self.plan, self.events.progress)
            holds = self.report.proof.holds
            phase.note = "the target holds every row already" if holds else "the target differs"
        return holds

    def record(self) -> None:
        from migrate_db import state

        with self.target.connection.transaction():
            state.record_load(
                self.target,
                str(self.options.source),
                str(self.report.source["sha256"]),
                self.options.hold,
            )

    def load(self, replace: bool) -> None:
        from migrate_db import ddl, dump, load, sequences, sql
        from migrate_db.proof import prove

        if replace:
            with self.events.phase("keep") as phase:
                kept = dump.keep(
                    self.target,
                    self.options.target,
                    self.options.keep_dump,
                    list(self.options.server_tools),
                )
                self.report.kept_dump = phase.note = str(kept)
        statements = ddl.make(self.plan, self.target.schema)
        self.report.uncarried += statements.uncarried
        with self._all_or_nothing():
            old = [
                sql.qualified(self.target.schema, t.target) for t in self.plan.tables if t.exists
            ]
            if old:
                self.target.execute(f"LOCK TABLE {', '.join(old)} IN ACCESS EXCLUSIVE MODE")
            if replace:
                self.target.execute(f"TRUNCATE {', '.join(old)}")
            for statement in statements.tables:
                self.target.execute(statement.sql)
            with load.undisturbed(self.target, self.plan):
                with self.events.phase("load") as phase:
                    for table, told in zip(self.plan.tables, self.report.tables, strict=True):
                        self._load_table(table, told)
                    rows = sum(table.loaded_rows for table in self.report.tables)
                    phase.note = f"{rows:,} rows in {len(self.report.tables)} tables"
                with self.events.phase("index") as phase:
                    made = [
                        s for s in (*statements.keys, *statements.foreign_keys) if self._make(s)
                    ]
                    phase.note = _kinds([statement.kind for statement in made])
            with self.events.phase("sequences") as phase:
                sequences.advance(self.target, self.plan)
                for table in self.plan.tables:
                    self.target.execute(
                        f"ANALYZE {sql.qualified(self.target.schema, table.target)}"
                    )
                phase.note = "numbering goes on, statistics are fresh"
            with self.events.phase("prove") as phase:
                self.report.proof = prove(
                    self.snapshot, self.target, self.plan, self.events.progress
                )
                phase.note = _proved(self.report)
            self._demand_proof()
        self._arrived("rehearsed" if self.options.rehearse else "migrated")

    def catch_up(self) -> None:
        from migrate_db import catch_up, sequences
        from migrate_db.proof import prove

        with self._all_or_nothing():
            with self.events.phase("catch up") as phase:
                done = catch_up.apply(self.snapshot, self.target, self.plan, self.events.progress)
                sequences.advance(self.target, self.plan)
                self.report.caught_up = done
                rows = sum(d.added + d.changed + d.removed for d in done)
                phase.note = f"{rows:,} rows brought up to the source"
            with self.events.phase("prove") as phase:
                self.report.proof = prove(
                    self.snapshot, self.target, self.plan, self.events.progress
                )
                phase.note = _proved(self.report)
            self._demand_proof()
        self._arrived("rehearsed" if self.options.rehearse else "caught up")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """One transaction: whatever happens inside, the target is as before."""
        import psycopg

        committing = False
        try:
            with self.target.connection.transaction(force_rollback=self.options.rehearse):
                yield
                if not self.options.rehearse:
                    self.record()
                committing = not self.options.rehearse
        except psycopg.Error as error:
            raise _server_said(error, str(self.target), committing) from None
        except KeyboardInterrupt:
            if not committing:
                raise
            raise _unknown(str(self.target), ["interrupted"]) from None
        self.report.changed = not self.options.rehearse

    def _load_table(self, table: TablePlan, told: TableReport) -> None:
        from migrate_db import load

        begun = time.monotonic()
        told.loaded_rows, told.loaded_bytes = load.copy_rows(
            self.snapshot,
            self.target,
            table,
            lambda rows, size: self.events.progress(table.table.name, rows, table.rows, size),
        )
        told.seconds = round(time.monotonic() - begun, 3)

    def _make(self, statement: ddl.Statement) -> bool:
        """Run one DDL statement; an optional one that fails is reported as not carried."""
        import psycopg

        if not statement.optional:
            self.target.execute(statement.sql)
            return True
        try:
            with self.target.connection.transaction():
                self.target.execute(statement.sql)
        except psycopg.Error as error:
            if not _is_about_the_statement(error):
                raise
            reason = (error.diag.message_primary or str(error)).strip()
            self.report.uncarried.append(
                schema.Uncarried(statement.kind, statement.name, f"PostgreSQL says: {reason}")
            )
            return False
        return True

    def _demand_proof(self) -> None:
        if self.report.proof is None or not self.report.proof.holds:
            raise MigrationError(
                "what arrived is not equal to the source; all of it was taken back",
                where=str(self.target),
                details=self.report.proof.failures[:20] if self.report.proof else [],
                next="nothing was changed; please report this with the lines above",
                code=Exit.REFUSED,
            )

    def _arrived(self, verdict: str) -> None:
        """Look once more, from another connection, at what everybody sees now."""
        if verdict != "rehearsed":
            with self.events.phase("publish") as phase:
                self._count_again()
                phase.note = "visible to everybody, counted from another connection"
        self.report.verdict, self.report.exit_code = verdict, Exit.DONE

    def _count_again(self) -> None:
        import psycopg

        from migrate_db import sql
        from migrate_db.target import connect

        try:
            other = connect(self.options.target, self.target.schema)
            try:
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
            told = error if isinstance(error, MigrationError) else _server_said(
                error, str(self.target), committing=False
            )  # fmt: skip
            raise MigrationError(
                "everything was loaded and proved, but a last look failed: " + told.what,
                where=told.where,
                details=told.details,
                next="see whether it is all there: migrate_db verify",
                code=Exit.CHANGED,
            ) from None


@contextmanager
def _workspace(parent: Path) -> Iterator[Path]:
    """A private directory; what killed runs left is removed, what live ones use is not."""
    try:
        for old in parent.glob("migrate_db-*"):
            _remove_if_dead(old)
        directory = Path(tempfile.mkdtemp(prefix="migrate_db-", dir=parent))
        held = _lock(directory)
    except OSError as error:
        raise MigrationError(
            f"the working directory can't be used: {error.strerror}",
            where=str(parent),
            next="pass another one with --work-dir",
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


def _remove_if_dead(directory: Path) -> None:
    """Everybody may write to /var/tmp: only a directory of our own is touched."""
    try:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        # a live run made it this very moment, and is about to lock it
        if not (directory / "lock").exists() and time.time() - status.st_mtime < _NEWBORN:
            return
        held = _lock(directory)
    except OSError:
        return
    shutil.rmtree(directory, ignore_errors=True)
    os.close(held)


def _lock(directory: Path) -> int:
    held = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


@contextmanager
def _target(options: Options, report: Report) -> Iterator[Target | None]:
    if not options.target:
        yield None
        return
    from migrate_db.target import connect

    target = connect(options.target, options.schema)
    report.target = {
        "host": target.host,
        "port": target.port,
        "database": target.database,
        "user": target.user,
        "schema": target.schema,
        "server_version": target.server_version,
    }
    try:
        yield target
    finally:
        target.connection.close()


@contextmanager
def _snapshot(
    options: Options, events: Events, report: Report, directory: Path
) -> Iterator[sqlite3.Connection]:
    with events.phase("snapshot") as phase:
        taken = source.take_snapshot(options.source, directory)
        report.source = _described(taken)
        phase.note = f"{taken.size / 1e6:,.1f} MB, sha256 {taken.sha256[:12]}…"
        if taken.wal != "none":
            phase.note += ", with what was still in its -wal" if taken.wal == "read" else (
                ", recovered from what a crash had left beside it"
            )  # fmt: skip
    with events.phase("integrity") as phase:
        source.check_integrity(taken)
        phase.note = "every page is sound"
    connection = source.open_snapshot(taken)
    try:
        functions.register(connection)
        yield connection
    finally:
        connection.close()


def _described(taken: Snapshot) -> dict[str, object]:
    return {
        "path": str(taken.source),
        "bytes": taken.size,
        "sha256": taken.sha256,
        "wal": taken.wal,
    }


def _plan(
    connection: sqlite3.Connection, target: Target | None, events: Events, report: Report
) -> Plan:
    with events.phase("plan") as phase:
        read = schema.read(connection)
        if not read.tables:
            raise MigrationError(
                "the source has no tables",
                where=str(report.source.get("path", "")),
                next="pass the file the app uses with --source",
            )
        existing: dict[str, TargetTable] = {}
        if target is not None:
            from migrate_db.target import tables

            existing = tables(target, {plan.target_name(t.name) for t in read.tables})
        found = plan.make(connection, read, existing)
        report.tables = [
            TableReport(
                table.table.name,
                table.target,
                table.rows,
                {column.target: column.codec.type for column in table.columns},
            )
            for table in found.tables
        ]
        report.notes += found.notes
        report.findings += found.findings
        report.uncarried += found.uncarried
        order = " -> ".join(table.table.name for table in found.tables[:8])
        more = f" and {len(found.tables) - 8} more" if len(found.tables) > 8 else ""
        rows = sum(table.rows for table in found.tables)
        phase.note = f"{rows:,} rows scanned; {order}{more}"
    return found


def _keep_snapshot(options: Options, report: Report, directory: Path) -> None:
    """Put the snapshot that was proved where the operator wants it, read-only."""
    if options.keep_snapshot is None or options.rehearse:
        return
    taken = directory / "snapshot.db"
    taken.chmod(0o400)
    try:
        shutil.move(taken, options.keep_snapshot)
    except OSError as error:
        raise MigrationError(
            f"the snapshot can't be kept: {error.strerror}",
            where=str(options.keep_snapshot),
            next="the data arrived and is proved; run again with another --keep-snapshot",
            code=Exit.CHANGED,
        ) from None
    report.kept_snapshot = str(options.keep_snapshot)


def _judge(report: Report) -> None:
    clean = not report.findings
    report.verdict = "ready" if clean else "refused"
    report.exit_code = Exit.DONE if clean else Exit.REFUSED


def _no_findings(report: Report) -> None:
    if report.findings:
        raise MigrationError(
            f"{len(report.findings)} values or objects can't be carried as they are",
            where=str(report.source.get("path", "")),
            next="resolve what is listed above, then run again; nothing was changed",
        )


def _room(options: Options) -> None:
    if options.target_disk is None:
        return
    source.examine(options.source)
    size = options.source.stat().st_size
    need = int(size * _TARGET_SHARE)
    if options.target_disk.stat().st_dev == options.work_dir.stat().st_dev:
        need += size  # the snapshot lies on the same disk
    free = shutil.disk_usage(options.target_disk).free
    if free < need:
        raise MigrationError(
            f"the disk is too small: {need / 1e6:,.0f} MB needed for snapshot and load,"
            f" {free / 1e6:,.0f} MB free",
            where=str(options.target_disk),
            next=f"free some space: du -xh {options.target_disk} | sort -h | tail",
        )


def _counts(found: Plan) -> list[str]:
    return [f"{t.target}: {t.target_rows:,} rows" for t in found.tables if t.target_rows]


def _proved(report: Report) -> str:
    if report.proof is None or not report.proof.holds:
        return "NOT EQUAL"
    rows = sum(table.equal for table in report.proof.tables)
    return f"{rows:,} rows read back, every value equal"


def _kinds(kinds: list[str]) -> str:
    plural = {"index": "indexes", "primary key": "primary keys", "foreign key": "foreign keys"}
    counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return ", ".join(
        f"{count} {kind if count == 1 else plural.get(kind, kind + 's')}"
        for kind, count in counted.items()
    )


def _is_about_the_statement(error: Exception) -> bool:
    """Whether another try would fail the same way: not so with a full disk or a lost server."""
    state = getattr(error, "sqlstate", None) or ""
    # 23503: rows without a parent are never left behind in silence
    return bool(state) and state[:2] in ("0A", "22", "23", "42", "54") and state != "23503"


def explained(error: Exception, place: str) -> MigrationError | None:
    """A failure that needs no traceback, as one screen; None for a mistake of ours."""
    if isinstance(error, MigrationError):
        return error
    if isinstance(error, OSError):
        return MigrationError(
            f"a file can't be used: {error.strerror or error}",
            where=str(error.filename or ""),
            next="see that it exists, may be used, and that the disk isn't full; then run again",
        )
    if isinstance(error, sqlite3.Error):
        return MigrationError(
            f"SQLite can't go on: {error}",
            where="the snapshot of the source",
            next="see that --work-dir has room and that the file is sound; then run again",
        )
    psycopg = sys.modules.get("psycopg")  # a preview on a bare host runs without it
    if psycopg is not None and isinstance(error, psycopg.Error):
        return _server_said(error, place, committing=False)
    return None


def _unknown(place: str, details: list[str]) -> MigrationError:
    return MigrationError(
        "the connection was lost while the last step was being published",
        where=place,
        details=details,
        next="run the same command again: it says whether everything arrived",
        code=Exit.CHANGED,
    )


def _server_said(error: Exception, place: str, committing: bool) -> MigrationError:
    """A PostgreSQL error as one screen."""
    diagnosis = getattr(error, "diag", None)
    text = (getattr(diagnosis, "message_primary", None) or str(error)).strip()
    details = [text, *filter(None, [getattr(diagnosis, "message_detail", None)])]
    state = getattr(error, "sqlstate", None) or ""
    if committing and not state:
        return _unknown(place, details)
    advice = "run the same command again; nothing was changed"
    what = "PostgreSQL refused"
    if state in ("53100", "53200"):
        what = (
            "PostgreSQL has no disk space left"
            if state == "53100"
            else "PostgreSQL has no memory left"
        )
        advice = "free some space on the server, then run again; nothing was changed"
    elif state == "55P03":
        what = "somebody is using the tables"
        advice = "stop the app that is connected to the target, then run again"
    elif not state or state.startswith("57P"):
        what = "the connection to PostgreSQL was lost"
    return MigrationError(what, where=place, details=details, next=advice)
