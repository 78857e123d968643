"""Days of samples in one small file: SQLite, so that a kill or a full disk leaves the former state."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from db_status.errors import Exit, StatusError
from db_status.seen import Row

#: By it our file is told from the app's own SQLite file, should somebody name that: "dbst".
_APPLICATION = 0x64627374
#: Broken files that are kept for whoever wants to know why; more would fill the disk.
_BROKEN = 3
_DAY = 86400


@dataclass(frozen=True)
class Sample:
    """One line of the history."""

    at: int  #: seconds since 1970
    body: Row


class History:
    """Samples, the oldest ones going as new ones come.

    Args:
        path: the file; made with its directory when the first sample is added.
        rows: how many are kept.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self._path, self._rows = path, max(rows, 1)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One sampler at a time; the lock ends with its process.

        Raises:
            StatusError: another one is at work, or the directory can't be used.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(f"{self._path}.lock", os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StatusError(
                    "another sample is being taken", where=str(self._path), code=Exit.LOCKED
                ) from None
            yield
        finally:
            os.close(handle)

    def add(self, body: Row, at: int | None = None) -> str:
        """Keep a sample, and let the oldest go; call it with the lock.

        Returns:
            where a broken file was put that was in the way, or nothing.

        Raises:
            StatusError: it can't be written; what was there is as it was.
        """
        aside = ""
        try:
            self._add(body, at)
        except sqlite3.OperationalError as error:
            raise self._unusable(str(error)) from None
        except sqlite3.DatabaseError:
            aside = self._put_aside()
            try:
                self._add(body, at)
            except sqlite3.Error as error:
                raise self._unusable(str(error)) from None
        return aside

    def samples(self, since: int = 0) -> list[Sample]:
        """What is kept, the oldest first; nothing when there is no file yet.

        Raises:
            StatusError: the file can't be read.
        """
        if not self._path.exists() or not self._path.stat().st_size:
            return []
        try:
            with closing(self._open(f"file:{self._path}?mode=rw")) as connection:
                found = connection.execute(
                    "SELECT at, body FROM sample WHERE at BETWEEN ? AND ? ORDER BY at",
                    [max(since, 0), _latest()],
                ).fetchall()
        except sqlite3.Error as error:
            raise StatusError(
                f"the history can't be read: {error}",
                where=str(self._path),
                next="the next `db_status sample` puts a broken file aside and begins a new one",
            ) from None
        return [Sample(at, body) for at, text in found if (body := _parsed(text)) is not None]

    def day_ago(self) -> Row:
        """The sample of about a day ago; the oldest one, while there is none so old."""
        found = self.samples()
        old = [one for one in found if one.at <= time.time() - _DAY]
        return old[-1].body if old else found[0].body if found else {}

    def _add(self, body: Row, at: int | None) -> None:
        with closing(self._open(f"file:{self._path}?mode=rwc")) as connection, connection:
            self._ours(connection)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sample (at INTEGER PRIMARY KEY, body TEXT NOT NULL)"
            )
            connection.execute(
                "INSERT OR REPLACE INTO sample VALUES (?, ?)",
                [int(time.time()) if at is None else at, json.dumps(body, separators=(",", ":"))],
            )
            # by number, not by age: a clock that was wrong for a while must not empty it. What it wrote into the
            # future would never go.
            connection.execute(
                "DELETE FROM sample WHERE at > ? OR at NOT IN"
                " (SELECT at FROM sample WHERE at <= ? ORDER BY at DESC LIMIT ?)",
                [_latest(), _latest(), self._rows],
            )

    def _open(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri.replace("#", "%23"), uri=True, timeout=10)
        connection.execute("PRAGMA busy_timeout = 10000")
        return connection

    def _ours(self, connection: sqlite3.Connection) -> None:
        """A fresh file becomes ours, another program's stays as it is."""
        (found,) = connection.execute("PRAGMA application_id").fetchone()
        if found == _APPLICATION:
            return
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
            raise StatusError(
                "the history is a database of another program",
                where=str(self._path),
                next="name another file: --history FILE",
            )
        connection.execute("PRAGMA auto_vacuum = FULL")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")

    def _put_aside(self) -> str:
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        aside = self._path.with_name(f"{self._path.name}.broken-{now}")
        self._path.rename(aside)
        # a journal that is left would be played into the new file
        Path(f"{self._path}-journal").unlink(missing_ok=True)
        for old in sorted(self._path.parent.glob(f"{self._path.name}.broken-*"))[:-_BROKEN]:
            old.unlink()
        return str(aside)

    def _unusable(self, why: str) -> StatusError:
        return StatusError(
            f"the sample can't be kept: {why}",
            where=str(self._path),
            next="see that there is room and that it may be written: df -h",
        )


def _latest() -> int:
    """A sample that is later than this is of a clock that was wrong."""
    return int(time.time()) + _DAY


def _parsed(text: object) -> Row | None:
    try:
        found = json.loads(str(text))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
