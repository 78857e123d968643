"""The commands: stations put in a row. No logic about values lives here."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from migrate_db import stations
from migrate_db.errors import Exit, MigrationError, Misassumed
from migrate_db.events import Events
from migrate_db.failures import or_unknown
from migrate_db.options import Options
from migrate_db.postgresql import activity, sessions, state
from migrate_db.postgresql.state import State
from migrate_db.postgresql.target import lock
from migrate_db.report import Report
from migrate_db.sqlite import source
from migrate_db.workspace import workspace

if TYPE_CHECKING:
    from migrate_db.journey import Journey
    from migrate_db.rows.proof import Proof
    from migrate_db.structure.ddl import Ddl


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
    from migrate_db.postgresql.names import fitting
    from migrate_db.postgresql.target import relation_names
    from migrate_db.structure import catalogue, ddl

    stations.demand_room(options)
    with (
        workspace(options.work_dir) as directory,
        stations.target(options, report) if options.target else nullcontext() as target,
    ):
        with stations.snapshot(options, events, report, directory) as copy:
            found = stations.planned(options, copy, target, events, report, directory)
            taken = relation_names(target) if target else set()
            ours = catalogue.recorded_views(target) & taken if target else set()
            statements = ddl.make(found, options.schema, taken - ours)
    statements.views = [view for view in statements.views if view.name not in ours]
    report.uncarried += [
        lack
        for lack in statements.uncarried
        if not (lack.kind == "view" and fitting(lack.name) in ours)
    ]
    report.notes += statements.notes
    return statements


def verify(options: Options, events: Events, report: Report) -> None:
    """Compare both sides, row by row, and change nothing."""
    from migrate_db.rows import difference_file
    from migrate_db.rows.proof import prove
    from migrate_db.structure import catalogue, lacking

    with workspace(options.work_dir) as directory, stations.target(options, report) as target:
        with stations.snapshot(options, events, report, directory) as copy:
            known = state.read(target)
            found = stations.planned(
                options, copy, target, events, report, directory,
                remembered=known.mapping if known is not None else "", loads=False,
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
                before = catalogue.recorded(target)
                report.proof = prove(
                    copy.connection, target, found, events.progress, before, told=told
                )
                report.notes += lacking.notes(target, found)
                phase.note = stations.proved(report)
    if report.proof.holds:
        stations.conclude(report, "equal")
    else:
        report.verdict, report.exit_code = "different", Exit.DIFFERENT


def run(options: Options, events: Events, report: Report) -> None:
    """The whole road, in one transaction of the target: all of it, or nothing."""
    from migrate_db import admission
    from migrate_db.journey import Journey
    from migrate_db.postgresql.surroundings import demand_no_children

    with workspace(options.work_dir) as directory, stations.target(options, report) as target:
        lock(target)
        if options.hold:
            sessions.demand_own_login(target)
        stations.demand_room(options)
        with stations.snapshot(options, events, report, directory) as copy:
            known = state.read(target)
            found = stations.planned(
                options, copy, target, events, report, directory,
                remembered=known.mapping if known is not None else "",
                quick=known is None and not options.catch_up,
            )  # fmt: skip
            admission.demand_content(options, found, report)
            demand_no_children(target, [t.target for t in found.tables if t.exists])
            read = source.shown(options.source)
            if known is not None and known.source not in ("", read):
                report.notes.append(f"loaded from {known.source} before, and this run reads {read}")
            if known is not None and known.held and not options.hold:
                report.notes.append(
                    "the target is held, and stays so: migrate_db open lets the app write"
                )
            journey = Journey(options, events, report, copy, target, found)
            is_full = any(table.target_rows for table in found.tables)
            if (is_full or known) and not report.blocking and journey.is_equal():
                _note_equal(journey, known)
            else:
                compared, report.proof = report.proof, None
                admission.demand_nothing_lost(options, target, known, found)
                if is_full and admission.may_catch_up(options, target, known, found):
                    _catch_up(journey, compared)
                else:
                    _load(journey, directory, replace=is_full)
            stations.keep_snapshot(options, report, directory)


def _note_equal(journey: Journey, known: State | None) -> None:
    """Both sides are the same already; what the app is to rely on is recorded all the same."""
    from migrate_db.structure import lacking

    options, report, target = journey.options, journey.report, journey.target
    stations.conclude(report, "equal" if options.catch_up else "already migrated")
    report.notes += lacking.notes(target, journey.plan)
    asked = options.hold or options.keep_snapshot is not None
    if known is not None and known.opened_at is not None:
        if asked:
            raise MigrationError(
                f"the app lives on this database since {known.opened_at}: a run doesn't hold it, and the file"
                " that leads back is the one that was kept when it moved",
                where=str(target),
                next="without --hold and --keep-snapshot it compares; what stops the app's writing: migrate_db close",
            )
        return
    # all is of one moment now
    mixed = known is not None and len({part.sha256 for part in known.parts.values()}) > 1
    other = known is not None and options.mapping and journey.remembered(known) != known.mapping
    if (asked or mixed or other) and not options.rehearse:
        with or_unknown(str(target)):
            journey.record()
    if options.hold and not options.rehearse and not (known is not None and known.held):
        sessions.end_older(target)
        if not journey.is_equal():
            raise MigrationError(
                "somebody wrote to the target while it was compared; it is held now",
                where=str(target),
                details=report.proof.failures[:20] if report.proof is not None else [],
                next="see what: migrate_db verify --rows FILE; then run again",
                code=Exit.CHANGED,
            )


def _catch_up(journey: Journey, compared: Proof | None) -> None:
    """Bring up to the source what an earlier run has loaded.

    Args:
        compared: the comparison just before, if there was one.
    """
    stations.demand_no_findings(journey.report)
    journey.catch_up({t.table for t in compared.tables if not t.holds} if compared else None)


def _load(journey: Journey, directory: Path, replace: bool) -> None:
    """Load everything; once more with every value read before, if something was not as declared.

    Args:
        directory: where the snapshot lies.
        replace: what is there goes.
    """
    from migrate_db.journey import Journey

    options, events, report = journey.options, journey.events, journey.report
    stations.demand_no_findings(report)
    try:
        journey.load(replace)
    except Misassumed:
        again = stations.planned(options, journey.copy, journey.target, events, report, directory)
        stations.demand_no_findings(report)
        Journey(options, events, report, journey.copy, journey.target, again).load(replace=False)


def open_(options: Options, events: Events, report: Report) -> None:
    """Tell the target that the app lives on it: it becomes writable, and is never reloaded."""

    with stations.target(options, report) as target:
        lock(target)  # nobody copies what is being written
        stations.demand_migrated(target, anywhere=True)
        with or_unknown(str(target)):
            report.changed = state.open_(target)
    # a leader that dies now may have told it to nobody else
    with stations.target(options, report) as target:
        known = stations.demand_migrated(target, anywhere=True)
        if known.opened_at is None:
            raise MigrationError(
                "another server answers now, which does not know that the app may write: a failover?",
                where=str(target),
                next="run it again: migrate_db open",
                code=Exit.CHANGED,
            )
        if sessions.is_read_only(target):
            report.notes.append(
                "new sessions take no writes, by a setting that is not ours: ALTER DATABASE … RESET"
                " default_transaction_read_only (or of the role, or in postgresql.conf)"
            )
    report.verdict, report.exit_code = "opened", Exit.DONE


def close(options: Options, events: Events, report: Report) -> None:
    """The opposite: the app may only read, and nothing of it is left that could write."""

    with stations.target(options, report) as target:
        lock(target)
        stations.demand_migrated(target, anywhere=True)
        sessions.demand_own_login(target)
        with or_unknown(str(target)):
            report.changed = state.close(target)
        report.notes += [
            f"a role that is not held, as it didn't load, is connected; {connected} sessions"
            for connected in sessions.others(target)
        ] + [
            f"role {role} may write to the tables, and is not held, as it didn't load"
            for role in sessions.writers(target)
        ]
    report.verdict, report.exit_code = "closed", Exit.DONE


def reverse(options: Options, events: Events, report: Report) -> None:
    """The way back: the kept SQLite file with what PostgreSQL holds now, proved."""
    import psycopg

    from migrate_db.reversal import Way

    if options.into is not None and options.into.is_symlink():
        options = replace(options, into=options.into.resolve())
    into = None if options.check_only else options.into
    with (
        workspace(options.work_dir) as directory,
        workspace(into.parent, "--into") if into else nullcontext(directory) as beside,
        stations.target(options, report) as target,
    ):
        lock(target)
        known = stations.demand_migrated(target)
        if not options.check_only and not state.is_closed(target):
            raise MigrationError(
                "the app may still write to PostgreSQL; what it writes now would be lost",
                where=str(target),
                next="stop the app, then: migrate_db close; to look only: --check-only",
            )
        Way(options, events, report, target, known, directory, beside).go()
        if options.check_only or options.into is None or report.reversal is None:
            return
        try:
            state.note_return(target, options.into, report.reversal.sha256, not options.leave_out)
        except psycopg.Error:
            report.notes.append(
                "the target could not note that it was led back; a later run --catch-up wants --given-up"
            )
        if options.leave_out:
            report.notes.append(
                "what was left out is on PostgreSQL alone, so a later run --catch-up still wants --given-up"
            )


def status(options: Options, events: Events, report: Report) -> None:
    """What the target knows of its migration, and what was written since; changes nothing."""

    with stations.target(options, report) as target:
        known = state.read(target)
        if known is not None:
            report.activity = activity.read(target, known.opened_at or known.lived_since)
            if known.lived_since:
                report.notes.append(
                    f"the app lived here since {known.lived_since}; it may only read now"
                    + (f", and {known.returned_into} has all of it" if known.returned_at else "")
                )
    report.state = None if known is None else asdict(known)
    report.verdict = "unknown" if known is None else "live" if known.opened_at else "loaded"
    report.exit_code = Exit.DONE
