"""Take a backup, and prove it before it has a name."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from pg_tools.files import private, sync

from db_backup import __version__, digest, manifest, server
from db_backup.digest import Contents
from db_backup.errors import BackupError
from db_backup.manifest import DUMP, GLOBALS, File, Manifest
from db_backup.run import Run
from db_backup.server import Database
from db_backup.store import Set, sha256


def take(run: Run, kind: str = manifest.REGULAR) -> Set:
    """Dump, digest, write aside, read back, rename. The lock is held by the caller.

    Args:
        kind: see ``manifest.BEFORE``.

    Raises:
        BackupError: nothing was published, and the sets that are there are as they were.
    """
    run.watch.check()
    with run.store.unfinished() as directory:
        try:
            dumped = _dump(run, directory)
        except BaseException:
            run.end_sessions()
            raise
        with run.log.step("globals"):
            with open(directory / GLOBALS, "xb", opener=private) as out:
                run.tools.globals(
                    run.conninfo(dumped.database.name), out, run.watch, hashes=dumped.hashes
                )
            _judge_globals(directory / GLOBALS, dumped.database)
        with run.log.step("read back"):
            files = _read_back(run, directory)
        found = Manifest(
            name=run.store.name_for(dumped.database.name, dumped.taken),
            taken_at=manifest.iso(dumped.taken),
            database=dumped.database,
            contents=dumped.contents,
            server_version=dumped.version,
            server_major=dumped.major,
            image=server.image_of(run.options.container),
            files=files,
            program=f"db_backup {__version__}",
            host=platform.node(),
            kind=kind,
            seconds=dict(run.log.seconds),
        )
        run.watch.check()
        made = run.store.publish(directory, found)
    run.log.say(
        f"[publish] {made.name}: {found.contents.rows:,} rows in {len(found.contents.tables)} tables,"
        f" {found.bytes / 1e6:,.1f} MB"
    )
    return made


@dataclass(frozen=True)
class _Dumped:
    """What the dump is of."""

    taken: datetime
    database: Database
    contents: Contents
    version: str
    major: int
    hashes: bool  #: whether the passwords of the roles may be read


def _dump(run: Run, directory: Path) -> _Dumped:
    """The dump, and the digests of the very rows that are in it."""
    run.end_sessions()
    with run.session() as connection:
        database = server.describe(connection)
        version = str(server.value(connection, "SHOW server_version")).split()[0]
        major, hashes = server.major(connection), server.reads_hashes(connection)
        if not hashes:
            run.log.say("[globals] without the roles' passwords, which only a superuser may read")
        run.watch.check(_need(run, database))
        _wait_for_a_name(run, database)
        # the app comes first: one process reads
        connection.execute("SET max_parallel_workers_per_gather = 0")
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute(f"SET LOCAL lock_timeout = '{run.options.lock_timeout}s'".encode())
            snapshot = str(server.value(connection, "SELECT pg_export_snapshot()"))
            taken = manifest.now()
            digest.lock(connection, digest.tables_of(connection))
            before = digest.positions(connection)
            with run.log.step("dump and digest"):
                contents = _both(run, connection, snapshot, directory / DUMP)
            contents.sequences = digest.ranges(before, digest.positions(connection))
    if not contents.tables:
        run.log.say("[digest] the database holds no table: this is a backup of nothing")
    return _Dumped(taken, database, contents, version, major, hashes)


def _wait_for_a_name(run: Run, database: Database) -> None:
    """A name is a second, and two sets can't have one."""
    for _ in range(30):
        name = run.store.name_for(database.name, manifest.now())
        if not os.path.lexists(run.store.directory / name):
            return
        time.sleep(0.05)


def _both(run: Run, connection: psycopg.Connection, snapshot: str, path: Path) -> Contents:
    """pg_dump and the digests at the same time; when one fails, the other is ended."""

    def digests() -> Contents:
        try:
            return digest.take(connection)
        except BaseException as error:
            run.watch.trouble.append(error)
            raise

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(digests)
        try:
            with open(path, "xb", opener=private) as out:
                run.tools.dump(
                    run.conninfo(connection.info.dbname), snapshot, run.options.compress, out,
                    run.watch, run.options.lock_timeout,
                )  # fmt: skip
        except BaseException:
            connection.cancel()
            raise
        while not found.done():
            run.watch.check()
            wait([found], timeout=0.2)
        return found.result()


def _need(run: Run, database: Database) -> int:
    """Bytes that the set may take: as the last one, or a third of the database."""
    last = [one.manifest for one in run.store.sets() if one.manifest is not None]
    same = [found for found in last if found.database.name == database.name]
    return int(same[-1].bytes * 1.2) if same else database.bytes // 3


def _read_back(run: Run, directory: Path) -> dict[str, File]:
    """Down to the disk, then every byte back from it."""
    for name in (DUMP, GLOBALS):
        sync(directory / name)
    run.tools.read(directory / DUMP, run.watch)
    files = {}
    for name in (DUMP, GLOBALS):
        path = directory / name
        files[name] = File(bytes=os.stat(path).st_size, sha256=sha256(path))
    return files


def _judge_globals(path: Path, database: Database) -> None:
    """A dump of the roles that lacks the owner's is none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if "CREATE ROLE" not in text or database.owner not in text:
        raise BackupError(
            "the dump of the roles is not whole",
            details=[f"the role {database.owner}, which owns {database.name}, is not in it"],
            next="run it again, with a superuser's --database",
        )
