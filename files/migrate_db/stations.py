"""The stations that every command passes, each with its line in the report."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pg_tools.files import private, publish, sync

from migrate_db.codecs import foreign
from migrate_db.errors import Exit, MigrationError
from migrate_db.events import Events
from migrate_db.finding import Findings
from migrate_db.options import Options
from migrate_db.planning import converted, mapping, pairing, planner, proposal, quarantine
from migrate_db.planning.mapping import Mapping
from migrate_db.planning.plan import Plan
from migrate_db.postgresql import state
from migrate_db.postgresql.state import State
from migrate_db.postgresql.surroundings import demand_free, spelled
from migrate_db.postgresql.target import Target, TargetTable, connect, tables
from migrate_db.report import Converted, Report, TableReport
from migrate_db.sqlite import computed, schema, source
from migrate_db.sqlite.soundness import Soundness
from migrate_db.sqlite.source import Snapshot

#: What a target needs, as a multiple of the SQLite file: rows, indexes, WAL.
_TARGET_SHARE = 2.5


@dataclass(frozen=True)
class Copy:
    """The snapshot, open, and what is found out about it meanwhile."""

    connection: sqlite3.Connection
    soundness: Soundness


@contextmanager
def target(options: Options, report: Report) -> Iterator[Target]:
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


def demand_migrated(target: Target, anywhere: bool = False) -> State:
    """What the target knows of its migration, which must have been one of ours.

    Args:
        anywhere: into whichever schema of the database.
    """
    known = state.read(target)
    if known is None or not (known.source or anywhere):
        what = "this database" if known is None else f"schema {target.schema}"
        raise MigrationError(
            f"nothing was migrated to {what}",
            where=str(target),
            next="migrate first: migrate_db run",
        )
    return known


@contextmanager
def snapshot(options: Options, events: Events, report: Report, directory: Path) -> Iterator[Copy]:
    with events.phase("snapshot") as phase:
        taken = source.take_snapshot(options.source, directory)
        report.source = _described(taken)
        phase.note = f"{taken.size / 1e6:,.1f} MB"
        if taken.wal != "none":
            phase.note += ", with what was still in its -wal" if taken.wal == "read" else (
                ", recovered from what a crash had left beside it"
            )  # fmt: skip
    connection = source.open_snapshot(taken.path)
    try:
        with Soundness(taken) as soundness:
            try:
                yield Copy(connection, soundness)
            except (MigrationError, sqlite3.Error):
                soundness.demand()  # a damaged file explains whatever else went wrong
                raise
    finally:
        connection.close()


def demand_soundness(copy: Copy, events: Events, report: Report) -> None:
    """Refuse a damaged file before anything that was read from it is believed."""
    with events.phase("integrity") as phase:
        report.source["sha256"] = digest = copy.soundness.demand()
        report.notes += [f"SQLite's integrity_check: {line}" for line in copy.soundness.odd()]
        phase.note = f"every page is sound, sha256 {digest[:12]}…"


def _described(taken: Snapshot) -> dict[str, object]:
    return {
        "path": source.shown(taken.source),
        "bytes": taken.size,
        "sha256": "",
        "wal": taken.wal,
    }


def planned(
    options: Options,
    copy: Copy,
    target: Target | None,
    events: Events,
    report: Report,
    directory: Path,
    remembered: str = "",
    quick: bool = False,
    loads: bool = True,
) -> Plan:
    """Decide everything, and tell it in the report.

    Args:
        directory: where the snapshot lies.
        remembered: the mapping that the target was loaded with, if none is given.
        quick: large tables of a target without rows may be taken as they are declared.
        loads: rows that the target's own rules refuse are to be named; a comparison finds them missing.
    """
    connection = copy.connection
    with events.phase("plan") as phase:
        read = schema.read(connection)
        wishes = _wishes(options, read, remembered)
        if read.tables and all(wishes.table(table.name).exclude for table in read.tables):
            raise MigrationError(
                "every table is left out",
                where="--include, --exclude and --mapping",
                next="include some; the source has " + ", ".join(t.name for t in read.tables[:20]),
                code=Exit.USAGE,
            )
        report.notes = []
        if options.source.is_file() and options.source.stat().st_nlink > 1:
            report.notes.append(
                "the file has another name, too (a hard link): what an app that uses that one has beside it (-wal,"
                " -journal) is not read"
            )
        if remembered and options.mapping is None and wishes != Mapping():
            report.notes.append("with the mapping that the target was loaded with")
        existing: dict[str, TargetTable] = {}
        if target is not None:
            there = spelled(target, pairing.target_names(read, wishes))
            wishes = pairing.as_spelled(read, wishes, there)
            carried = tuple(t for t in read.tables if not wishes.table(t.name).exclude)
            demand_free(target, pairing.target_names(replace(read, tables=carried), wishes))
            existing = tables(target, pairing.target_names(read, wishes))
        aside = quarantine.Quarantine(connection, directory) if wishes.on_finding else None
        quick = quick and aside is None and not any(table.rows for table in existing.values())

        from migrate_db.structure import meaning  # with sqlglot, which most commands don't need

        def decide(quick: bool) -> Plan:
            report.findings = Findings(options.work_dir)
            with foreign.asking(target):
                made = planner.make(
                    connection,
                    read,
                    existing,
                    wishes,
                    report.findings,
                    aside,
                    quick,
                    target=target if loads or aside is not None else None,
                )
            return meaning.decide(made)

        found = decide(quick)
        if found.assumed and found.blocking:
            found = decide(quick=False)  # what stands in the way is told at once
        report.blocking = found.blocking
        report.converted, report.conversions = [], Findings(options.work_dir)
        _tell_conversions(connection, found, report)
        if options.write_mapping is not None:
            with events.phase("mapping") as writing, foreign.asking(target):
                writing.note = _write_mapping(options, connection, read, existing, wishes, target)
        report.tables = [
            TableReport(
                table.table.name,
                table.target,
                table.rows,
                {column.target: column.codec.type for column in table.columns},
                quarantined=aside.count(table.table) if aside is not None else 0,
            )
            for table in found.tables
        ]
        report.notes += found.notes
        report.notes += _doubts(connection, found, source.written_by(options.source))
        if is_empty(found, report):
            report.notes.append("the source has no rows at all; `run` wants that to be allowed")
        report.uncarried = list(found.uncarried)
        order = " -> ".join(table.table.name for table in found.tables[:8])
        more = f" and {len(found.tables) - 8} more" if len(found.tables) > 8 else ""
        rows = sum(table.rows for table in found.tables)
        done = "as declared; the proof will tell" if found.assumed else "scanned"
        phase.note = f"{rows:,} rows {done}; {order}{more}"
    if not found.assumed:
        demand_soundness(copy, events, report)
    if options.findings is not None:
        report.findings.write(options.findings)
    return found


def is_empty(found: Plan, report: Report) -> bool:
    """Whether the source has no row at all, not even one that stays behind."""
    return not any(table.rows for table in found.tables) and not report.quarantined_rows


def _doubts(
    connection: sqlite3.Connection, found: Plan, writer: tuple[int, int, int]
) -> Iterator[str]:
    """What the app may read otherwise, as its SQLite is another one."""
    for plan in found.tables:
        for planned in plan.columns:
            column = plan.table.column(planned.source)
            if column is not None and column.functions:
                yield from computed.doubts(
                    connection, plan.table.name, column.name, column.functions, writer
                )


def _wishes(options: Options, read: schema.Schema, remembered: str) -> Mapping:
    wishes = Mapping()
    if options.mapping is not None:
        wishes = mapping.read(options.mapping, read)
    elif remembered:
        try:
            wishes = mapping.remembered(remembered, read)
        except MigrationError:  # it was of another file
            if not options.replace:
                raise
        if options.include or options.exclude:  # other tables may come at another time
            kept = {name: replace(table, exclude="") for name, table in wishes.tables.items()}
            wishes = replace(wishes, tables=kept)
    wishes = mapping.chosen(wishes, read, list(options.include), list(options.exclude))
    if options.on_finding:
        asked = "" if options.on_finding == "refuse" else options.on_finding
        wishes = replace(wishes, on_finding=asked)
    return wishes


def _tell_conversions(connection: sqlite3.Connection, found: Plan, report: Report) -> None:
    for table in found.tables:
        for column, count, listing in converted.columns(connection, table):
            report.converted.append(Converted(table.table.name, column, count))
            for change in listing:
                report.conversions.add(change)


def _write_mapping(
    options: Options,
    connection: sqlite3.Connection,
    read: schema.Schema,
    existing: dict[str, TargetTable],
    wishes: Mapping,
    target: Target | None,
) -> str:
    assert options.write_mapping is not None

    def make(wanted: Mapping, findings: Findings) -> Plan:
        findings.directory = options.work_dir
        wanted = replace(wanted, on_finding="")
        return planner.make(connection, read, existing, wanted, findings, target=target)

    proposed = proposal.propose(connection, make, wishes)
    path, told = options.write_mapping, str(options.write_mapping)
    text = proposal.render(proposed, source.shown(Path(options.source.name)))
    there = path.read_bytes() if path.is_file() else b""
    if there and there != text.encode():  # somebody may have edited it
        names = (path.with_name(f"{path.name}.old{number or ''}") for number in itertools.count())
        former = next(name for name in names if not name.exists())
        path.replace(former)
        told += f", the former one is {former.name} now"
    publish(path, text)
    return told


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
    kept = options.keep_snapshot
    aside = kept.with_name(f"{kept.name}.partial")
    try:
        aside.unlink(missing_ok=True)
        if taken.stat().st_dev == kept.absolute().parent.stat().st_dev:
            taken.replace(aside)
        else:
            with taken.open("rb") as file, open(aside, "xb", opener=private) as made:
                shutil.copyfileobj(file, made, 1 << 20)
        aside.chmod(0o400)
        sync(aside)
        aside.replace(kept)
        sync(kept.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise MigrationError(
            f"the snapshot can't be kept: {error.strerror}",
            where=str(options.keep_snapshot),
            next="the data arrived and is proved; run again with another --keep-snapshot",
            code=Exit.CHANGED,
        ) from None
    report.kept_snapshot = str(options.keep_snapshot)


def judge(report: Report) -> None:
    if report.blocking:
        report.verdict, report.exit_code = "refused", Exit.REFUSED
    else:
        conclude(report, "ready")


def conclude(report: Report, verdict: str) -> None:
    """It went well; rows that stay behind are said in verdict and exit code."""
    rows = report.quarantined_rows
    report.verdict = verdict + (f", {rows:,} rows quarantined" if rows else "")
    report.exit_code = Exit.DIFFERENT if rows else Exit.DONE


def keep_quarantined(
    options: Options, report: Report, found: Plan, connection: sqlite3.Connection
) -> Path | None:
    """Write the rows that stay behind to a file of the operator's, before anything is published."""
    if found.quarantine is None or not report.quarantined_rows or options.rehearse:
        return None
    beside = options.report.parent if options.report is not None else None
    path = options.quarantine_file or quarantine.default_path(options.source, beside)
    found.quarantine.write(found.schema.tables, source.path_of(connection), path)
    report.quarantine_file = str(path)
    return path


def demand_no_findings(report: Report) -> None:
    if report.blocking:
        by_hand = report.findings.by_hand
        advice = "resolve what is listed above, or let `migrate_db plan --write-mapping FILE` propose how"
        if by_hand:
            advice += ", but for those that no mapping helps with"
        if by_hand == report.blocking:
            advice = "change the target as it is said above, which no mapping can do"
        raise MigrationError(
            f"{report.blocking:,} values or objects can't be carried as they are",
            where=str(report.source.get("path", "")),
            next=f"{advice}, then run again; nothing was changed",
        )


def proved(report: Report) -> str:
    if report.proof is None or not report.proof.holds:
        return "NOT EQUAL"
    rows = sum(table.equal for table in report.proof.tables)
    return f"{rows:,} rows read back, every value equal"
