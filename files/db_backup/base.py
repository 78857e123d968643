"""Base backups: the server's files as they lie, from which recovery to a point in time begins."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pg_tools.files import publish, sync

from db_backup import manifest, server, wal
from db_backup.beside import PLACE, beside, remove
from db_backup.errors import BackupError
from db_backup.run import Run
from db_backup.tools import execute
from db_backup.watch import Watch

_RECORD = "base.json"
#: Part of the room for changes that old base backups may hold.
_FULL = 0.8


@dataclass(frozen=True)
class Base:
    """One base backup; it counts when its record is there."""

    name: str
    began: str
    ended: str
    image: str
    first: str  #: segment that a recovery begins with
    bytes: int

    @property
    def at(self) -> datetime:
        """The first moment that can be recovered from it."""
        return manifest.parse(self.ended)


def directory(run: Run) -> Path:
    """Where they are."""
    return Path(run.options.wal_dir) / "base"


def take(run: Run) -> Base:
    """Copy with the changes that belong to it, verify by its manifest, rename. The lock is held.

    Raises:
        BackupError: nothing was published.
    """
    began = manifest.now()
    name = f"base-{manifest.stamp(began)}"
    unfinished = directory(run) / "unfinished"
    container = f"db_backup-base-{run.ours.split()[1]}"
    remove(container)
    shutil.rmtree(unfinished, ignore_errors=True)
    with beside(run) as tools:
        with run.session() as connection:
            size = int(
                server.value(connection, "SELECT sum(pg_database_size(oid)) FROM pg_database")
            )
            spaces = server.value(connection, "SELECT count(*) - 2 FROM pg_tablespace")
        if spaces:
            raise BackupError(
                "the server has tablespaces: there is no recovery to a point in time for these"
            )
        watch = Watch(run.watch.left, directory(run), run.options.floor)
        watch.check(size)
        place = f"{PLACE}/base/unfinished"
        try:
            with run.log.step("base backup"):
                copy = [
                    "pg_basebackup",
                    f"--pgdata={place}",
                    "--wal-method=stream",
                    "--checkpoint=fast",
                ]
                copy += ["--manifest-checksums=SHA256", "--no-password", f"--label={name}"]
                execute(tools.command(container, *copy), watch, {}, name="pg_basebackup")
            with run.log.step("verify"):
                check = ["pg_verifybackup", "--quiet", place]
                execute(tools.command(container, *check), watch, {}, name="pg_verifybackup")
            first = _first(unfinished)
        except BaseException:
            remove(container)
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        found = Base(
            name, manifest.iso(began), manifest.iso(manifest.now()), tools.image, first, size
        )
    publish(unfinished / _RECORD, json.dumps(asdict(found)) + "\n")
    unfinished.rename(directory(run) / name)
    sync(directory(run))
    return found


def _first(path: Path) -> str:
    """The segment that a recovery begins with."""
    label = (path / "backup_label").read_text(encoding="utf-8")
    return label.split("(file ")[1].split(")")[0]


def wait_for(run: Run, end: str, seconds: float) -> None:
    """Until the receiver has everything up to a place.

    Raises:
        BackupError: it does not get there.
    """
    deadline = time.monotonic() + seconds
    query = """
        SELECT r.write_lsn >= %s::pg_lsn FROM pg_replication_slots s
        JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = %s
    """
    with run.session() as connection:
        while not server.value(connection, query, end, run.options.wal_slot):
            if time.monotonic() > deadline:
                raise BackupError(
                    "the changes up to now don't arrive here",
                    next="see why: journalctl -u brainer-wal",
                )
            run.watch.check()
            time.sleep(0.5)


def due(run: Run) -> bool:
    """Whether a night should take one: each is a copy of the whole server, and the changes cover the days between."""
    bases, lost = all_of(run), wal.gap(run)
    if not bases or (lost and lost > bases[-1].at):
        return True
    # a night comes some minutes earlier than the one before
    return manifest.now() - bases[-1].at > timedelta(days=run.options.wal_base_days, hours=-2)


def all_of(run: Run) -> list[Base]:
    """Those that count, the oldest first."""
    found = []
    for path in sorted(directory(run).glob("base-*")):
        try:
            found.append(Base(**json.loads((path / _RECORD).read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return found


def prune(run: Run) -> list[str]:
    """Let go what is not needed to go back ``wal_keep_days``, and more when the changes take too much room.

    The newest two stay whatever their age, the newest one whatever the room.

    Returns:
        names of the base backups that went.
    """
    bases = all_of(run)
    horizon = manifest.now() - timedelta(days=run.options.wal_keep_days)
    old = [base for base in bases if base.at <= horizon]
    # the last one before the horizon is where the way back to it begins
    gone = [base for base in old[:-1] if base not in bases[-2:]]
    for base in gone:
        _remove(run, base)
    left = [base for base in bases if base not in gone]
    if left:
        wal.prune(run, left[0].first)
    while len(left) > 1 and wal.used(run) > _FULL * run.options.wal_max_mb * 2**20:
        gone.append(left.pop(0))
        _remove(run, gone[-1])
        wal.prune(run, left[0].first)
    return [base.name for base in gone]


def _remove(run: Run, base: Base) -> None:
    away = directory(run) / "unfinished"
    shutil.rmtree(away, ignore_errors=True)
    (directory(run) / base.name).rename(away)
    shutil.rmtree(away)
