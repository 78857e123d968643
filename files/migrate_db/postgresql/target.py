"""The PostgreSQL side: one connection with known settings, and what is there already."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrate_db import sql
from migrate_db.errors import Exit, MigrationError

if TYPE_CHECKING:  # a preview on a bare host reads the source without psycopg
    import psycopg

#: Key of the advisory lock: one run per database, from whatever machine.
_LOCK = 0x6D69_6772_6174_6521
#: Seconds to wait for the server to notice that a killed run is gone.
_LOCK_WAIT = 5.0
_OLDEST = 140000

# Values and names must mean the same on every server, rows that a policy hides are an error, nothing but us may end the
# session, and a table that was just loaded is read in the order in which its rows lie.
_SESSION = """
SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';
SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET standard_conforming_strings = on;
SET default_transaction_read_only = off; SET row_security = off; SET quote_all_identifiers = off;
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET lock_timeout = '10s'; SET client_connection_check_interval = '1s';
SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6;
SET tcp_user_timeout = '120s';
SET transform_null_equals = off; SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0
"""

# Not every version has them. And what PostgreSQL itself has goes before what an app calls the same.
_SESSION_TOO = """
SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name IN ('transaction_timeout', 'idle_session_timeout');
SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog',
                             nullif(pg_catalog.current_setting('search_path'), '')), false)
"""

# What was proved must be on the disk when the server says so, whatever the app is content with. One that waits for its
# standbys, too, goes on to do so.
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""


#: What a column ``a`` of ``pg_attribute`` is made of, where its type is a domain: type, size, and whether it takes
#: no NULL.
WITHOUT_DOMAIN = """
    LATERAL (WITH RECURSIVE made AS (
            SELECT 0 AS depth, a.atttypid AS type, a.atttypmod AS size, false AS not_null
            UNION ALL
            SELECT depth + 1, t.typbasetype, t.typtypmod, not_null OR t.typnotnull
            FROM made JOIN pg_type t ON t.oid = made.type WHERE t.typtype = 'd')
        SELECT type, size, not_null FROM made ORDER BY depth DESC LIMIT 1)
"""


@dataclass(frozen=True)
class TargetColumn:
    """A column that the target already has."""

    name: str
    type: str  #: as ``format_type`` prints it; of a domain, what it is made of
    not_null: bool
    has_default: bool  #: default, identity or generated
    generated: bool
    labels: tuple[str, ...] = ()  #: of an ENUM


@dataclass(frozen=True)
class Reference:
    """A validated foreign key of a table that the target already has."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    is_full: bool  #: all of its columns are NULL, or none


@dataclass(frozen=True)
class TargetTable:
    """A table that the target already has."""

    name: str
    columns: tuple[TargetColumn, ...]
    rows: int
    uniques: tuple[tuple[str, ...], ...] = ()  #: columns of its keys and plain unique indexes
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class Target:
    """An open connection and where it goes; never holds the password."""

    connection: psycopg.Connection
    host: str
    port: int
    database: str
    user: str
    server_version: str
    schema: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    def execute(self, statement: str) -> psycopg.Cursor:
        """Run SQL that was composed here, with names quoted by ``sql``."""
        return self.connection.execute(statement.encode())

    def perform(self, statement: str) -> None:
        """Run one statement that has a part of the source's own SQL: the server refuses a second one."""
        self.connection.execute(statement.encode(), binary=True)

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Read everything as it is now, whatever others write meanwhile; write nothing."""
        with self.connection.transaction():
            self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def value(self, statement: str) -> object:
        """The single value of a query."""
        row = self.execute(statement).fetchone()
        return None if row is None else row[0]


def connect(url: str, schema: str) -> Target:
    """Open a session with fixed settings.

    Raises:
        MigrationError: with the cause and the next command, without the password.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from migrate_db.postgresql.connection import connect as open_

    try:
        words = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise _not_a_url() from None
    if _is_torn(words):
        raise _not_a_url()
    place = f"{words.get('user', '')}@{words.get('host', 'localhost')}:{words.get('port', 5432)}"
    place += f"/{words.get('dbname', '')}"
    defaults: dict[str, str | int] = {
        "connect_timeout": 10,
        "application_name": "migrate_db",
        # a network that is gone says nothing; two minutes without an answer of the other machine
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 6,
        "tcp_user_timeout": 120_000,
    }
    missing = {key: value for key, value in defaults.items() if key not in words}
    if words.get("target_session_attrs") == "read-write":
        # it turns away from a leader where the role is held read-only, too
        missing["target_session_attrs"] = "primary"
    try:
        connection = open_(make_conninfo(url, **missing))
    except psycopg.Error as error:
        raise _refused(str(error), place) from None
    try:
        _examine(connection, place)
        connection.execute(_SESSION)
        connection.execute(_SESSION_TOO)
        connection.execute(_DURABLE)
    except psycopg.Error as error:
        connection.close()
        raise _refused(str(error), place) from None
    except MigrationError:
        connection.close()
        raise
    return Target(
        connection=connection,
        host=connection.info.host,
        port=connection.info.port,
        database=connection.info.dbname,
        user=connection.info.user,
        server_version=connection.info.parameter_status("server_version") or "?",
        schema=schema,
    )


def _is_torn(words: dict[str, Any]) -> bool:
    """Whether an @, : or / of a password ended up in another word; then none may be shown."""
    ports = str(words.get("port", ""))
    places = (str(words.get(key, "")) for key in ("host", "dbname"))
    return any("@" in place for place in places) or not re.fullmatch(r"[0-9,]*", ports)


def _not_a_url() -> MigrationError:
    return MigrationError(
        "the target is not a PostgreSQL URL",
        where="--target (or DATABASE_URL)",
        next="write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE, with"
        " % @ : / # in user and password percent-encoded",
        code=Exit.USAGE,
    )


def _examine(connection: psycopg.Connection, place: str) -> None:
    if connection.info.server_version < _OLDEST:
        version = connection.info.parameter_status("server_version")
        raise MigrationError(f"PostgreSQL {version} is too old; 14 or newer is needed", where=place)
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is not None and int(row[0]) != connection.info.backend_pid:
        raise MigrationError(
            "a pooler stands before the server: sessions that may write would outlive close and --hold",
            where=place,
            next="connect to the server itself, past pgbouncer or the like",
        )
    row = connection.execute("SHOW server_encoding").fetchone()
    if row is None or row[0] != "UTF8":
        raise MigrationError(
            f"the database's encoding is {_word(row[0]) if row else 'unknown'}, not UTF8",
            where=place,
            next="make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
        )


def _word(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _refused(message: str, place: str) -> MigrationError:
    text = " ".join(message.split())
    hints = (
        ("password authentication failed", "the password is wrong",
         "correct it in --target, DATABASE_URL or the passfile"),
        ("no password supplied", "no password was given",
         "put it into DATABASE_URL or a passfile (postgresql.org/docs/current/libpq-pgpass.html)"),
        # of several hosts each has its complaint: what comes first here is what stands in the way
        ("certificate", "the server's certificate is not to be trusted, as the address has it",
         "see sslmode and sslrootcert in --target, and the name and the dates of the certificate"),
        ("is read-only", "no host takes writes", "see that the cluster has a leader"),
        ("hot standby mode", "no host takes writes", "see that the cluster has a leader"),
        ("refused", "nothing listens there",
         "start the server (docker start brainer-postgres), or correct host and port in --target"),
        ("resolve", "the host name is unknown", "correct the host in --target"),
        ("translate host", "the host name is unknown", "correct the host in --target"),
        ("timeout", "the server did not answer in time", "check host, port and firewall"),
        ("does not exist", "the database or role is missing", "create it, or correct the URL"),
        ("permission denied", "the role may not connect to this database",
         "GRANT CONNECT ON DATABASE … TO …"),
    )  # fmt: skip
    for sign, what, advice in hints:
        if sign in text:
            return MigrationError(
                f"can't connect to PostgreSQL: {what}", where=place, details=[text], next=advice
            )
    return MigrationError(
        "can't connect to PostgreSQL", where=place, details=[text], next="check --target"
    )


def lock(target: Target) -> None:
    """Take the lock that lets one run at a time touch this database.

    Raises:
        MigrationError: another run holds it (exit code 4).
    """
    if target.value("SELECT pg_is_in_recovery()"):
        raise MigrationError(
            "this server is a standby: it takes no writes, and may not know yet what the leader knows",
            where=str(target),
            next="connect to the leader; nothing was changed",
        )
    deadline = time.monotonic() + _LOCK_WAIT
    while not target.value(f"SELECT pg_try_advisory_lock({_LOCK})"):
        if time.monotonic() > deadline:
            raise MigrationError(
                "another run is working on this database",
                where=str(target),
                next="wait for it, or see it with: SELECT pid, state, query FROM"
                " pg_stat_activity WHERE application_name = 'migrate_db'",
                code=Exit.LOCKED,
            )
        time.sleep(0.2)


def tables(target: Target, wanted: set[str]) -> dict[str, TargetTable]:
    """Those of the wanted tables that the target already has, with their row counts."""
    found: dict[str, list[TargetColumn]] = {}
    rows = target.connection.execute(
        """
        SELECT c.relname, a.attname, format_type(b.type, b.size), a.attnotnull OR b.not_null,
               a.atthasdef OR a.attidentity <> '', a.attgenerated <> '',
               ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = b.type
                     ORDER BY enumsortorder)
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN """
        + WITHOUT_DOMAIN
        + """ b ON true
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p')
        ORDER BY c.relname, a.attnum
        """,
        (target.schema, list(wanted)),
    ).fetchall()
    for table, column, kind, not_null, has_default, generated, labels in rows:
        columns = found.setdefault(table, [])
        if column is not None:
            columns.append(
                TargetColumn(column, kind, not_null, has_default, generated, tuple(labels))
            )
    uniques, references = _uniques(target, list(found)), _references(target, list(found))
    return {
        table: TargetTable(
            table,
            tuple(columns),
            _count(target, table),
            tuple(uniques.get(table, ())),
            tuple(references.get(table, ())),
        )
        for table, columns in found.items()
    }


def _uniques(target: Target, tables: list[str]) -> dict[str, list[tuple[str, ...]]]:
    rows = target.connection.execute(
        """
        SELECT c.relname, ARRAY(SELECT a.attname::text
                                FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
                                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.num
                                WHERE o.n <= i.indnkeyatts ORDER BY o.n)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND i.indisunique
          AND i.indpred IS NULL AND i.indexprs IS NULL
        ORDER BY 1, 2
        """,
        (target.schema, tables),
    ).fetchall()
    found: dict[str, list[tuple[str, ...]]] = {}
    for table, columns in rows:
        found.setdefault(table, []).append(tuple(columns))
    return found


def _references(target: Target, tables: list[str]) -> dict[str, list[Reference]]:
    rows = target.connection.execute(
        """
        SELECT c.relname,
               ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num
                     ORDER BY o.n),
               p.relname,
               ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
                     JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num
                     ORDER BY o.n),
               k.confmatchtype = 'f'
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        JOIN pg_class p ON p.oid = k.confrelid AND p.relnamespace = c.relnamespace
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND k.contype = 'f' AND k.convalidated
        ORDER BY 1, k.conname
        """,
        (target.schema, tables),
    ).fetchall()
    found: dict[str, list[Reference]] = {}
    for table, columns, parent, others, is_full in rows:
        key = Reference(tuple(columns), parent, tuple(others), is_full)
        found.setdefault(table, []).append(key)
    return found


def relation_names(target: Target) -> set[str]:
    """All names of the schema that a table, an index, a sequence or a view has."""
    rows = target.connection.execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s",
        (target.schema,),
    ).fetchall()
    return {row[0] for row in rows}


def _count(target: Target, table: str) -> int:
    return int(str(target.value(f"SELECT count(*) FROM {sql.qualified(target.schema, table)}")))
