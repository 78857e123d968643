"""What every command works with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg
from pg_tools import libpq
from psycopg.conninfo import make_conninfo

from db_backup import server, tools
from db_backup.errors import BackupError
from db_backup.history import History
from db_backup.log import Log
from db_backup.options import Options
from db_backup.store import Store
from db_backup.tools import Tools
from db_backup.watch import Watch


@dataclass(frozen=True)
class Run:
    """One call of the program."""

    options: Options
    log: Log
    store: Store
    watch: Watch
    history: History
    id: str
    into: str = ""  #: the database of ``restore --as``

    @property
    def database(self) -> str:
        """The database's name, from the URL."""
        return str(server.words_of(self.options.url)["dbname"])

    @property
    def ours(self) -> str:
        """How the sessions of all runs on this directory begin their names."""
        where = hashlib.sha256(str(self.store.directory.resolve()).encode()).hexdigest()[:8]
        return f"db_backup {where}"

    @property
    def application(self) -> str:
        """The name of this run's sessions."""
        return f"{self.ours} {self.id}"

    @property
    def tools(self) -> Tools:
        """The server's own programs."""
        words = tools.words(self.options.server_tools, self.options.container)
        return Tools(words, libpq.environment(self.options.url))

    def of(self, database: str) -> Run:
        """The same run on another database of the server."""
        url = make_conninfo(self.options.url, dbname=database)
        return replace(self, options=replace(self.options, url=url), into=database)

    @property
    def restore(self) -> str:
        """The command that brings a set to where this one does."""
        return f"db_backup restore --as {self.into}" if self.into else "db_backup restore"

    def conninfo(self, database: str) -> str:
        """For the arguments of a tool; without a secret."""
        return make_conninfo("", dbname=database, application_name=self.application)

    @contextmanager
    def session(self, database: str = "") -> Iterator[psycopg.Connection]:
        """A session on the server; errors come as a screen."""
        try:
            with server.session(self.options.url, database, self.application) as connection:
                left = max(int(self.watch.left * 1000), 1)
                connection.execute(f"SET statement_timeout = {left}".encode())
                yield connection
        except psycopg.errors.QueryCanceled as error:
            self.watch.check()  # says which limit it was
            raise said(error) from error
        except psycopg.Error as error:
            raise said(error) from error

    def end_sessions(self, database: str = "") -> None:
        """End what this run, and killed ones before it, left on the server; call it with the lock.

        A `docker exec` that is killed leaves its command running in the container.
        """
        with suppress(BackupError), self.session(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE %s AND pid <> pg_backend_pid()",
                [f"{self.ours} %"],
            )


def start(options: Options, log: Log) -> Run:
    """Begin."""
    store = Store(options.dir)
    watch = Watch(options.timeout, options.dir, options.floor)
    return Run(options, log, store, watch, History(store.private), secrets.token_hex(4))


def said(error: psycopg.Error) -> BackupError:
    """What the server said, as one screen."""
    text = (error.diag.message_primary or str(error)).strip()
    details = [" ".join(text.split()), *filter(None, [error.diag.message_detail])]
    state = error.sqlstate or ""
    if state == "55P03":
        return BackupError(
            "somebody keeps a table locked",
            details=details,
            next="see who: SELECT pid, query FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " OR state = 'idle in transaction'",
        )
    if not state or state.startswith("57P"):
        return BackupError(
            "the connection to PostgreSQL was lost", details=details, next="run it again"
        )
    return BackupError("PostgreSQL refused", details=details, next="see the message above")
