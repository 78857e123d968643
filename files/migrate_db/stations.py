"""The stations that every command passes, each with its line in the report."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from migrate_db import meaning, plan, schema, source
from migrate_db.errors import Exit, MigrationError
from migrate_db.events import Events
from migrate_db.options import Options
from migrate_db.plan import Plan
from migrate_db.report import Report, TableReport
from migrate_db.source import Snapshot

if TYPE_CHECKING:  # a preview on a bare host reads the source without psycopg
    from migrate_db.target import Target, TargetTable

#: What a target needs, as a multiple of the SQLite file: rows, indexes, WAL.
_TARGET_SHARE = 2.5


@contextmanager
def target(options: Options, report: Report) -> Iterator[Target | None]:
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
def snapshot(
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


def planned(
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
        found = meaning.decide(plan.make(connection, read, existing))
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


def demand_room(options: Options) -> None:
    if options.target_disk is None:
        return
    source.examine(options.source)
    size = options.source.stat().st_size
    need = int(size * _TARGET_SHARE)
    # a directory that nobody has made yet will lie on the disk of the one above it
    above = (options.target_disk, *options.target_disk.absolute().parents)
    disk = next(directory for directory in above if directory.exists())
    if disk.stat().st_dev == options.work_dir.stat().st_dev:
        need += size  # the snapshot lies on the same disk
    free = shutil.disk_usage(disk).free
    if free < need:
        raise MigrationError(
            f"the disk is too small: {need / 1e6:,.0f} MB needed for snapshot and load,"
            f" {free / 1e6:,.0f} MB free",
            where=str(options.target_disk),
            next=f"free some space: du -xh {disk} | sort -h | tail",
        )


def keep_snapshot(options: Options, report: Report, directory: Path) -> None:
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


def judge(report: Report) -> None:
    clean = not report.findings
    report.verdict = "ready" if clean else "refused"
    report.exit_code = Exit.DONE if clean else Exit.REFUSED


def demand_no_findings(report: Report) -> None:
    if report.findings:
        raise MigrationError(
            f"{len(report.findings)} values or objects can't be carried as they are",
            where=str(report.source.get("path", "")),
            next="resolve what is listed above, then run again; nothing was changed",
        )


def proved(report: Report) -> str:
    if report.proof is None or not report.proof.holds:
        return "NOT EQUAL"
    rows = sum(table.equal for table in report.proof.tables)
    return f"{rows:,} rows read back, every value equal"
