"""The SQLite side: a consistent snapshot, taken without leaving a trace.

The file that the app uses is never opened for writing, and no ``-wal`` or
``-shm`` is left beside it. Everything after the snapshot reads the snapshot.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sqlite3
import stat
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from migrate_db import interruption, sql
from migrate_db.codecs import foreign
from migrate_db.errors import MigrationError
from migrate_db.sqlite import collations, functions
from migrate_db.visible import decoded

_MAGIC = b"SQLite format 3\x00"
#: Where the header has the number of the SQLite that wrote last; see ``written_by``.
_VERSION_AT = 96
#: Beside the snapshot: the rows that stay behind, see ``quarantine``.
QUARANTINE = "quarantine.db"
#: What SQLite keeps beside a file.
BESIDE = ("-wal", "-shm", "-journal")
#: Whether Python has a way to parts of a value, and to SQLite's limits: from 3.11 on.
HAS_LIMITS = hasattr(sqlite3.Connection, "setlimit")
#: Seconds to wait for the app's own lock on its file.
_BUSY_SECONDS = 30.0
#: The byte of a -shm that everybody who has the database open holds locked.
_SHM_LOCK = 128
#: The first of the 510 bytes of the file itself that its readers hold locked.
_SHARED_LOCK = 0x40000002
#: Catalogue calls (`PRAGMA table_list`) need 3.37, which Ubuntu 22.04 has.
_OLDEST = (3, 37, 0)


@dataclass(frozen=True)
class Snapshot:
    """A private copy of the source at one moment."""

    path: Path
    source: Path
    size: int  #: bytes
    wal: str  #: what was beside the file: "none", "read" or "copied"


def examine(path: Path) -> None:
    """Refuse what can't be a readable SQLite file, before anything else happens.

    Raises:
        MigrationError: missing, unreadable, empty or not a database.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise MigrationError(
            f"this Python has SQLite {sqlite3.sqlite_version}; 3.37 or newer is needed",
            next="use the python3 of Debian 12, Ubuntu 22.04 or newer",
        )
    try:
        # a pipe or a device would be waited for
        if not stat.S_ISREG(path.stat().st_mode):
            raise MigrationError(
                "the SQLite file is not a regular file",
                where=str(path),
                next="pass the file the app uses with --source",
            )
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise MigrationError(
            "the SQLite file does not exist",
            where=str(path),
            next="pass the file the app uses with --source (ls -la " + str(path.parent) + ")",
        ) from None
    except OSError as error:
        raise MigrationError(
            f"the SQLite file can't be read: {error.strerror}",
            where=str(path),
            next="run as a user that may read it (sudo), or fix its mode",
        ) from None
    if head != _MAGIC:
        empty = not head
        raise MigrationError(
            "the file is empty" if empty else "the file is not a SQLite database",
            where=str(path),
            next="pass the file the app uses with --source; `file PATH` tells what this one is",
        )


def take_snapshot(path: Path, directory: Path) -> Snapshot:
    """Copy the database as it is at this moment.

    Args:
        path: the live file; the app may be writing to it.
        directory: private directory on disk, receives ``snapshot.db``.

    Raises:
        MigrationError: unreadable, damaged, or no room for the copy.
    """
    examine(path)
    path = path.resolve()  # what SQLite keeps beside a file, it keeps beside the file itself
    need, free = _size(path), shutil.disk_usage(directory).free
    if free < need:
        raise _no_room(f"{_mb(need)} needed, {_mb(free)} free", directory)
    target = directory / "snapshot.db"
    target.unlink(missing_ok=True)
    try:
        with _reading(path, directory) as (connection, wal):
            # with a time limit, which the backup itself doesn't have
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            # an app that opened it this moment may write to a -wal and move that into the file
            plain = wal == "none" and not _has_wal(path)
            if plain:
                _demand_whole(path, connection)
                # nobody may change the file until the copy is closed, and with it the lock is gone
                with interruption.Welcome():
                    shutil.copyfile(path, target)
            with closing(sqlite3.connect(target)) as copy:
                # a copy that a crash tears is thrown away with its directory
                copy.execute("PRAGMA synchronous = OFF")
                if not plain:
                    connection.backup(copy)
                # the copy is read by several connections; none of them may need a -wal
                copy.execute("PRAGMA journal_mode = DELETE")
    except FileNotFoundError:  # a -wal that was there a moment ago
        raise _changed(path) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(str(error.strerror), directory) from None
        if isinstance(error, PermissionError):
            raise _unreadable(path, str(error.strerror)) from None
        raise MigrationError(
            f"the snapshot can't be taken: {error.strerror}",
            where=str(error.filename or directory),
            next="free some space, or pass --work-dir on a larger disk",
        ) from None
    except sqlite3.Error as error:
        # "database or disk is full", "disk I/O error", but not "disk image is malformed"
        if "disk" in str(error) and "malformed" not in str(error):
            raise _no_room(str(error), directory) from None
        if "readonly" in str(error):  # a journal that wasn't there a moment ago
            raise _changed(path) from None
        if "locked" in str(error):
            raise MigrationError(
                f"the app keeps the file locked: {error}, for {_BUSY_SECONDS:.0f} s",
                where=str(path),
                next="see who has it open: fuser -v " + str(path),
            ) from None
        raise _unreadable(path, str(error)) from None
    return Snapshot(target, path, target.stat().st_size, wal)


def _no_room(said: str, directory: Path) -> MigrationError:
    return MigrationError(
        f"no room for the snapshot: {said}",
        where=str(directory),
        next="free some space, or pass --work-dir on a larger disk",
    )


def _changed(path: Path) -> MigrationError:
    return MigrationError(
        "somebody wrote to the file while it was read",
        where=str(path),
        next="run the same command again",
    )


def recovery(path: Path) -> str:
    """What to do about a file that is damaged."""
    return f"restore the file from a good copy, or save what is readable with `sqlite3 {path} .recover`"


def _unreadable(path: Path, error: str) -> MigrationError:
    files = [path, *(path.with_name(path.name + end) for end in BESIDE)]
    hidden = [file for file in files if file.exists() and not os.access(file, os.R_OK)]
    if hidden:
        return MigrationError(
            "what SQLite keeps beside the file can't be read: Permission denied",
            where=str(hidden[0]),
            next="run as a user that may read it (sudo), or fix its mode",
        )
    newer = re.search(
        r"malformed database schema \((.+?)\) - (near .*syntax error|unrecognized token: .*"
        r"|wrong number of arguments to function .*|.* not currently supported)",
        error,
    )
    if newer is None:
        return MigrationError(
            f"SQLite can't read the file: {error}",
            where=str(path),
            next=recovery(path),
        )
    version = sqlite3.sqlite_version
    return MigrationError(
        f"SQLite {version} doesn't understand {newer[1]}, which is in the file: {newer[2]}",
        where=str(path),
        next="if a newer SQLite made it, run this where Python has that one; or, if it is a view, an index or a"
        f" trigger, drop {newer[1]} with that one in a copy, and migrate the copy; else the file is damaged:"
        " restore it from a good copy",
    )


def _demand_whole(path: Path, connection: sqlite3.Connection) -> None:
    """SQLite reads zeros where a last page is cut off, and finds nothing wrong with them."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    there, wanted = path.stat().st_size, pages * size
    if there < wanted:
        raise MigrationError(
            f"the SQLite file is cut off: {there:,} bytes of {wanted:,} are there",
            where=str(path),
            next=recovery(path),
        )


def open_snapshot(path: Path) -> sqlite3.Connection:
    """Open a snapshot for reading; text comes as the bytes that are stored."""
    # a table's statements are long, and nobody asks them again after those of the next ones
    connection = sqlite3.connect(
        uri(path, "ro&immutable=1"), uri=True, check_same_thread=False, cached_statements=8
    )
    connection.text_factory = bytes
    interruption.attend(connection)
    with suppress(sqlite3.DatabaseError):  # soundness says it better
        collations.stand_in(connection)
        functions.register(connection)
        foreign.register(connection, encoding(connection))
        connection.execute("PRAGMA cache_size = -256")  # KiB; it is no slower with less
    # sorting for tables without an integer key spills to disk, not to memory
    connection.execute("PRAGMA temp_store = FILE")
    return connection


@contextmanager
def limited(connection: sqlite3.Connection, most: int) -> Iterator[None]:
    """Let SQLite refuse a text of more bytes, if it doesn't refuse less already."""
    if not HAS_LIMITS:
        yield
        return
    before = connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(before, most))
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)


def twin(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Another connection to the same files, for another thread."""
    (_, _, main), *others = connection.execute("PRAGMA database_list").fetchall()
    twin = open_snapshot(Path(decoded(main)))
    for _, name, path in others:
        if path:  # not the temporary one
            twin.execute(f"ATTACH {sql.string(decoded(path))} AS {sql.name(decoded(name))}")
    return twin


def encoding(connection: sqlite3.Connection) -> str:
    """Of the texts as they are stored: ``UTF-8``, ``UTF-16le`` or ``UTF-16be``."""
    return decoded(connection.execute("PRAGMA encoding").fetchone()[0])


def written_by(path: Path) -> tuple[int, int, int]:
    """The version of the SQLite that wrote a file last."""
    with path.open("rb") as file:
        file.seek(_VERSION_AT)
        number = int.from_bytes(file.read(4), "big")
    return number // 1_000_000, number // 1000 % 1000, number % 1000


def is_utf8(connection: sqlite3.Connection) -> bool:
    """Whether texts are stored in UTF-8; else they are in UTF-16."""
    return encoding(connection) == "UTF-8"


def path_of(connection: sqlite3.Connection) -> Path:
    """The file that a connection reads."""
    rows = connection.execute("PRAGMA database_list").fetchall()
    return Path(next(decoded(row[2]) for row in rows if decoded(row[1]) == "main"))


def attach_quarantine(connection: sqlite3.Connection, directory: Path) -> None:
    """Make the rows that stay behind known to a connection, as schema ``quarantine``."""
    connection.execute("ATTACH ? AS quarantine", (uri(directory / QUARANTINE, "rwc"),))


@contextmanager
def _reading(path: Path, directory: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """Open the live file without creating anything beside it; also tell what its WAL was."""
    shm = path.with_name(path.name + "-shm")
    live_wal = _has_wal(path)
    # what a crash left can only be read by writing, so that is done in a copy
    crashed = (live_wal and not _is_open(shm)) or _needs_rollback(path)
    # nobody has it open: reading it with locks would make a -wal and a -shm
    quiet = not crashed and not live_wal and not _is_open(shm) and is_wal(path)
    if quiet and not path.with_name(path.name + "-wal").exists() and _is_locked(path):
        raise MigrationError(
            "somebody has the file open under another name (a hard link, or the file alone mounted"
            " into a container), and what is not in it yet lies beside that one",
            where=str(path),
            next="stop the app, or pass the name that the app uses, with its -wal beside it",
        )
    before = _stamp(path)
    if crashed:
        opened = _copy(path, directory)
    else:
        mode = "ro&immutable=1" if quiet else "ro"
        opened = sqlite3.connect(uri(path, mode), uri=True, timeout=_BUSY_SECONDS)
    try:
        yield opened, "copied" if crashed else "read" if live_wal else "none"
    finally:
        opened.close()
        for end in ("", *BESIDE):
            (directory / f"source.db{end}").unlink(missing_ok=True)
    if (quiet or crashed) and _stamp(path) != before:
        raise _changed(path)


def _is_locked(path: Path) -> bool:
    """Whether somebody has a database in WAL mode open: all the time, its bytes for readers are locked."""
    return _is_open(path, _SHARED_LOCK, 510)


def _is_open(shm: Path, start: int = _SHM_LOCK, length: int = 1) -> bool:
    """Whether somebody has the database of this -shm open; a dead one, the next reader rewrites."""
    try:
        with shm.open("rb") as file:
            asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
            told = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except OSError:
        return start == _SHM_LOCK and shm.exists()
    (kind, *_) = struct.unpack("hhqqi", told)
    return bool(kind != fcntl.F_UNLCK)


def _needs_rollback(path: Path) -> bool:
    """Whether a crash left a journal that must be rolled back before reading.

    A running writer has a journal too, but reading beside it works.
    """
    if not path.with_name(path.name + "-journal").exists():
        return False
    connection = sqlite3.connect(uri(path, "ro"), uri=True, timeout=_BUSY_SECONDS)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def _copy(path: Path, directory: Path) -> sqlite3.Connection:
    copy = directory / "source.db"
    for end in ("", *BESIDE):
        part, beside = path.with_name(path.name + end), directory / f"source.db{end}"
        beside.unlink(missing_ok=True)
        if part.exists():
            with interruption.Welcome():
                shutil.copyfile(part, beside)
    return sqlite3.connect(copy)


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def is_wal(path: Path) -> bool:
    """Whether a file, if it is there and SQLite's, is in WAL mode."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError:
        return False
    return len(header) == 20 and header.startswith(_MAGIC) and header[18] == 2


def _stamp(path: Path) -> list[tuple[int, int] | None]:
    """Size and modification time of the file and of what is beside it."""
    stamps: list[tuple[int, int] | None] = []
    for end in ("", *BESIDE):
        try:
            status = path.with_name(path.name + end).stat()
            stamps.append((status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            stamps.append(None)
    return stamps


def _size(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def uri(path: Path, mode: str) -> str:
    """A file as SQLite wants to be told it, whatever its name."""
    return f"{path.resolve().as_uri()}?mode={mode}"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def shown(path: Path) -> str:
    """A path as text, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
