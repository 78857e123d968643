"""Failures of files, SQLite and PostgreSQL as one screen each."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from migrate_db.errors import Exit, MigrationError


def is_about_the_statement(error: Exception) -> bool:
    """Whether another try would fail the same way: not so with a full disk or a lost server."""
    state = getattr(error, "sqlstate", None) or ""
    # 23503: rows without a parent are never left behind in silence
    return bool(state) and state[:2] in ("0A", "22", "23", "42", "54") and state != "23503"


def is_about_the_data(error: Exception) -> bool:
    """Whether PostgreSQL met a value that it doesn't take, or a rule that rows break."""
    return (getattr(error, "sqlstate", None) or "")[:2] in ("22", "23")


def is_about_the_size(error: Exception) -> bool:
    """Whether PostgreSQL met one of its own limits."""
    return (getattr(error, "sqlstate", None) or "").startswith("54")


def explained(error: Exception, place: str) -> MigrationError | None:
    """A failure that needs no traceback, as one screen; None for a mistake of ours."""
    if isinstance(error, MigrationError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name == "psycopg":
        return MigrationError(
            "this Python has no psycopg, which speaks to PostgreSQL",
            where=sys.executable,
            next="pip install 'psycopg[binary]', or `check --source FILE` without a target",
        )
    if isinstance(error, MemoryError):
        return MigrationError(
            "no memory is left for the program",
            next="64 MB are enough: see `ulimit -v`, and what else runs; then run again",
        )
    if isinstance(error, OSError):
        return MigrationError(
            f"a file can't be used: {error.strerror or error}",
            where=str(error.filename or ""),
            next="see that it exists, may be used, and that the disk isn't full; then run again",
        )
    if isinstance(error, sqlite3.Error):
        return MigrationError(
            f"SQLite can't go on: {error}",
            where="the snapshot of the source",
            next="see that --work-dir has room and that the file is sound; then run again",
        )
    psycopg = sys.modules.get("psycopg")  # a preview on a bare host runs without it
    if psycopg is not None and isinstance(error, psycopg.Error):
        return server_said(error, place, committing=False)
    return None


@contextmanager
def or_unknown(place: str) -> Iterator[None]:
    """A step that changes the target at once: who loses the connection can't know whether it counted."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate and not error.sqlstate.startswith("57P"):
            raise
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise _perhaps_done("the connection was lost", place, said) from None
    except KeyboardInterrupt:
        raise _perhaps_done("interrupted", place, []) from None


def _perhaps_done(why: str, place: str, said: list[str]) -> MigrationError:
    return MigrationError(
        f"{why} while it was being done: it may have happened, or not",
        where=place,
        details=said,
        next="run the same command again, or see: migrate_db status",
        code=Exit.CHANGED,
    )


def unknown(place: str, details: list[str]) -> MigrationError:
    return MigrationError(
        "the connection was lost while the last step was being published",
        where=place,
        details=details,
        next="run the same command again: it says whether everything arrived",
        code=Exit.CHANGED,
    )


def too_few_locks(place: str, details: list[str]) -> MigrationError:
    """Each table, index and sequence that one transaction makes is a lock."""
    return MigrationError(
        "the source has more tables than the server has locks for",
        where=place,
        details=details,
        next="raise max_locks_per_transaction (ALTER SYSTEM SET max_locks_per_transaction = 1024),"
        " restart the server, then run again; nothing was changed",
    )


def server_said(error: Exception, place: str, committing: bool) -> MigrationError:
    """A PostgreSQL error as one screen."""
    diagnosis = getattr(error, "diag", None)
    text = (getattr(diagnosis, "message_primary", None) or str(error)).strip()
    said = [text, getattr(diagnosis, "message_detail", None) or ""]
    details = [line.strip() for part in said for line in part.splitlines()]
    state = getattr(error, "sqlstate", None) or ""
    if committing and not state:
        return unknown(place, details)
    if state == "53200" and "shared memory" in text:
        return too_few_locks(place, details)
    advice = "run the same command again; nothing was changed"
    what = "PostgreSQL refused"
    if state in ("53100", "53200"):
        what = (
            "PostgreSQL has no disk space left"
            if state == "53100"
            else "PostgreSQL has no memory left"
        )
        advice = "free some space on the server, then run again; nothing was changed"
    elif state == "55P03":
        what = "somebody is using the tables"
        advice = "stop the app that is connected to the target, then run again"
    elif state == "42501" and "row-level security" in text:
        what = "a policy of the target hides rows from this role"
        advice = (
            "connect as a role that sees all of them (ALTER ROLE … BYPASSRLS), or ALTER TABLE … DISABLE"
            " ROW LEVEL SECURITY; nothing was changed"
        )
    elif state == "42501":
        what = "the role may not do that"
        advice = "GRANT it, or connect as the owner of database and schema; nothing was changed"
    elif is_about_the_data(error):
        details += _place(diagnosis)
        advice = "correct the value in the source, or the target's own table; nothing was changed"
        if state == "23503":
            advice = (
                "include the table that is pointed at, too; or, if the source has no such key any more: ALTER TABLE …"
                " DROP CONSTRAINT …; nothing was changed"
            )
    elif is_about_the_size(error):
        what = "PostgreSQL can't hold a table that is so wide"
        advice = "leave columns or the table out: `exclude: true` in --mapping; nothing was changed"
        details += _place(diagnosis)
    elif not state or state.startswith("57P"):
        what = "the connection to PostgreSQL was lost"
    return MigrationError(what, where=place, details=details, next=advice)


def _place(diagnosis: object) -> list[str]:
    """Where COPY was: the table, the row by its place in the order of the key, the column."""
    said = getattr(diagnosis, "context", None) or ""
    copied = re.match(r"COPY [^\n]*?, line \d+(?:, column [^\n:]*)?", said)
    return [copied[0]] if copied else []
