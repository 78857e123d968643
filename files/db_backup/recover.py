"""The database as it was at a moment: in a throw-away server, then as a set that is restored as any other."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from db_backup import backup, base, manifest, server, wal
from db_backup.base import Base
from db_backup.beside import own, remove
from db_backup.errors import BackupError, Exit
from db_backup.run import Run
from db_backup.store import Set, Store
from db_backup.tools import execute
from db_backup.watch import Watch

_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
#: Finished segments are gzipped beside us, so what was not there a moment ago may have another name now.
_FETCH = (
    'for d in /changes /changes/before /changes; do [ -f $d/%f.gz ] && gzip -dc $d/%f.gz >"%p" && exit 0;'
    ' for f in $d/%f $d/%f.partial; do [ -f $f ] && cp $f "%p" && exit 0; done; done; exit 1'
)


class _TooShort(BackupError):
    """Everything was replayed, and the moment was not reached."""


def moment(text: str) -> datetime:
    """A time as a person writes it; without an offset it is UTC, as in the names of sets.

    Raises:
        BackupError: it is none, or has not come yet.
    """
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        if len(text.strip()) <= len("2026-11-22"):
            raise ValueError("a day has many moments")
    except ValueError:
        raise BackupError(
            f"this is no time: {text}", next="write it as 2026-11-22T14:00, or with +01:00 at its end",
            code=Exit.USAGE,
        ) from None  # fmt: skip
    found = found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
    if found > datetime.now(timezone.utc):
        raise BackupError(f"{manifest.iso(found)} has not come yet", code=Exit.USAGE)
    return found


@contextmanager
def recovered(run: Run, at: datetime) -> Iterator[Set]:
    """A set of the URL's database as it was then. The live server is not touched. The lock is held.

    Raises:
        BackupError: there is no way back to that moment, and how far there is one; or the database was not there then.
    """
    chosen = _chosen(run, at)
    name = f"db_backup-recover-{run.ours.split()[1]}"
    place = Path(run.options.wal_dir) / "recovering"
    remove(name)
    shutil.rmtree(place, ignore_errors=True)
    try:
        with run.log.step("copy of the base backup"):
            place.mkdir(mode=0o700)
            watch = Watch(run.watch.left, place, run.options.floor)
            watch.check(2 * chosen.bytes)
            copy = [
                "cp",
                "-a",
                "--reflink=auto",
                str(base.directory(run) / chosen.name),
                str(place / "data"),
            ]
            execute(copy, watch, {})
        _tick(run)
        yield _dumped(run, chosen, at, place, name)
    finally:
        remove(name)
        shutil.rmtree(place, ignore_errors=True)


def _chosen(run: Run, at: datetime) -> Base:
    bases = base.all_of(run)
    usable = [one for one in bases if one.at <= at]
    if not usable:
        oldest = (
            f"the oldest one allows {bases[0].ended} and later"
            if bases
            else "there is no base backup"
        )
        raise BackupError(
            f"there is no way back to {manifest.iso(at)}",
            where=str(base.directory(run)),
            details=[oldest],
            next="take a nightly set instead: db_backup list",
        )
    return usable[-1]


def _tick(run: Run) -> None:
    """Replay stops at the first commit after the moment; on a server that nobody writes to, there would be none."""
    with suppress(BackupError), run.session() as connection:
        connection.execute("SELECT txid_current()")
        end = str(server.value(connection, "SELECT pg_current_wal_flush_lsn()"))
        base.wait_for(run, end, 10)


def _dumped(run: Run, chosen: Base, at: datetime, place: Path, name: str) -> Set:
    """Start the copy, let it replay up to the moment, back it up as any server."""
    data = place / "data"
    uid = data.stat().st_uid
    (data / "recovery.signal").touch()
    (data / "pg_hba.conf").write_text("local all all trust\n", encoding="utf-8")
    (data / "postgresql.auto.conf").write_text("", encoding="utf-8")
    own(data, uid)
    with tempfile.TemporaryDirectory(prefix="db_backup-", dir="/run") as directory:
        sockets = Path(directory, "s")
        sockets.mkdir()
        url = f"postgresql://postgres@/{run.database}?host={sockets}"
        mounts = [f"{data}:/recovering", f"{wal.directory(run)}:/changes:ro"]
        mounts.append(f"{sockets}:/var/run/postgresql")
        with run.log.step("replay"):
            target = {"recovery_target_time": at.strftime("%Y-%m-%d %H:%M:%S.%f+00")}
            try:
                _start(run, name, chosen.image, mounts, target)
                _wait(run, name, url, at)
            except _TooShort:
                # it stops at the first commit after the moment; if there is none, the end is that moment
                end = wal.end_after(run, chosen.at, at)
                if not end:
                    raise
                remove(name)
                _start(run, name, chosen.image, mounts, {})
                _wait(run, name, url, at)
                _demand_replayed(data, end, at)
        there = replace(
            run,
            store=Store(place / "sets"),
            options=replace(
                run.options, url=url, container="", dir=place / "sets",
                server_tools=f"docker exec -i -e PGUSER -e PGOPTIONS {name}",
            ),
        )  # fmt: skip
        there.store.prepare()
        _demand_there(there, at)
        return backup.take(there)


def _demand_there(there: Run, at: datetime) -> None:
    """The moment may be one before the database was made."""
    with there.session("template1") as connection:
        found = server.value(
            connection, "SELECT count(*) FROM pg_database WHERE datname = %s", there.database
        )
    if not found:
        raise BackupError(
            f"there was no database {there.database} at {manifest.iso(at)}",
            next="take a later moment, or a nightly set: db_backup list",
        )


def _start(run: Run, name: str, image: str, mounts: list[str], target: dict[str, str]) -> None:
    """A server that replays what it finds, and takes nothing from the app but the drill's memory."""
    settings = {
        "restore_command": _FETCH, "recovery_target_action": "promote", **target,
        "hot_standby": "off", "archive_mode": "off", "listen_addresses": "", "autovacuum": "off",
        "shared_buffers": "64MB", "max_connections": "20", "fsync": "off", "jit": "off",
    }  # fmt: skip
    memory = f"{run.options.drill_memory_mb}m"
    command = [
        "docker", "run", "--detach", "--name", name, "--network", "none",
        "--memory", memory, "--memory-swap", memory, "--shm-size", "64m",
        "--cpu-shares", str(run.options.drill_cpu_shares), "--cap-drop", "ALL",
        *(word for right in _CAPABILITIES for word in ("--cap-add", right)),
        "--security-opt", "no-new-privileges", "--env", "PGDATA=/recovering",
        *(word for mount in mounts for word in ("--volume", mount)), image, "postgres",
        *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
    ]  # fmt: skip
    execute(command, run.watch, {}, name="docker run")


def _demand_replayed(data: Path, end: str, at: datetime) -> None:
    """Where the server began a timeline of its own is how far it came: no change may be missing before."""
    newest = max((data / "pg_wal").glob("*.history"))
    (*_, last) = [line for line in newest.read_text(encoding="utf-8").splitlines() if line.strip()]
    reached = last.split()[1]
    if _position(reached) < _position(end):
        raise BackupError(
            f"the changes that were received can't be replayed up to {manifest.iso(at)}",
            where=f"they end at {reached}, and {end} was received",
            next="take a nightly set instead: db_backup list",
        )


def _position(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _wait(run: Run, name: str, url: str, at: datetime) -> None:
    """Until it has replayed all up to the moment, and answers."""
    while True:
        # template1 is in every server; the database itself may not have been there at that moment
        with suppress(BackupError), server.session(url, "template1", run.application) as connection:
            if not server.value(connection, "SELECT pg_is_in_recovery()"):
                return
        done = subprocess.run(
            ["docker", "container", "inspect", "--format", "{{.State.Running}}", name],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        if done != "true":
            said = subprocess.run(
                ["docker", "logs", name], capture_output=True, text=True, check=False
            )
            words = (said.stdout + said.stderr).splitlines()
            last = [line for line in words if "last completed transaction" in line]
            if any("before configured recovery target was reached" in line for line in words):
                raise _TooShort(
                    f"the changes that were received do not reach {manifest.iso(at)}",
                    details=last,
                    next="take an earlier time than that transaction's; what is lost: db_backup status",
                )
            raise BackupError(
                "the throw-away server does not come up",
                details=words[-8:],
                next="see the message above; more memory for it: drill_memory_mb",
            )
        run.watch.check()
        time.sleep(0.5)
