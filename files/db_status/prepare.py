"""A role that may look at everything and change nothing, and the extension that counts statements."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from pg_tools.files import publish
from psycopg import sql
from psycopg.conninfo import make_conninfo

from db_status import session
from db_status.errors import StatusError
from db_status.look import said_by

#: On what is ours, so that nothing of somebody else's is taken over or dropped.
_OURS = "Made by db_status: looks at everything, changes nothing."
_HAS_EXTENSION = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"
_LOADED = "SELECT count(*) FROM pg_settings WHERE name = 'pg_stat_statements.max'"
_EXTENSION = "Made by db_status: counts and times of all statements."


@dataclass(frozen=True)
class Wanted:
    """What shall be there.

    Args:
        url: a superuser's, in the app's database.
        role: the role's name.
        passfile: where its password is, in libpq's format; made with one if it isn't there.
        password: the password it shall have; empty: the passfile's, or a new one.
        extension: the database that gets the extension: one that no restore replaces.
        plain: a file for the bare password, for programs that read no passfile.
    """

    url: str
    role: str
    passfile: Path
    password: str = ""
    extension: str = "postgres"
    plain: Path | None = None


@dataclass
class Done:
    """What was changed, in words."""

    changes: list[str] = field(default_factory=list)
    loaded: bool = True  #: whether the server counts statements at all


def prepare(wanted: Wanted) -> Done:
    """Make what is missing. Asks first with the role's own password: a second run changes nothing.

    Raises:
        StatusError: the server refuses, or something of that name is somebody else's.
    """
    done = Done()
    if not wanted.role.strip() or wanted.role == "postgres" or "\n" in wanted.role:
        raise StatusError("the role needs a name of its own", where="--role", next="monitoring")
    password = wanted.password or _kept(wanted.passfile) or secrets.token_urlsafe(24)
    _publish(wanted.passfile, f"*:*:*:{_escaped(wanted.role)}:{_escaped(password)}\n", done)
    if wanted.plain is not None:
        _publish(wanted.plain, f"{password}\n", done)
    if not _as_wanted(wanted, password):
        _make(wanted, password, done)
        if not _as_wanted(wanted, password):
            raise StatusError(
                f"the role {wanted.role} was made, but can't log in over TCP",
                where=session.place(wanted.url),
                next="see pg_hba.conf: its line for this address must allow scram-sha-256",
            )
    with _superuser(wanted.url, wanted.extension) as connection:
        if not _one(connection, _HAS_EXTENSION):
            connection.execute("CREATE EXTENSION pg_stat_statements SCHEMA public")
            connection.execute(
                sql.SQL("COMMENT ON EXTENSION pg_stat_statements IS {}").format(
                    sql.Literal(_EXTENSION)
                )
            )
            done.changes.append(f"extension pg_stat_statements in {wanted.extension}")
        done.loaded = bool(_one(connection, _LOADED))
        if done.loaded:
            _forget_passwords(connection)
    return done


def _forget_passwords(connection: psycopg.Connection) -> None:
    """Somebody who sets a password by hand leaves it, as he wrote it, for every reader of the statements."""
    found = connection.execute(
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'pg_stat_statements'"
    ).fetchone()
    if found is not None:
        # a statement without a text can't be told, and is of a role that may not be looked at
        connection.execute(
            f"SELECT {found[0]}.pg_stat_statements_reset(userid, dbid, queryid)"
            f" FROM {found[0]}.pg_stat_statements"
            " WHERE query ~* '^\\s*(create|alter)\\s+(role|user|group|subscription)\\M.*password'".encode()
        )


def _publish(path: Path, text: str, done: Done) -> None:
    if _text(path) != text:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        publish(path, text)
        done.changes.append(f"password in {path}")


def remove(wanted: Wanted) -> Done:
    """Take away what ``prepare`` made, and nothing else."""
    done = Done()
    with _superuser(wanted.url, wanted.extension) as connection:
        ours = _one(
            connection,
            "SELECT count(*) FROM pg_extension e WHERE extname = 'pg_stat_statements'"
            f" AND obj_description(oid, 'pg_extension') = '{_EXTENSION}'",
        )
        if ours:
            connection.execute("DROP EXTENSION pg_stat_statements")
            done.changes.append(f"extension pg_stat_statements from {wanted.extension}")
    with _superuser(wanted.url, "") as connection:
        if _comment(connection, wanted.role) == _OURS:
            role = sql.Identifier(wanted.role)
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            # a right to connect is kept by each database
            for (name,) in connection.execute(
                "SELECT datname FROM pg_database d WHERE EXISTS (SELECT 1 FROM aclexplode(d.datacl) a"
                " WHERE a.grantee = (SELECT oid FROM pg_roles WHERE rolname = %s))",
                [wanted.role],
            ).fetchall():
                connection.execute(
                    sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(sql.Identifier(name), role)
                )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                [wanted.role],
            )
            connection.execute(sql.SQL("DROP ROLE {}").format(role))
            done.changes.append(f"role {wanted.role}")
    for path in (wanted.passfile, wanted.plain):
        if path is not None and path.exists():
            path.unlink()
            done.changes.append(str(path))
    return done


def _as_wanted(wanted: Wanted, password: str) -> bool:
    """Whether the role gets in with its password, sees everything, and is no more than that."""
    url = make_conninfo(wanted.url, user=wanted.role, password=password, passfile="/dev/null")
    try:
        with session.session(url, "", time.monotonic() + 20) as open_:
            row = open_.row(
                "SELECT pg_has_role(current_user, 'pg_monitor', 'USAGE') AND NOT (rolsuper OR rolcreatedb"
                " OR rolcreaterole OR rolreplication OR rolbypassrls) AND rolconnlimit = 5 AS fine"
                " FROM pg_roles WHERE rolname = current_user"
            )
    except session.NoEntry as error:
        if error.permission:
            return False
        raise _cant_connect(wanted.url, error.said) from None
    except psycopg.Error:
        return False
    return bool(row["fine"])


def _make(wanted: Wanted, password: str, done: Done) -> None:
    role = sql.Identifier(wanted.role)
    with _superuser(wanted.url, "") as connection:
        comment = _comment(connection, wanted.role)
        if comment is not None and comment != _OURS:
            raise StatusError(
                f"there is a role {wanted.role} that isn't ours",
                where=session.place(wanted.url),
                next="choose another name: --role NAME (monitoring_role)",
            )
        # hashed here: no statement, and so no log of the server, ever has the password
        hashed = connection.pgconn.encrypt_password(
            password.encode(), wanted.role.encode(), b"scram-sha-256"
        ).decode()
        attributes = sql.SQL(
            "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
            " CONNECTION LIMIT 5 PASSWORD {}"
        )
        verb = sql.SQL("CREATE" if comment is None else "ALTER")
        with connection.transaction():
            connection.execute(attributes.format(verb, role, sql.Literal(hashed)))
            connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(role, sql.Literal(_OURS)))
            connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))
            connection.execute(
                sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(role)
            )
            for name in {str(connection.info.dbname), wanted.extension}:
                connection.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), role)
                )
    done.changes.append(f"role {wanted.role}")


def _comment(connection: psycopg.Connection, role: str) -> str | None:
    """What is said of a role; empty when nothing is, None when there is none of that name."""
    found = connection.execute(
        "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchone()
    return None if found is None else str(found[0])


def _one(connection: psycopg.Connection, statement: str) -> int:
    found = connection.execute(statement.encode()).fetchone()
    return int(found[0]) if found else 0


@contextmanager
def _superuser(url: str, database: str) -> Iterator[psycopg.Connection]:
    words = session.words_of(url)
    try:
        with psycopg.connect(
            make_conninfo(
                url, dbname=database or str(words["dbname"]), connect_timeout=10,
                application_name="db_status prepare",
                options="-c search_path=pg_catalog -c lock_timeout=10s",
            ),
            autocommit=True,
        ) as connection:  # fmt: skip
            # what makes a role must be in no log, and not among the statements that everybody may look at
            connection.execute(
                "SET log_statement = none; SET pg_stat_statements.track_utility = off"
            )
            yield connection
    except psycopg.OperationalError as error:
        raise _cant_connect(url, " ".join(str(error).split())) from None
    except psycopg.Error as error:
        raise StatusError(
            "PostgreSQL refused", where=session.place(url), details=[said_by(error)],
            next="prepare needs a superuser's URL",
        ) from None  # fmt: skip


def _cant_connect(url: str, said: str) -> StatusError:
    return StatusError(
        "can't connect to PostgreSQL", where=session.place(url), details=[said],
        next="see that the server runs, and that the password (or passfile) is right",
    )  # fmt: skip


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace(":", "\\:")


def _kept(passfile: Path) -> str:
    """The password of a passfile of ours."""
    parts: list[str] = []
    word, escaped = "", False
    for letter in _text(passfile).rstrip("\n"):
        if escaped or letter not in "\\:":
            word, escaped = word + letter, False
        elif letter == "\\":
            escaped = True
        else:
            parts.append(word)
            word = ""
    return word if len(parts) == 4 else ""


def _text(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            os.chmod(path, 0o600)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
