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
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

from migrate_db import interruption
from migrate_db.errors import MigrationError
from migrate_db.sqlite import brought, collations, computed, functions, source
from migrate_db.sqlite.source import Snapshot
from migrate_db.visible import decoded

#: As low as it goes.
_NICE = 19
#: Lines of SQLite's findings that are shown.
_SHOWN = 20
#: What it says of a value that contradicts its column's declaration. The row is sound, and is read as it is.
#: A full-text index that lags behind its texts is no loss either: the texts are carried, the index is not.
_ODD = re.compile(
    r"\S+ value in |(?:malformed|unable to validate the) inverted index for FTS\d table "
)

_CHECK = "PRAGMA integrity_check(1000000000)"
_VIRTUAL = "type = 'table' AND sql LIKE 'create virtual table%'"
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
        self._connection = source.open_snapshot(snapshot.path)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Soundness:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():  # else ``demand`` has closed it
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
        self._connection.close()  # its copy of the schema may be large
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
        return (
            "as only indexes are wrong: if one is over what a function computes, run this where Python has the app's"
            f" SQLite; else `sqlite3 COPY REINDEX` in a copy, and migrate the copy; or {advice}"
        )
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

    unconfirmed: set[str] = set()

    def certain(lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if (index := collations.index_in(line)) in over:
                unconfirmed.add(index)
            else:
                yield line

    over: dict[str, set[str]] = {}
    try:
        # an index in an order that only the app knows looks wrong in every row
        doubted = brought.stand_in(connection)
        over = computed.all_indexes(connection)
        found = (decoded(row[0]) for row in _checked(connection, path, over))
        believed = collations.believed(connection, certain(found), doubted)
        said = list(islice(wrong(believed), _SHOWN))
    except sqlite3.Error as error:
        said = [str(error)]
    lines = [line for text in said if text != "ok" for line in text.splitlines()]
    notes = [_unconfirmed(index, over[index]) for index in sorted(unconfirmed - doubted)]
    return lines[:_SHOWN], [*notes[:_SHOWN], *odd]


def _unconfirmed(index: str, functions: set[str]) -> str:
    return (
        f"index {index} is not what SQLite {sqlite3.sqlite_version} makes of its rows by"
        f" {computed.named(functions)}: the app's SQLite computes something else there, or the index is out of date."
        " The rows are sound, and are read without it; values that are worked out so as they are read are this SQLite's"
    )


def _checked(
    connection: sqlite3.Connection, path: Path, over: dict[str, set[str]]
) -> Iterator[tuple[object]]:
    """What SQLite says; without what raises an error because only the app's SQLite can read it.

    From 3.44 on it asks virtual tables, too, and refuses the whole check where one can't be opened.
    So it does where a function that an index stands on refuses a value.
    """
    functions = set().union(*over.values())
    try:
        yield from connection.execute(_CHECK)
        return
    except sqlite3.Error:
        query = f"SELECT 1 FROM main.sqlite_schema WHERE {_VIRTUAL} LIMIT 1"
        virtual = connection.execute(query).fetchone() is not None
        if not (virtual or functions):
            raise
    if virtual:
        try:
            with _without_virtual(path) as other:
                yield from other.execute(_CHECK)
            return
        except sqlite3.Error:
            if not functions:
                raise
    with _without_virtual(path) as other:
        computed.stand_in(other, functions)
        yield from other.execute(_CHECK)


@contextmanager
def _without_virtual(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that knows of no virtual table."""
    without = sqlite3.connect(source.uri(path, "rw"), uri=True, isolation_level=None)
    with closing(without):  # rolls back; nothing is written before a commit
        without.text_factory = bytes
        collations.stand_in(without)
        functions.register(without)
        for setting in ("journal_mode = MEMORY", "cache_spill = OFF", "temp_store = FILE"):
            without.execute(f"PRAGMA {setting}")
        without.execute("BEGIN")
        without.execute("PRAGMA writable_schema = ON")
        without.execute(f"DELETE FROM main.sqlite_schema WHERE {_VIRTUAL}")
        without.execute("PRAGMA writable_schema = RESET")
        brought.stand_in(without)
        # rows that break one are sound, and one may raise an error, too
        without.execute("PRAGMA ignore_check_constraints = ON")
        yield without


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 16):
            digest.update(block)
    return digest.hexdigest()
