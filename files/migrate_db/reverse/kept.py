"""The file that was kept at the cut-over, and the one that takes its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Collection
from itertools import count
from pathlib import Path

from pg_tools.files import private, sync

from migrate_db import interruption
from migrate_db.errors import Exit, MigrationError
from migrate_db.sqlite import source

_BLOCK = 1 << 20


def examine(path: Path, into: Path | None) -> None:
    """Refuse what can't be the kept file.

    Raises:
        MigrationError: not there, not closed, or the file that is to be made.
    """
    source.examine(path)
    beside = [path.name + end for end in ("-wal", "-journal") if _size(path, end)]
    if beside:
        raise MigrationError(
            f"the kept file is in use, or was: there is {', '.join(beside)}",
            where=str(path),
            next="pass the snapshot that was kept at the cut-over, as it was kept",
        )
    if into is None:
        return
    if into.exists() and (not into.is_file() or into.samefile(path)):
        what = "the kept file itself" if into.is_file() else "no file"
        raise MigrationError(
            f"--into is {what}",
            where=str(into),
            next="pass the path of the file that the app is to use",
            code=Exit.USAGE,
        )


def copy(path: Path, into: Path) -> str:
    """Copy a file byte for byte.

    Returns:
        its SHA-256.
    """
    found = hashlib.sha256()
    with path.open("rb") as file, open(into, "xb", opener=private) as made:
        while block := file.read(_BLOCK):
            interruption.check()
            found.update(block)
            made.write(block)
    return found.hexdigest()


def demand_proved(path: Path, seen: str, wanted: str) -> None:
    """The kept file must be the one that PostgreSQL was proved against.

    Raises:
        MigrationError: it is another one, or was altered.
    """
    if seen != wanted:
        raise MigrationError(
            "the kept file is not the one that was proved at the cut-over: it was altered, or"
            " is another one",
            where=str(path),
            details=[f"sha256 now   {seen}", f"sha256 then  {wanted}"],
            next="pass the file with that digest (a copy in a backup has it, too); if another one"
            " is right, say so with --expect-sha256",
        )


def demand_room(path: Path, directory: Path) -> None:
    """Refuse early what would fill the disk.

    Raises:
        MigrationError: not even the copy has room.
    """
    need, free = path.stat().st_size, shutil.disk_usage(directory).free
    if free < need:
        raise MigrationError(
            f"no room for the file: {need / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free",
            where=str(directory),
            next="free some space there, then run again; nothing was changed",
        )


def put(made: Path, into: Path, known: Collection[str] | None) -> Path | None:
    """Give the file its name, at once and for good; an old one is as it was until then.

    Args:
        known: digests of what may be replaced, as any other file may hold what nobody else has; None: anything.

    Returns:
        where such a file is kept.

    Raises:
        MigrationError: somebody is using the old one.
    """
    if into.exists():
        status = into.stat()
        os.chmod(made, status.st_mode & 0o7777)
        if (status.st_uid, status.st_gid) != (made.stat().st_uid, made.stat().st_gid):
            os.chown(made, status.st_uid, status.st_gid)
    sync(made)
    _settle(into)
    replaced = None
    if known is not None and into.exists() and _digest(into) not in known:
        numbers = (into.with_name(f"{into.name}.replaced{n or ''}") for n in count())
        replaced = next(path for path in numbers if not path.exists())
        os.link(into, replaced)
    made.replace(into)
    sync(into.parent)
    return replaced


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            interruption.check()
            found.update(block)
    return found.hexdigest()


def _settle(into: Path) -> None:
    """SQLite would read an old ``-wal`` into the new file: what is in it goes where it belongs."""
    beside = [into.with_name(into.name + end) for end in source.BESIDE]
    if not any(path.exists() for path in beside):
        return
    try:
        if not into.exists():
            raise sqlite3.DatabaseError("there is no file that it belongs to")
        # rolls back what a crash left, and fails if somebody has the file open
        connection = sqlite3.connect(into.absolute(), timeout=2.0, isolation_level=None)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
        for path in beside:  # empty by now, where SQLite left it
            path.unlink(missing_ok=True)
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise MigrationError(
                "somebody is using the file that is to be replaced",
                where=str(into),
                next=f"stop the app (fuser -v {into}), then run again; nothing was changed",
            ) from None
        # no database, so nobody can say what belongs to it
        for path in beside:
            if path.exists():
                path.replace(path.with_name(path.name + ".left"))


def _size(path: Path, end: str) -> int:
    try:
        return path.with_name(path.name + end).stat().st_size
    except FileNotFoundError:
        return 0
