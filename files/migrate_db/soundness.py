"""Whether the snapshot is sound, asked in the background while its rows are read already.

Nothing that was read from a damaged file may stay: ``demand`` comes before any commit,
and before anything else that went wrong is told.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path

from migrate_db import brought, collations, source
from migrate_db.errors import MigrationError
from migrate_db.source import Snapshot

#: As low as it goes.
_NICE = 19
#: Lines of SQLite's findings that are shown.
_SHOWN = 20


class Soundness:
    """SQLite's own check of every page and index, and the digest of the file."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._wrong: list[str] = []
        self._digest = ""
        self._failure: Exception | None = None
        self._connection = source.open_snapshot(snapshot)
        with suppress(sqlite3.Error):  # _run says it
            self._connection.execute("PRAGMA cache_size = -256")  # KiB; it is no slower with less
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Soundness:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.interrupt()
        self._thread.join()
        self._connection.close()

    def demand(self) -> str:
        """Wait for the answer.

        Returns:
            the SHA-256 of the snapshot.

        Raises:
            MigrationError: with SQLite's own findings.
        """
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        if self._wrong:
            raise MigrationError(
                "the SQLite file is damaged (integrity_check)",
                where=str(self._snapshot.source),
                details=self._wrong,
                next="restore the file from a good copy, or save what is readable with"
                f" `sqlite3 {self._snapshot.source} .recover`",
            )
        return self._digest

    def _run(self) -> None:
        with suppress(
            OSError
        ):  # it takes what the others leave, as nobody waits for it but at the end
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self._wrong = _wrong(self._connection)
            self._digest = _digest(self._snapshot.path)
        except Exception as error:  # it belongs to who asks
            self._failure = error


def _wrong(connection: sqlite3.Connection) -> list[str]:
    try:
        # an index in an order that only the app knows looks wrong in every row
        doubted = brought.stand_in(connection)
        rows = connection.execute("PRAGMA integrity_check(1000000000)")
        found = (source.text(row[0]) for row in rows)
        said = list(islice(collations.believed(connection, found, doubted), _SHOWN))
    except sqlite3.Error as error:
        said = [str(error)]
    return [line for text in said if text != "ok" for line in text.splitlines()][:_SHOWN]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
