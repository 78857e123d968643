"""One look at everything. What can't be seen is noted, and the next question is asked all the same."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import psycopg

from db_status import host, queries
from db_status.options import Options
from db_status.seen import Row, Seen, Unseen
from db_status.session import NEWEST, OLDEST, NoEntry, Session, place, session

#: Tables that are asked for their size; each costs the server some look-ups in its directory.
MOST_TABLES = 1000
MOST_STATEMENTS = 20
_MB = 1024 * 1024

PREPARE = "db_status prepare (or site.yml --tags monitoring)"


def look(options: Options) -> Seen:
    """Server, host and backups; raises nothing for what it can't see."""
    seen = Seen(at=now(), host=socket.gethostname())
    at_host(seen, options)
    at_backups(seen, options)
    at_server(seen, options)
    return seen


def now() -> str:
    """This moment, in UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def at_host(seen: Seen, options: Options) -> None:
    """Disks, memory, containers."""
    try:
        seen.disks = host.disks(options.disks)
    except OSError as error:
        seen.unseen.append(Unseen("disks", str(error), "correct --disks"))
    seen.memory = host.memory()
    try:
        seen.containers = host.containers()
    except host.NoEngine as error:
        if options.container or "no docker command" not in str(error):
            next_ = "run it as root; systemctl status docker"
            seen.unseen.append(Unseen("containers", str(error), next_))


def at_backups(seen: Seen, options: Options) -> None:
    """What ``db_backup`` says."""
    if not options.backup_command:
        return
    try:
        seen.backups = host.backups(options.backup_command)
    except host.NoBackups as error:
        seen.unseen.append(Unseen("backups", str(error), "db_backup status"))


def at_server(seen: Seen, options: Options) -> None:
    """Everything that the server can tell."""
    deadline = time.monotonic() + options.timeout
    try:
        with session(options.url, "", deadline) as open_:
            _server(seen, open_, options)
            seen.cost_ms += open_.milliseconds
            return
    except NoEntry as error:
        if not error.permission:
            seen.down = error.said
            return
        seen.unseen.append(
            Unseen("the database", f"{place(options.url)}: {error.said}", PREPARE)
        )  # fmt: skip
    except psycopg.Error as error:
        seen.down = " ".join(str(error).split())
        return
    # it is not ours to see, but the server as a whole may be
    try:
        with session(options.url, options.statements_database, deadline) as open_:
            _server(seen, open_, options)
            seen.cost_ms += open_.milliseconds
    except (NoEntry, psycopg.Error):
        return


def _server(seen: Seen, open_: Session, options: Options) -> None:
    if open_.major < OLDEST:
        seen.unseen.append(
            Unseen("the server", f"PostgreSQL {open_.major} is too old to be asked",
                   f"this program knows PostgreSQL {OLDEST} to {NEWEST}")
        )  # fmt: skip
        return
    if open_.major > NEWEST:
        seen.notes.append(
            f"PostgreSQL {open_.major} is newer than this program, which knows {OLDEST} to {NEWEST}"
        )
    asked = _Asked(seen, open_, options.limited)
    seen.server = asked.one("the server", queries.SERVER)
    if seen.server and not seen.server["sees_all"]:
        who = seen.server["user"]
        what = "statements and states of other roles"
        if options.limited:
            seen.notes.append(
                f"not seen: {what}, and the WAL's size; the server's administrator can change that:"
                f" GRANT pg_monitor TO {who}"
            )
        else:
            seen.unseen.append(Unseen(what, f"{who} is no member of pg_monitor", PREPARE))
    seen.connections = asked.one("connections", queries.CONNECTIONS)
    seen.databases = asked.all("databases", queries.DATABASES)
    seen.tables = asked.all("tables", queries.TABLES, {"most": MOST_TABLES})
    seen.indexes = asked.all("indexes", queries.INDEXES, {"least": options.unused_index_mb * _MB})
    seen.transactions = asked.all("transactions", queries.TRANSACTIONS)
    seen.locks = asked.all("locks", queries.LOCKS)
    for row in [*seen.transactions, *seen.locks]:
        row["query"] = without_secrets(row["query"])
    for row in seen.locks:
        row["blocking_query"] = without_secrets(row["blocking_query"])
    newer = open_.major >= 17
    seen.checkpoints = asked.one(
        "checkpoints", queries.CHECKPOINTS_17 if newer else queries.CHECKPOINTS_16
    )
    seen.wal = asked.one("WAL", queries.WAL) | asked.one("size of the WAL", queries.WAL_SIZE)
    seen.slots = asked.all("replication slots", queries.SLOTS)
    seen.replicas = asked.all("replicas", queries.REPLICAS)
    _statements(seen, open_, options)


def _statements(seen: Seen, open_: Session, options: Options) -> None:
    def ask(there: Session, schema: str) -> None:
        asked = _Asked(seen, there, options.limited)
        fill = {"schema": schema}
        seen.statements = asked.all(
            "statements", queries.STATEMENTS.format(**fill), {"most": MOST_STATEMENTS}
        )
        for row in seen.statements:
            row["query"] = without_secrets(row["query"])
        seen.statements_total = asked.one(
            "statements in total", queries.STATEMENTS_TOTAL.format(**fill)
        )

    why = at_extension(open_, options, ask)
    if why and options.limited:
        seen.notes.append(f"slowest statements: {why}")
    else:
        seen.statements_why = why


#: A utility statement is kept as it was written, with all its values: a literal after the word, or a connection string.
_LITERAL = re.compile(
    r"(\bpassword\s*=?\s*)(?:E?'(?:[^'\\]|''|\\.)*(?:'|$)|\$\w*\$.*)", re.I | re.S
)
_WORD = re.compile(r"(\bpassword\s*=\s*)[^\s'\"$;)][^\s'\";)]*", re.I)


def without_secrets(query: str | None) -> str | None:
    """A statement without the passwords that it sets."""
    return query and _WORD.sub(r"\1***", _LITERAL.sub(r"\1'***'", query))


def at_extension(open_: Session, options: Options, ask: Callable[[Session, str], None]) -> str:
    """Call ``ask`` with a session whose database has pg_stat_statements, and its schema.

    Returns:
        why that was not possible, or nothing.
    """
    try:
        found = open_.row(queries.EXTENSION)
        if found or open_.connection.info.dbname == options.statements_database:
            return _ask(open_, found, ask)
        url_database = options.statements_database
        with session(options.url, url_database, open_.deadline) as there:
            said = _ask(there, there.row(queries.EXTENSION), ask)
            open_.milliseconds += there.milliseconds
            return said
    except NoEntry as error:
        return f"the database {options.statements_database}: {error.said}"
    except psycopg.Error as error:
        return said_by(error)


def _ask(there: Session, found: Row, ask: Callable[[Session, str], None]) -> str:
    if not found:
        return f"the extension pg_stat_statements is not in the database {there.connection.info.dbname}"
    if not found["loaded"]:
        return "pg_stat_statements is not loaded by the server"
    ask(there, str(found["schema"]))
    return ""


def said_by(error: psycopg.Error) -> str:
    """The server's words on one line."""
    return " ".join((error.diag.message_primary or str(error)).split())


class _Asked:
    """Questions of which each may fail for itself."""

    def __init__(self, seen: Seen, open_: Session, limited: bool) -> None:
        self._seen, self._open, self._limited = seen, open_, limited

    def all(self, what: str, statement: str, words: dict[str, Any] | None = None) -> list[Row]:
        try:
            try:
                return self._open.rows(statement, words)
            except psycopg.errors.LockNotAvailable:
                # somebody locked a table between two of the query's own looks: the second sees it
                return self._open.rows(statement, words)
        except psycopg.errors.InsufficientPrivilege as error:
            if not self._limited:
                self._seen.unseen.append(Unseen(what, said_by(error), PREPARE))
            return []
        except psycopg.Error as error:
            if self._open.connection.broken and not self._seen.down:
                self._seen.down = said_by(error)
            self._seen.unseen.append(Unseen(what, said_by(error), _next(error)))
            return []

    def one(self, what: str, statement: str) -> Row:
        found = self.all(what, statement)
        return found[0] if found else {}


def _next(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return "the server is busy: run it again, or with a longer --timeout"
    return "run it again; if it stays, report it with the version of the server"
