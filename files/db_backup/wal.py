"""Every change of the server, received while it happens: what recovery to a moment needs besides a base backup.

A replication slot keeps what was not received yet, up to the server's max_slot_wal_keep_size; then the slot is
lost, and the server lives on. So neither a dead receiver nor a full archive can fill the server's disk.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pg_tools.files import publish, sync

from db_backup import manifest, server
from db_backup.beside import PLACE, Beside, beside, own, remove
from db_backup.errors import BackupError
from db_backup.run import Run
from db_backup.watch import Watch

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_EVERY = 5.0
_MB = 1024 * 1024


def directory(run: Run) -> Path:
    """Where the segments are."""
    return Path(run.options.wal_dir) / "wal"


def configured(run: Run) -> bool:
    """Whether changes are received here."""
    return bool(str(run.options.wal_dir).strip(".")) and bool(run.options.container)


def receive(run: Run, seconds: float = float("inf")) -> None:
    """Until the connection ends or a limit is reached; a supervisor starts it again.

    Args:
        seconds: for tests.

    Raises:
        BackupError: it can't go on.
    """
    name = f"db_backup-wal-{run.ours.split()[1]}"
    remove(name)
    with beside(run) as tools, tempfile.TemporaryFile() as said:
        _slot(run)
        command = ["pg_receivewal", f"--directory={PLACE}/wal", f"--slot={run.options.wal_slot}"]
        command += ["--no-loop", "--status-interval=2", "--no-password"]
        process = subprocess.Popen(tools.command(name, *command), stdout=said, stderr=said)
        try:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                try:
                    process.wait(min(_EVERY, seconds))
                    said.seek(0)
                    raise BackupError(
                        "the server sends no more changes",
                        details=said.read().decode("utf-8", "replace").splitlines()[-4:],
                        next="it is tried again; the server keeps them, up to max_slot_wal_keep_size",
                    )
                except subprocess.TimeoutExpired:
                    _look(run, tools)
        finally:
            remove(name)
            process.wait()


def _slot(run: Run) -> None:
    """The slot is there; one that was lost is made anew, and the gap is noted."""
    slot = run.options.wal_slot
    with run.session() as connection:
        state = server.value(
            connection, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", slot
        )
        if state == "lost":
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        if state in ("lost", None):
            if segments(directory(run)):
                last = noted(run)
                note(
                    run, gap=manifest.iso(manifest.now()), before_gap=last.get("all", ""),
                    before_gap_lsn=last.get("all_lsn", ""),
                )  # fmt: skip
                _begin_anew(run)
            connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])


def _begin_anew(run: Run) -> None:
    """What was received before a gap stays for recovery; the receiver would ask for what follows it: gone."""
    archive = directory(run)
    (archive / "before").mkdir(exist_ok=True)
    # the throw-away server reads it as the one that the archive belongs to
    own(archive / "before", archive.stat().st_uid)
    for path in archive.iterdir():
        if _SEGMENT.match(path.name):
            path.rename(archive / "before" / path.name)


def _look(run: Run, tools: Beside) -> None:
    """Limits, the record that status reads, and finished segments made small."""
    archive = directory(run)
    Watch(1e9, archive, run.options.floor).check()
    taken = used(run)
    if taken > run.options.wal_max_mb * _MB:
        raise BackupError(
            f"the changes take {taken // _MB} MiB of {run.options.wal_max_mb}",
            where=str(archive),
            next="a base backup lets old ones go: db_backup base; or a higher backup_wal_max_mb",
        )
    # before the server is asked: what is committed meanwhile is not said to be here
    now = manifest.iso(manifest.now())
    with run.session() as connection:
        row = connection.execute(
            """
            SELECT pg_wal_lsn_diff(w.lsn, r.write_lsn)::bigint, w.lsn::text
            FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid,
                 pg_current_wal_lsn() AS w(lsn)
            WHERE s.slot_name = %s AND r.write_lsn IS NOT NULL
            """,
            [run.options.wal_slot],
        ).fetchone()
    if row is not None:
        everything = {"all": now, "all_lsn": row[1]} if row[0] <= 0 else {}
        note(run, at=now, lag=int(row[0]), bytes=taken, **everything)
    for path in archive.iterdir():
        if _SEGMENT.fullmatch(path.name):
            _shrink(path, tools.uid)


def _shrink(path: Path, uid: int) -> None:
    """A finished segment, gzipped aside and renamed; the receiver knows both names."""
    aside = path.with_name(f"{path.name}.new")
    with path.open("rb") as whole, gzip.open(aside, "wb", compresslevel=1) as small:
        shutil.copyfileobj(whole, small, _MB)
    sync(aside)
    own(aside, uid)
    aside.rename(path.with_name(f"{path.name}.gz"))
    sync(path.parent)
    path.unlink()


def used(run: Run) -> int:
    """Bytes that the changes take."""
    found = 0
    for path in directory(run).rglob("*"):
        try:
            found += path.stat().st_size
        except FileNotFoundError:  # it was finished, and has another name now
            continue
    return found


def segments(archive: Path) -> list[Path]:
    """Finished ones, the oldest first, those from before a gap included."""
    found = [
        path
        for path in archive.rglob("*")
        if _SEGMENT.match(path.name) and path.suffix in ("", ".gz")
    ]
    return sorted(found, key=lambda path: path.name)


def prune(run: Run, first: str) -> int:
    """Let segments go that no kept base backup needs; returns how many went."""
    gone = [
        path
        for path in directory(run).rglob("*")
        if _SEGMENT.match(path.name) and path.suffix != ".partial" and path.name[8:24] < first[8:24]
    ]
    for path in gone:
        path.unlink()
    return len(gone)


def noted(run: Run) -> dict[str, Any]:
    """What the receiver wrote down.

    ``at`` the last look, ``lag`` bytes behind then, ``bytes`` kept; ``all`` the last look at which nothing was missing,
    and ``all_lsn`` the end of the changes then; ``gap`` when the slot was last found lost, and ``before_gap``,
    ``before_gap_lsn`` what these were then.
    """
    try:
        found = json.loads((run.store.private / "wal.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note(run: Run, **words: object) -> None:
    """Add to the record."""
    run.store.prepare()
    publish(run.store.private / "wal.json", json.dumps({**noted(run), **words}) + "\n")


def gap(run: Run) -> datetime | None:
    """When the slot was last lost: older base backups reach up to there only."""
    found = noted(run).get("gap")
    return manifest.parse(str(found)) if found else None


def end_after(run: Run, base: datetime, at: datetime) -> str:
    """An end of the changes that all up to a moment lies before; empty if they weren't all received.

    Args:
        base: the first moment of the base backup that they follow.
    """
    found, lost = noted(run), gap(run)
    name = "before_gap" if lost and base < lost else "all"
    until = str(found.get(name, ""))
    return str(found.get(f"{name}_lsn", "")) if until and at <= manifest.parse(until) else ""


def stop(run: Run) -> bool:
    """Drop the slot, so that the server keeps nothing for a receiver that never comes."""
    remove(f"db_backup-wal-{run.ours.split()[1]}")
    with run.session() as connection:
        found = connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = %s AND NOT active",
            [run.options.wal_slot],
        ).fetchall()
    return bool(found)
