"""A session that only reads, never waits for a lock, and ends by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from db_status.errors import Exit, StatusError
from db_status.seen import Row

OLDEST = 14
NEWEST = 18
#: Whoever looks must not be in the way: an answer is late, or it doesn't come.
_SESSION = (
    "-c statement_timeout={timeout}s -c lock_timeout=500ms -c default_transaction_read_only=on"
    " -c idle_in_transaction_session_timeout=10s -c search_path=pg_catalog -c TimeZone=UTC"
    " -c max_parallel_workers_per_gather=0 -c jit=off"
)
NAME = "db_status"


class NoEntry(Exception):
    """The server lets nobody in; ``permission`` tells a locked door from an empty house.

    Args:
        said: the server's or libpq's words, without a password.
        permission: it answered, but not to us.
        full: it has no connection left.
    """

    def __init__(self, said: str, *, permission: bool = False, full: bool = False) -> None:
        super().__init__(said)
        self.said, self.permission, self.full = said, permission, full


@dataclass
class Session:
    """One database of the server, until ``deadline``."""

    connection: psycopg.Connection[Row]
    deadline: float
    milliseconds: float = field(default=0.0)

    @property
    def major(self) -> int:
        """17 of 17.5."""
        return self.connection.info.server_version // 10000

    def rows(self, statement: str, words: dict[str, Any] | None = None) -> list[Row]:
        """Every row of a query.

        Raises:
            psycopg.Error: the server's words; or that time is up.
        """
        begun = time.monotonic()
        if begun > self.deadline:
            raise psycopg.OperationalError("the time for all questions is up (--timeout)")
        try:
            return self.connection.execute(statement.encode(), words).fetchall()
        finally:
            self.milliseconds += (time.monotonic() - begun) * 1000

    def row(self, statement: str, words: dict[str, Any] | None = None) -> Row:
        """The only row."""
        found = self.rows(statement, words)
        return found[0] if found else {}


def words_of(url: str) -> dict[str, Any]:
    """The parts of a URL.

    Raises:
        StatusError: it is none; the URL itself, which may hold a password, is not shown.
    """
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        found = {}
    if not found.get("dbname"):
        raise StatusError(
            "the database is not a PostgreSQL URL" if url else "no database was given",
            where="--database (or DATABASE_URL)",
            next="on the VPS run it as root, who may read its settings; elsewhere write it as"
            " postgresql://monitoring@127.0.0.1:5432/DATABASE?passfile=FILE",
            code=Exit.USAGE,
        )
    return found


def place(url: str) -> str:
    """Who, where and which, for a message."""
    words = words_of(url)
    return f"{words.get('user', '')}@{words.get('host', 'localhost')}:{words.get('port', 5432)}/{words['dbname']}"


@contextmanager
def session(url: str, database: str, deadline: float) -> Iterator[Session]:
    """A connection to one database.

    Args:
        database: its name; of the URL, when empty.
        deadline: as ``time.monotonic`` counts.

    Raises:
        NoEntry: there is no way in.
    """
    words = words_of(url)
    # a statement that takes longer than half of all the time would leave the others none
    timeout = max(int((deadline - time.monotonic()) / 2), 1)
    try:
        connection = psycopg.connect(
            make_conninfo(
                url,
                dbname=database or str(words["dbname"]),
                application_name=NAME,
                connect_timeout=5,
                options=f"{words.get('options', '')} {_SESSION.format(timeout=timeout)}".strip(),
            ),
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise _no_entry(error) from None
    with connection:
        yield Session(connection, deadline)


#: What libpq prints before the server's own words; it has no SQLSTATE for a refused connection.
_FULL = ("too many clients", "remaining connection slots", "too many connections")
_DENIED = (
    "authentication failed", "permission denied", "no pg_hba.conf entry", "no password supplied",
    "is not permitted to log in", "does not exist", "fe_sendauth", "not currently accepting",
)  # fmt: skip


def _no_entry(error: psycopg.Error) -> NoEntry:
    said = " ".join(str(error).split())
    full = any(word in said for word in _FULL)
    return NoEntry(said, permission=any(word in said for word in _DENIED) and not full, full=full)
