"""Whether the snapshot is sound, asked in the background while its rows are read already.

Nothing that was read from a damaged file may stay: ``demand`` comes before any commit,
and before anything else that went wrong is told.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
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
#: What it says of a value that contradicts its column's declaration. The row is sound, and is read as it is.
_ODD = re.compile(r"\S+ value in ")


class Soundness:
    """SQLite's own check of every page and index, and the digest of the file."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._wrong: list[str] = []
        self._odd: list[str] = []
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

    def odd(self) -> list[str]:
        """What SQLite says of values that contradict their column's declaration; asked after ``demand``."""
        return self._odd

    def _run(self) -> None:
        with suppress(
            OSError
        ):  # it takes what the others leave, as nobody waits for it but at the end
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self._wrong, self._odd = _said(self._connection)
            self._digest = _digest(self._snapshot.path)
        except Exception as error:  # it belongs to who asks
            self._failure = error


def _said(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """What is wrong with the file, and what is odd about its values; each as far as it is shown."""
    odd: dict[str, None] = {}

    def wrong(lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if not _ODD.match(line):
                yield line
            elif len(odd) < _SHOWN:
                odd[line] = None

    try:
        # an index in an order that only the app knows looks wrong in every row
        doubted = brought.stand_in(connection)
        rows = connection.execute("PRAGMA integrity_check(1000000000)")
        found = (source.text(row[0]) for row in rows)
        said = list(islice(wrong(collations.believed(connection, found, doubted)), _SHOWN))
    except sqlite3.Error as error:
        said = [str(error)]
    lines = [line for text in said if text != "ok" for line in text.splitlines()]
    return lines[:_SHOWN], list(odd)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
