"""The commands: stations put in a row. No logic about values lives here."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from migrate_db import stations
from migrate_db.errors import Exit, MigrationError, Misassumed
from migrate_db.events import Events
from migrate_db.failures import or_unknown
from migrate_db.journey import Journey
from migrate_db.options import Options
from migrate_db.plan import Plan
from migrate_db.report import Report
from migrate_db.workspace import workspace

if TYPE_CHECKING:
    from migrate_db.ddl import Ddl


def check(options: Options, events: Events, report: Report) -> None:
    """Read everything, change nothing, name everything that stands in the way."""
    _look(options, events, report)
    stations.judge(report)


def plan_(options: Options, events: Events, report: Report) -> None:
    """Like ``check``, and show the DDL of what would be made."""
    statements = _look(options, events, report)
    report.ddl = [
        statement.sql + ";"
        for statement in (*statements.tables, *statements.keys, *statements.foreign_keys)
    ] + [view.create(options.schema) + ";" for view in statements.views]
    stations.judge(report)


def _look(options: Options, events: Events, report: Report) -> Ddl:
    from migrate_db import ddl
    from migrate_db.target import relation_names

    stations.demand_room(options)
    with workspace(options.work_dir) as directory, stations.target(options, report) as target:
        with stations.snapshot(options, events, report, directory) as copy:
            found = stations.planned(options, copy, target, events, report, directory)
            statements = ddl.make(found, options.schema, relation_names(target) if target else ())
    report.uncarried += statements.uncarried
    report.notes += statements.notes
    return statements


def verify(options: Options, events: Events, report: Report) -> None:
    """Compare both sides, row by row, and change nothing."""
    from migrate_db import difference_file, lacking, state, structure
    from migrate_db.proof import prove

    with workspace(options.work_dir) as directory, stations.target(options, report) as target:
        assert target is not None
        with stations.snapshot(options, events, report, directory) as copy:
            known = state.read(target)
            found = stations.planned(
                options, copy, target, events, report, directory,
                remembered=known.mapping if known is not None else "",
            )  # fmt: skip
            absent = [table.target for table in found.tables if not table.exists]
            if absent or (known is None and not found.tables):
                lacks_what = f"table {', '.join(absent)}" if absent else "migration of such a file"
                raise MigrationError(
                    f"the target has no {lacks_what}",
                    where=str(target),
                    next="migrate first: migrate_db run",
                    code=Exit.DIFFERENT,
                )
            if report.blocking:
                raise MigrationError(
                    f"{report.blocking:,} values or objects of the source can't be in the"
                    " target as it is, so the sides can't be equal",
                    where=str(target),
                    next="see what is listed above; nothing else was compared",
                    code=Exit.DIFFERENT,
                )
            with (
                events.phase("prove") as phase,
                target.one_moment(),
                difference_file.written(options.rows) as told,
            ):
                before = structure.recorded(target)
                report.proof = prove(
                    copy.connection, target, found, events.progress, before, told=told
                )
                lacks = lacking.find(target, found)
                report.notes += [lacking.told(lack) for _, lack in lacks]
                report.notes += structure.of_another_source(found, before)
                phase.note = stations.proved(report)
    if report.proof.holds:
        stations.conclude(report, "equal")
    else:
        report.verdict, report.exit_code = "different", Exit.DIFFERENT


def run(options: Options, events: Events, report: Report) -> None:
    """The whole road, in one transaction of the target: all of it, or nothing."""
    from migrate_db import lacking, state
    from migrate_db.surroundings import demand_no_children
    from migrate_db.target import lock

    with workspace(options.work_dir) as directory, stations.target(options, report) as target:
        assert target is not None
        lock(target)
        if options.hold:
            state.demand_own_login(target)
        stations.demand_room(options)
        with stations.snapshot(options, events, report, directory) as copy:
            known = state.read(target)
            found = stations.planned(
                options, copy, target, events, report, directory,
                remembered=known.mapping if known is not None and not options.replace else "",
                quick=known is None and not options.catch_up,
            )  # fmt: skip
            allowed = options.allow_empty or found.mapping.allow_empty
            if stations.is_empty(found, report) and not allowed:
                what = "rows" if found.tables else "tables"
                raise MigrationError(
                    f"the source has no {what} at all; is it the right file?",
                    where=str(options.source),
                    next="if it is, pass --allow-empty, or a mapping that says `allow_empty: true`",
                )
            demand_no_children(target, [t.target for t in found.tables if t.exists])
            ours = known is not None and bool(known.source)
            full = [table for table in found.tables if table.target_rows]
            journey = Journey(options, events, report, copy, target, found)
            if (full or known) and not report.blocking and journey.is_equal():
                verdict = "equal" if options.catch_up else "already migrated"
                stations.conclude(report, verdict)
                if not ours:  # somebody else made and filled it
                    lacks = lacking.find(target, found, loading=True)
                    report.notes += [lacking.told(lack) for _, lack in lacks]
                kept = not options.rehearse and (options.hold or options.keep_snapshot is not None)
                if kept and (known is None or known.opened_at is None):
                    with or_unknown(str(target)):
                        journey.record(held=known is not None and known.held)
                stations.keep_snapshot(options, report, directory)
                return
            if known is not None and not found.tables:
                raise MigrationError(
                    "the source has no tables, and the target was loaded with some",
                    where=str(options.source),
                    next="pass the file the app uses with --source",
                )
            unequal = (
                {t.table for t in report.proof.tables if not t.holds} if report.proof else None
            )
            report.proof = None
            if known is not None and known.opened_at is not None and not options.replace:
                raise MigrationError(
                    f"the app lives on this database since {known.opened_at};"
                    " loading the source again would destroy what it wrote",
                    where=str(target),
                    details=_counts(found),
                    next="nothing is to be migrated; if the app is back on SQLite for good, run again with"
                    " --replace --keep-dump DIR, which keeps a dump of what is there",
                )
            given_up = options.given_up or options.replace or (known and known.returned_at)
            if known is not None and known.lived_since and not given_up:
                raise MigrationError(
                    f"the app lived on this database since {known.lived_since}; what it wrote there would be lost",
                    where=str(target),
                    details=_counts(found),
                    next="lead it back first: migrate_db reverse; or, if it is in the source already, or given up:"
                    " --given-up; or --replace --keep-dump DIR, which keeps a dump of what is there",
                )
            absent = [table.target for table in found.tables if not table.exists]
            if full and options.catch_up and ours and not absent:
                stations.demand_no_findings(report)
                journey.catch_up(unequal)
            elif full and not options.replace:
                # catching up fills tables, it doesn't make any
                can_catch_up = ours and not absent
                again = "--catch-up to bring it up to the source, or " if can_catch_up else ""
                raise MigrationError(
                    "the target is not empty" + ("" if ours else ", and not made by us"),
                    where=str(target),
                    details=_counts(found) + [f"{name}: not there" for name in absent if ours],
                    next=f"run again with {again}--replace --keep-dump DIR, which replaces these"
                    " tables after keeping a dump",
                )
            else:
                stations.demand_no_findings(report)
                try:
                    journey.load(replace=bool(full))
                except Misassumed:
                    found = stations.planned(options, copy, target, events, report, directory)
                    stations.demand_no_findings(report)
                    Journey(options, events, report, copy, target, found).load(replace=False)
            stations.keep_snapshot(options, report, directory)


def open_(options: Options, events: Events, report: Report) -> None:
    """Tell the target that the app lives on it: it becomes writable, and is never reloaded."""
    from migrate_db import state
    from migrate_db.target import lock

    with stations.target(options, report) as target:
        assert target is not None
        lock(target)  # nobody copies what is being written
        stations.demand_migrated(target, anywhere=True)
        with or_unknown(str(target)):
            report.changed = state.open_(target)
    # a leader that dies now may have told it to nobody else
    with stations.target(options, report) as target:
        assert target is not None
        known = stations.demand_migrated(target, anywhere=True)
        if known.opened_at is None:
            raise MigrationError(
                "another server answers now, which does not know that the app may write: a failover?",
                where=str(target),
                next="run it again: migrate_db open",
                code=Exit.CHANGED,
            )
        if state.is_read_only(target):
            report.notes.append(
                "new sessions take no writes, by a setting that is not ours: ALTER DATABASE … RESET"
                " default_transaction_read_only (or of the role, or in postgresql.conf)"
            )
    report.verdict, report.exit_code = "opened", Exit.DONE


def close(options: Options, events: Events, report: Report) -> None:
    """The opposite: the app may only read, and nothing of it is left that could write."""
    from migrate_db import state
    from migrate_db.target import lock

    with stations.target(options, report) as target:
        assert target is not None
        lock(target)
        stations.demand_migrated(target, anywhere=True)
        state.demand_own_login(target)
        with or_unknown(str(target)):
            report.changed = state.close(target)
        report.notes += [
            f"a role that is not held, as it didn't load, is connected; {sessions} sessions"
            for sessions in state.others(target)
        ] + [
            f"role {role} may write to the tables, and is not held, as it didn't load"
            for role in state.writers(target)
        ]
    report.verdict, report.exit_code = "closed", Exit.DONE


def reverse(options: Options, events: Events, report: Report) -> None:
    """The way back: the kept SQLite file with what PostgreSQL holds now, proved."""
    import psycopg

    from migrate_db import state
    from migrate_db.reversal import Way
    from migrate_db.target import lock

    if options.into is not None and options.into.is_symlink():
        options = replace(options, into=options.into.resolve())
    into = None if options.check_only else options.into
    with (
        workspace(options.work_dir) as directory,
        workspace(into.parent, "--into") if into else nullcontext(directory) as beside,
        stations.target(options, report) as target,
    ):
        assert target is not None
        lock(target)
        known = stations.demand_migrated(target)
        if not options.check_only and not state.is_closed(target):
            raise MigrationError(
                "the app may still write to PostgreSQL; what it writes now would be lost",
                where=str(target),
                next="stop the app, then: migrate_db close; to look only: --check-only",
            )
        Way(options, events, report, target, known, directory, beside).go()
        if not options.check_only:
            try:
                state.note_return(target)
            except psycopg.Error:
                report.notes.append(
                    "the target could not note that it was led back; a later run --catch-up wants --given-up"
                )


def status(options: Options, events: Events, report: Report) -> None:
    """What the target knows of its migration, and what was written since; changes nothing."""
    from migrate_db import activity, state

    with stations.target(options, report) as target:
        assert target is not None
        known = state.read(target)
        if known is not None:
            report.activity = activity.read(target, known.opened_at or known.lived_since)
    report.state = None if known is None else asdict(known)
    report.verdict = "unknown" if known is None else "live" if known.opened_at else "loaded"
    report.exit_code = Exit.DONE


def _counts(found: Plan) -> list[str]:
    return [f"{t.target}: {t.target_rows:,} rows" for t in found.tables if t.target_rows]
