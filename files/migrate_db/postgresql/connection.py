"""A connection to PostgreSQL that can be interrupted while it waits for the server, and only then."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from migrate_db.interruption import Welcome

_T = TypeVar("_T")

# what it says there is of a connection that is given up
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Connection(psycopg.Connection[Any]):
    """See ``interruption``."""

    given_up = False

    def wait(self, gen: PQGen[_T], *args: Any, **words: Any) -> _T:
        """Wait for the server.

        Raises:
            KeyboardInterrupt: what the server was at is cancelled, and the connection closed: half
                a transaction would stay in psycopg's books.
        """
        if self.given_up:  # the end of a COPY, for instance
            raise KeyboardInterrupt
        try:
            with Welcome():
                return super().wait(gen, *args, **words)
        except KeyboardInterrupt:
            self.given_up = True
            self.pgconn.finish()
            raise


def connect(words: str) -> Connection:
    """Open a connection without a transaction.

    Raises:
        psycopg.Error: it can't be opened.
    """
    with Welcome():
        return Connection.connect(words, autocommit=True)
