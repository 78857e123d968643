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
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from migrate_db import interruption
from migrate_db.errors import MigrationError
from migrate_db.sqlite import brought, collations, functions, source
from migrate_db.sqlite.source import Snapshot

#: As low as it goes.
_NICE = 19
#: Lines of SQLite's findings that are shown.
_SHOWN = 20
#: What it says of a value that contradicts its column's declaration. The row is sound, and is read as it is.
#: A full-text index that lags behind its texts is no loss either: the texts are carried, the index is not.
_ODD = re.compile(
    r"\S+ value in |(?:malformed|unable to validate the) inverted index for FTS\d table "
)


#: The rows are there, and an index doesn't agree with them.
_INDEX = re.compile(
    r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index"
)


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
        with interruption.Welcome():
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        if self._wrong:
            raise MigrationError(
                "the SQLite file is damaged (integrity_check)",
                where=str(self._snapshot.source),
                details=self._wrong,
                next=_advice(self._wrong, self._snapshot.source),
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
            self._wrong, self._odd = _said(self._connection, self._snapshot.path)
            self._digest = _digest(self._snapshot.path)
        except Exception as error:  # it belongs to who asks
            self._failure = error


def _advice(wrong: list[str], path: Path) -> str:
    advice = source.recovery(path)
    if all(_INDEX.search(line) for line in wrong):
        # one over what a function computes is so, too, where another SQLite writes a number with other digits
        return f"as only indexes are wrong: `sqlite3 COPY REINDEX` in a copy, and migrate the copy; or {advice}"
    return advice


def _said(connection: sqlite3.Connection, path: Path) -> tuple[list[str], list[str]]:
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
        found = (source.text(row[0]) for row in _checked(connection, path))
        said = list(islice(wrong(collations.believed(connection, found, doubted)), _SHOWN))
    except sqlite3.Error as error:
        said = [str(error)]
    lines = [line for text in said if text != "ok" for line in text.splitlines()]
    return lines[:_SHOWN], list(odd)


def _checked(connection: sqlite3.Connection, path: Path) -> Iterator[tuple[object]]:
    """What SQLite says; without its virtual tables, where one needs what only the app has.

    From 3.44 on it asks them, too, and refuses the whole check where one can't be opened.
    """
    check = "PRAGMA integrity_check(1000000000)"
    try:
        yield from connection.execute(check)
        return
    except sqlite3.Error:
        tables = "type = 'table' AND sql LIKE 'create virtual table%'"
        query = f"SELECT 1 FROM main.sqlite_schema WHERE {tables} LIMIT 1"
        if connection.execute(query).fetchone() is None:
            raise
    without = sqlite3.connect(source.uri(path, "rw"), uri=True, isolation_level=None)
    with closing(without):  # rolls back; nothing is written before a commit
        without.text_factory = bytes
        collations.stand_in(without)
        functions.register(without)
        for setting in ("journal_mode = MEMORY", "cache_spill = OFF", "temp_store = FILE"):
            without.execute(f"PRAGMA {setting}")
        without.execute("BEGIN")
        without.execute("PRAGMA writable_schema = ON")
        without.execute(f"DELETE FROM main.sqlite_schema WHERE {tables}")
        without.execute("PRAGMA writable_schema = RESET")
        brought.stand_in(without)
        yield from without.execute(check)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
