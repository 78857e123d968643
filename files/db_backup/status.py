"""Is everything as it should be? One line a limit, an exit code, and metrics for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pg_tools.files import publish

from db_backup import base, damage, drill, emptied, manifest, repository, restic, store, wal
from db_backup.errors import BackupError
from db_backup.run import Run
from db_backup.watch import free

_MB = 1024 * 1024
#: Commands whose failures are counted, and what they count as.
_SCHEDULED = {"nightly": "backup", "backup": "backup", "drill": "drill"}


@dataclass(frozen=True)
class Limit:
    """One thing that is watched."""

    name: str
    ok: bool
    text: str
    value: float  #: hours, days, MiB or a number
    limit: float


def limits(run: Run) -> list[Limit]:
    """Everything that is watched. Changes nothing, and asks no server."""
    now = manifest.now()
    return [
        _newest(run, now),
        *_emptied(run),
        *_drill(run, now),
        *_offsite(run, now),
        *_moments(run, now),
        _space(run),
        _failed(run),
        *_damaged(run),
    ]


def _newest(run: Run, now: datetime) -> Limit:
    # a set of the future says nothing about tonight
    sets = [one for one in _sound(run) if one.is_regular and not store.future(one.at)]
    most = run.options.max_age_hours
    if not sets:
        return Limit("newest backup", False, "there is none", -1.0, most)
    hours = (now - sets[-1].at).total_seconds() / 3600
    text = f"{sets[-1].name}, {hours:.1f} h old (limit {most:g} h), {len(sets)} in all"
    return Limit("newest backup", hours <= most, text, hours, most)


def _emptied(run: Run) -> list[Limit]:
    found = emptied.newest(run.store)
    if not found:
        return []
    text = "; ".join(
        f"{one.name} has not a single row; the last that has: {emptied.described(filled)}:"
        f" db_backup restore {filled.name} --replace"
        for one, filled in found
    )
    return [Limit("rows", False, text, 0, 1)]


def _sound(run: Run) -> list[store.Set]:
    """Sets of which nothing bad is known."""
    bad = damage.known(run.store)
    return [
        one
        for one in run.store.sets()
        if one.manifest is not None and one.name not in bad and _whole(one)
    ]


def _whole(one: store.Set) -> bool:
    """The sizes are right; that every byte is, says ``verify``."""
    try:
        return all(
            (one.path / name).stat().st_size == file.bytes
            for name, file in one.needed().files.items()
        )
    except OSError:
        return False


def _drill(run: Run, now: datetime) -> list[Limit]:
    most = run.options.max_drill_age_days
    if not most:
        return []
    last = drill.last(run.store.private)
    if not last:
        return [Limit("drill", False, "no backup was ever tried: db_backup drill", -1.0, most)]
    days = (now - manifest.parse(str(last["at"]))).total_seconds() / 86400
    text = f"{last['set']} restored and equal {days:.1f} days ago (limit {most:g}), in {last['rto']:.0f} s"
    return [Limit("drill", days <= most, text, days, most)]


def _offsite(run: Run, now: datetime) -> list[Limit]:
    if not restic.configured(run):
        return []
    most = run.options.max_offsite_age_hours
    trouble = repository.trouble(run)
    if trouble:
        return [Limit("off-site", False, trouble, -1.0, most)]
    last = repository.last(run.store.private)
    if "pushed" not in last:
        return [Limit("off-site", False, "nothing was ever sent", -1.0, most)]
    try:  # by the set's own age: sending an old one again is no news
        at = manifest.parse(str(last["pushed"]).rpartition("-")[2])
    except ValueError:
        return [Limit("off-site", False, "its record can't be read", -1.0, most)]
    hours = (now - at).total_seconds() / 3600
    text = f"{last['pushed']}, {hours:.1f} h old (limit {most:g} h)"
    return [Limit("off-site", hours <= most, text, hours, most)]


def _moments(run: Run, now: datetime) -> list[Limit]:
    """Recovery to a point in time: are changes received, and is there something to begin with?"""
    if not wal.configured(run):
        return []
    most = run.options.max_wal_lag_minutes
    found = wal.noted(run)
    if "at" not in found:
        changes = Limit(
            "changes", False, "none was ever received: systemctl status brainer-wal", -1.0, most
        )
    else:
        minutes = (now - manifest.parse(str(found["at"]))).total_seconds() / 60
        text = f"received up to {minutes:.0f} min ago (limit {most:g}), {found['lag'] // 1024:,} KiB behind then,"
        text += f" {found['bytes'] // _MB:,} of {run.options.wal_max_mb:,} MiB"
        changes = Limit("changes", minutes <= most, text, minutes, most)
    bases, gap, hours = base.all_of(run), wal.gap(run), 24 * run.options.wal_base_days + 26.0
    if not bases:
        return [changes, Limit("base backup", False, "there is none: db_backup base", -1.0, hours)]
    age = (now - bases[-1].at).total_seconds() / 3600
    if gap and gap > bases[-1].at:
        text = f"the server gave up keeping changes, those before {manifest.iso(gap)} are lost: db_backup base"
        return [changes, Limit("base backup", False, text, age, hours)]
    since = next(one for one in bases if not gap or one.at >= gap)
    text = f"{age:.1f} h old (limit {hours:g} h); every moment since {since.ended} can be recovered"
    return [changes, Limit("base backup", age <= hours, text, age, hours)]


def _space(run: Run) -> Limit:
    there = free(run.store.directory)
    text = f"{there // _MB:,} MiB free (floor {run.options.floor_mb:,} MiB)"
    return Limit("free space", there >= run.options.floor, text, there / _MB, run.options.floor_mb)


def _failed(run: Run) -> Limit:
    """Runs of each command since its last good one; a killed one counts."""
    bad: dict[str, list[str]] = {}
    runs = run.history.runs()
    working = run.store.locked
    for number, one in enumerate(runs):
        # what a person ran, that person has seen
        command = _SCHEDULED.get(one.command)
        if command is None:
            continue
        if one.ok:
            bad.pop(command, None)
        elif one.ended or not (working and number == len(runs) - 1):
            bad.setdefault(command, []).append(one.note or "was killed")
    count = sum(len(notes) for notes in bad.values())
    text = "none" if not count else "; ".join(
        f"{command} {len(notes)} times, last: {notes[-1]}" for command, notes in bad.items()
    )  # fmt: skip
    return Limit("failed since", count == 0, text, count, 0)


def _damaged(run: Run) -> list[Limit]:
    sound, bad = {one.name for one in _sound(run)}, damage.known(run.store)
    found = [one for one in run.store.sets() if one.name not in sound]
    if not found:
        return []
    whys = [(one.name, bad.get(one.name) or one.problem) for one in found[:5]]
    text = ", ".join(f"{name} ({why})" if why else name for name, why in whys)
    return [Limit("damaged sets", False, f"{len(found)}: {text}", len(found), 0)]


def metrics(run: Run) -> str:
    """For node_exporter's textfile collector."""
    lines = []
    last = _sound(run)
    past = [one for one in last if one.is_regular and not store.future(one.at)]
    if past:
        newest = past[-1].needed()
        lines += [
            "# HELP db_backup_newest_timestamp_seconds Moment that the newest proved backup shows.",
            "# TYPE db_backup_newest_timestamp_seconds gauge",
            f"db_backup_newest_timestamp_seconds {newest.at.timestamp():.0f}",
            "# HELP db_backup_newest_bytes Size of the newest backup.",
            "# TYPE db_backup_newest_bytes gauge",
            f"db_backup_newest_bytes {newest.bytes}",
            "# HELP db_backup_newest_rows Rows in the newest backup.",
            "# TYPE db_backup_newest_rows gauge",
            f"db_backup_newest_rows {newest.contents.rows}",
        ]
    drilled = drill.last(run.store.private)
    if drilled:
        lines += [
            "# HELP db_backup_drill_timestamp_seconds Last time that a backup was restored and equal.",
            "# TYPE db_backup_drill_timestamp_seconds gauge",
            f"db_backup_drill_timestamp_seconds {manifest.parse(str(drilled['at'])).timestamp():.0f}",
            "# HELP db_backup_drill_seconds How long that took.",
            "# TYPE db_backup_drill_seconds gauge",
            f"db_backup_drill_seconds {drilled['rto']}",
        ]
    lines += [
        "# HELP db_backup_sets Backups that are kept.",
        "# TYPE db_backup_sets gauge",
        f"db_backup_sets {len(last)}",
        "# HELP db_backup_ok Whether a limit is kept (1) or broken (0).",
        "# TYPE db_backup_ok gauge",
    ]
    lines += [
        f'db_backup_ok{{limit="{limit.name.replace(" ", "_")}"}} {int(limit.ok)}'
        for limit in limits(run)
    ]
    return "\n".join(lines) + "\n"


def write_metrics(run: Run) -> None:
    """Where the settings say; world-readable, since the collector is somebody else.

    Raises:
        BackupError: the directory is missing.
    """
    if not run.options.metrics:
        return
    path = Path(run.options.metrics)
    if not path.parent.is_dir():
        # not made here: it is the collector's, which looks only where it was told to
        raise BackupError(
            "the directory of the metrics file is missing",
            where=str(path.parent),
            next="make it, or name the collector's own: --metrics FILE (backup_metrics)",
        )
    publish(path, metrics(run), 0o644)
