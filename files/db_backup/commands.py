"""The commands: stations put in a row."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pg_tools.report import Report

from db_backup import (
    backup,
    base,
    damage,
    digest,
    drill,
    emptied,
    lend,
    manifest,
    offsite,
    plain,
    recover,
    restic,
    restore,
    retention,
    server,
    status,
    store,
    wal,
)
from db_backup.errors import BackupError, Exit
from db_backup.retention import Rule
from db_backup.run import Run
from db_backup.store import Set
from db_backup.watch import free

Words = argparse.Namespace


@contextmanager
def _noted(run: Run, command: str) -> Iterator[None]:
    """With the lock, and in the history."""
    with run.store.lock():
        id_ = run.history.start(command)
        try:
            yield
        except BaseException as error:
            what = error.what if isinstance(error, BackupError) else type(error).__name__
            run.history.end(id_, False, what)
            raise
        run.history.end(id_, True, "")


def backup_(run: Run, words: Words, report: Report) -> None:
    """One set, now."""
    with _noted(run, "backup"):
        made = backup.take(run, manifest.BEFORE if words.before else manifest.REGULAR)
        report.changed = True
        _describe(report, made)
        lost = None if words.before else emptied.lost(run.store, made)
        if lost:
            raise lost
    report.done("backed up", changed=True)


def nightly(run: Run, words: Words, report: Report) -> None:
    """What a schedule runs: back up, let old sets go, send the rest elsewhere."""
    with _noted(run, "nightly"):
        made = backup.take(run)
        report.changed = True
        _describe(report, made)
        lost = emptied.lost(run.store, made)
        try:
            _prune(run, report, dry=False)
            if wal.configured(run) and base.due(run):
                _base(run, report)
            if restic.configured(run):
                _push(run, report)
        except BackupError as error:
            if lost:  # the worse news must not go under
                error.details += [f"and {lost.what}", *lost.details, lost.next]
            raise
        if lost:
            raise lost
    report.done("backed up", changed=True)


def _afterwards(what: str, error: BackupError) -> BackupError:
    """What failed once the backup was there."""
    return BackupError(
        f"the backup is there and proved, but {what}: {error.what}",
        where=error.where,
        details=error.details,
        next=error.next,
        code=Exit.CHANGED,
    )


def _push(run: Run, report: Report) -> None:
    try:
        report.data["offsite"] = offsite.push(run)
    except BackupError as error:
        raise _afterwards("not off-site", error) from None
    report.lines.append(f"off-site: {report.data['offsite']}")


def list_(run: Run, words: Words, report: Report) -> None:
    """Every set."""
    found = offsite.names(run) if words.offsite else []
    if words.offsite:
        report.data["sets"] = [name for name, _ in found]
        report.lines += [name for name, _ in found]
        report.done("listed")
        return
    sets = run.store.sets()
    bad = damage.known(run.store)
    report.data["sets"] = [
        _summary(one) | ({"damaged": bad[one.name]} if one.name in bad else {}) for one in sets
    ]
    for one in sets:
        said = _summary(one)
        report.lines.append(
            f"{one.name}  {said['bytes'] / 1e6:8,.1f} MB  {said['rows']:>10,} rows"
            f"  PostgreSQL {said['server_version']}{'' if one.is_regular else '  of before a restore'}"
            f"{'  DAMAGED: ' + bad[one.name] if one.name in bad else ''}"
            if one.manifest
            else f"{one.name}  DAMAGED: {one.problem}"
        )
    if not sets:
        report.lines.append(f"there is no backup in {run.store.directory}")
    report.done("listed")


def verify(run: Run, words: Words, report: Report) -> None:
    """Every byte of one set, or of all."""
    sets = run.store.sets() if words.set == "all" else [run.store.find(words.set)]
    if not sets:
        raise BackupError("there is no backup", where=str(run.store.directory))
    wrong = {}
    for one in sets:
        problems = damage.check(run, one)
        report.lines.append(f"{one.name}  {'; '.join(problems) or 'whole'}")
        if problems:
            wrong[one.name] = problems
    report.data.update(checked=[one.name for one in sets], damaged=wrong)
    if wrong:
        raise BackupError(
            f"{len(wrong)} of {len(sets)} sets are damaged",
            where=str(run.store.directory),
            details=[f"{name}: {'; '.join(problems)}" for name, problems in wrong.items()][:12],
            next="restore from another one; a damaged set is never deleted by itself",
            code=Exit.DIFFERENT,
        )
    report.done("whole")


def compare(run: Run, words: Words, report: Report) -> None:
    """What the live database has now, against what a set, or a manifest alone, says."""
    path = Path(words.set)
    if path.suffix == ".json":
        try:
            wanted = manifest.read(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BackupError("it is no manifest", where=str(path), details=[str(error)]) from None
    else:
        wanted = _chosen(run, words.set).needed()
    with run.session() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(f"SET LOCAL lock_timeout = '{run.options.lock_timeout}s'".encode())
        digest.lock(connection, digest.tables_of(connection))
        found = digest.take(connection)
        same_major = server.major(connection) == wanted.server_major
    # a number that was drawn and not used is nobody's data
    wanted.contents.sequences = found.sequences = []
    lines = digest.differences(wanted.contents, found, same_major)
    report.data.update(set=wanted.name, taken_at=wanted.taken_at, differences=lines)
    report.lines += lines or [f"as in {wanted.name}: {found.rows:,} rows, each compared"]
    report.done("different" if lines else "same")
    if lines:
        report.exit_code = Exit.DIFFERENT


def restore_(run: Run, words: Words, report: Report) -> None:
    """Bring a set back, or undo that."""
    # where it comes from is the URL's own database; where it goes may be another one
    source, run = run, run.of(words.into) if words.into else run
    with _noted(run, "restore"), ExitStack() as stack:
        if words.undo:
            name, away = restore.undo(run)
            report.data.update(database=name, kept=away)
            report.lines.append(
                f"{name} is what it was before the restore; what was restored is in {away}"
            )
            report.done("undone", changed=True)
            return
        if words.forget:
            gone = restore.forget(run)
            report.data["dropped"] = gone
            report.lines.append(f"dropped: {', '.join(gone) or 'nothing was kept'}")
            report.done("forgotten", changed=bool(gone))
            return
        # chosen before another one is made
        file = Path(words.set) if words.set.endswith(".sql") and not words.at else None
        chosen: Set | None = None
        if words.at:
            at = recover.moment(words.at)
            restore.demand_empty(run, words.replace, f'{run.restore} --at "{words.at}" --replace')
            chosen = stack.enter_context(recover.recovered(source, at))
            report.data["at"] = manifest.iso(at)
        elif file is not None:
            plain.read(file)
        else:
            again = run.restore + (" --offsite" if words.offsite else "")
            again += " {}" + (" --replace" if words.replace else "")
            find = offsite.fetch if words.offsite else _chosen
            chosen = find(source, words.set, again)
        if words.replace and not words.without_backup and restore.holds_tables(run):
            report.data["before"] = _before(run)
            report.lines.append(f"what was there is backed up as {report.data['before']}")
        if chosen is not None:
            done = restore.restore(run, chosen, replace=words.replace, jobs=words.jobs)
        else:
            assert file is not None
            done = restore.restore_plain(run, file, replace=words.replace)
    report.data.update(asdict(done), seconds=run.log.seconds)
    what = f"as it was at {report.data['at']}" if words.at else done.set
    report.lines.append(
        f"{done.database} is {what}: {done.rows:,} rows in {done.tables} tables, each"
        f" {'counted' if file else 'compared'}"
    )
    if done.roles_made:
        report.lines.append(f"made roles: {', '.join(done.roles_made)}")
    if done.kept:
        report.lines += [
            f"the former database is kept as {done.kept}",
            f"  back to it:  {run.restore} --undo",
            f"  drop it:     {run.restore} --forget",
        ]
    report.done("restored", changed=True)


def _before(run: Run) -> str:
    try:
        return backup.take(run, manifest.BEFORE).name
    except BackupError as error:
        raise BackupError(
            f"what is there can't be backed up before it is replaced: {error.what}",
            where=error.where,
            details=error.details,
            next=f"if it can't be mended: {run.restore} --replace --without-backup"
            " (the former database is kept under another name anyway)",
        ) from None


def base_(run: Run, words: Words, report: Report) -> None:
    """What recovery to a point in time begins with."""
    with _noted(run, "base"):
        _base(run, report)
    report.done("backed up", changed=True)


def _base(run: Run, report: Report) -> None:
    try:
        made = base.take(run)
    except BackupError as error:
        if not report.changed:
            raise
        raise _afterwards("no base backup", error) from None
    report.data["base"] = made.name
    report.data["bases_removed"] = base.prune(run)
    report.lines.append(f"{made.name}: every moment from {made.ended} on can be recovered")


def receive(run: Run, words: Words, report: Report) -> None:
    """Until it is ended: what a service runs."""
    if words.stop:
        report.done("stopped", changed=wal.stop(run))
        return
    wal.receive(run)


def drill_(run: Run, words: Words, report: Report) -> None:
    """Try the newest set, or another one."""
    with _noted(run, "drill"):
        done = drill.drill(run, _chosen(run, words.set, "db_backup drill {}"))
        if restic.configured(run) and words.set == "latest":
            offsite.check(run)
    report.data.update(asdict(done), seconds=run.log.seconds)
    report.lines += [
        f"{done.set}: {done.rows:,} rows in {done.tables} tables restored and equal",
        f"RPO {_duration(done.rpo)}: what would be lost if the server died now",
        f"RTO {_duration(done.rto)}: from the decision to a proved database",
    ]
    report.done("drilled")


def with_(run: Run, words: Words, report: Report) -> None:
    """Run a command on a set that is restored aside; its exit code is ours."""
    with _noted(run, "with"):
        chosen = _chosen(run, words.set, "db_backup with {} -- COMMAND")
        code = lend.lend(run, chosen, words.words)
    report.done(f"exit code {code}")
    report.data.update(set=chosen.name, code=code)
    report.exit_code = code


def prune(run: Run, words: Words, report: Report) -> None:
    """Let sets go that newer proved ones outlive."""
    if words.dry_run:
        _prune(run, report, dry=True)
        report.done("would prune")
        return
    with _noted(run, "prune"):
        _prune(run, report, dry=False)
    report.done("pruned", changed=bool(report.data["removed"]))


def status_(run: Run, words: Words, report: Report) -> None:
    """One line a limit."""
    found = status.limits(run)
    report.data["limits"] = [asdict(limit) for limit in found]
    report.lines += [
        f"{'ok ' if limit.ok else 'BAD'}  {limit.name:<14} {limit.text}" for limit in found
    ]
    if words.metrics_file:
        status.write_metrics(run)
    if all(limit.ok for limit in found):
        report.done("fine")
    else:
        report.verdict = "not fine"


def offsite_(run: Run, words: Words, report: Report) -> None:
    """The copy elsewhere by hand: push, check, list, fetch."""
    if words.what == "list":
        words.offsite = True
        list_(run, words, report)
        return
    with _noted(run, f"offsite {words.what}"):
        if words.what == "push":
            report.data["offsite"] = offsite.push(run, words.begin_anew)
        elif words.what == "check":
            offsite.check(run)
        else:
            report.data["offsite"] = offsite.fetch(
                run, words.set, "db_backup offsite fetch {}"
            ).name
    report.lines.append(f"off-site {words.what}: {report.data.get('offsite', 'whole')}")
    report.done(f"off-site {words.what}", changed=words.what != "check")


def test_alarm(run: Run, words: Words, report: Report) -> None:
    """Let every alarm ring once, so that nobody waits for one that can't."""
    from db_backup.alarm import Alarm

    run.log.say("[alarm] this is a test: the backups of this server can reach you")
    reached = Alarm(run.options, "nightly", run.log).failed(0)
    reached = Alarm(run.options, "nightly", run.log).succeeded() and reached
    if not reached:
        raise BackupError(
            "an alarm can't be delivered, so a failing backup would go unnoticed",
            details=run.log.tail.splitlines()[-4:],
            next="correct backup_ping_url or backup_on_failure",
        )
    ways = bool(run.options.ping_url) + bool(run.options.on_failure)
    report.data["ways"] = ways
    report.lines.append(f"{ways} alarms were delivered" if ways else "no alarm is set")
    report.done("delivered" if ways else "no alarm")


COMMANDS: dict[str, Callable[[Run, Words, Report], None]] = {
    "backup": backup_,
    "nightly": nightly,
    "list": list_,
    "verify": verify,
    "compare": compare,
    "restore": restore_,
    "drill": drill_,
    "with": with_,
    "prune": prune,
    "status": status_,
    "base": base_,
    "receive": receive,
    "offsite": offsite_,
    "test-alarm": test_alarm,
}


def _chosen(run: Run, name: str, again: str = "") -> Set:
    """A set by name; the newest one of the URL's database, of all or as of a moment, when none is named.

    Args:
        again: the command with ``{}`` for a set's name: it wants what the database held, so that a set
            without a row is not taken for the newest one by itself.
    """
    at = store.moment(name)
    if name != "latest" and at is None:
        return run.store.find(name)
    prefix = run.store.prefix(run.database) if run.options.url else ""
    found = run.store.find("latest", prefix, at)
    filled = emptied.last_with_rows(run.store, found) if again else None
    if filled is not None:
        raise emptied.refused(found.name, emptied.described(filled), again.format(filled.name))
    return found


def _prune(run: Run, report: Report, dry: bool) -> None:
    options = run.options
    rule = Rule(options.keep_days, options.keep_weeks, options.keep_months, options.keep_least)
    before = free(run.store.directory)
    removed: list[dict[str, str]] = []
    kept: list[dict[str, str]] = []
    sets = run.store.sets()
    # what a restore replaced outlives nothing
    for group in sorted({(one.prefix, one.is_regular) for one in sets}):
        mine = [one for one in sets if (one.prefix, one.is_regular) == group]
        readable = [one for one in mine if one.manifest is not None]
        empty = {one.at for one in readable if not emptied.rows(one)}
        decisions = retention.decide([one.at for one in readable], manifest.now(), rule, empty)
        if not all(decision.keep for decision in decisions):
            # something would go: then every byte of what it is outlived by is read first
            whole = [one for one in readable if not damage.check(run, one)]
            decisions = retention.decide([one.at for one in whole], manifest.now(), rule, empty)
        told = {decision.at: decision for decision in decisions}
        for one in mine:
            decision = told.get(one.at)
            entry = {"set": one.name, "why": decision.why if decision else "damaged: look at it"}
            (kept if decision is None or decision.keep else removed).append(entry)
            if decision is not None and not decision.keep and not dry:
                run.store.remove(one)
    report.data.update(removed=removed, kept=kept, freed=max(free(run.store.directory) - before, 0))
    verb = "would go" if dry else "removed"
    for entry in removed:
        report.lines.append(f"{verb}  {entry['set']}: {entry['why']}")
    if dry:
        report.lines += [f"stays     {entry['set']}: {entry['why']}" for entry in kept]


def _describe(report: Report, made: Set) -> None:
    found = made.needed()
    report.data.update(_summary(made), path=str(made.path), seconds=found.seconds)
    report.lines += [
        f"{made.path}",
        f"  {found.contents.rows:,} rows in {len(found.contents.tables)} tables, {found.bytes / 1e6:,.1f} MB,"
        f" PostgreSQL {found.server_version}, as of {found.taken_at}",
        *(f"  not compared on a restore: {name}" for name in found.contents.not_compared),
        f"  restore it: db_backup restore {made.name}",
    ]


def _summary(one: Set) -> dict[str, Any]:
    found = one.manifest
    if found is None:
        return {"set": one.name, "problem": one.problem}
    return {
        "set": one.name,
        "taken_at": found.taken_at,
        "database": found.database.name,
        "bytes": found.bytes,
        "rows": found.contents.rows,
        "tables": len(found.contents.tables),
        "server_version": found.server_version,
        "kind": found.kind,
    }


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
