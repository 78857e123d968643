"""A session on the server, with settings under which the same values give the same text."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from db_backup.errors import BackupError, Exit

#: pg_dump of an older server can't be told to use a snapshot's settings as we need them.
_OLDEST = 140000

# Whoever reads a value later, on whatever server, must read the same text.
_SESSION = """
SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';
SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmlbinary = 'base64';
SET search_path = pg_catalog; SET row_security = off; SET default_transaction_read_only = off;
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET client_connection_check_interval = '1s'
"""
# Roles come with their hashes: pg_stat_statements, where there is one, must not show them. Only a superuser may say so,
# and nobody else ever gets a hash.
_UNCOUNTED = "SET pg_stat_statements.track_utility = off"


@dataclass(frozen=True)
class Database:
    """What a database is, apart from what is in it."""

    name: str
    owner: str
    encoding: str
    provider: str  #: c (libc), i (ICU) or b (builtin)
    collate: str
    ctype: str
    locale: str  #: of ICU or builtin, else empty
    acl: list[
        list[str]
    ]  #: grantee ('' is PUBLIC), privilege, 'grantable' or ''; empty: the default
    settings: list[list[str]]  #: role ('' is every one), name, value
    bytes: int


@dataclass(frozen=True)
class Image:
    """The image the server runs from; empty where there is no container."""

    name: str = ""
    id: str = ""
    digest: str = ""


def words_of(url: str) -> dict[str, Any]:
    """The parts of a URL.

    Raises:
        BackupError: it is none; the URL itself, which may hold a password, is not shown.
    """
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        found = {}
    if not found.get("dbname"):
        raise BackupError(
            "the database is not a PostgreSQL URL" if url else "no database was given",
            where="--database (or DATABASE_URL)",
            next="write it as postgresql://postgres@127.0.0.1:5432/DATABASE?passfile=FILE",
            code=Exit.USAGE,
        )
    return found


@contextmanager
def session(url: str, database: str, name: str) -> Iterator[psycopg.Connection]:
    """A connection to one database of the server, in autocommit.

    Args:
        database: its name; of the URL, when empty.
        name: the application_name, by which a later run finds what this one left.

    Raises:
        BackupError: there is no way in; says why, without the password.
    """
    words = words_of(url)
    database = database or str(words["dbname"])
    place = f"{words.get('user', '')}@{words.get('host', 'localhost')}:{words.get('port', 5432)}/{database}"
    try:
        connection = psycopg.connect(
            make_conninfo(url, dbname=database, application_name=name, connect_timeout=10),
            autocommit=True,
            row_factory=tuple_row,
        )
    except psycopg.OperationalError as error:
        raise BackupError(
            "can't connect to PostgreSQL",
            where=place,
            details=[" ".join(str(error).split())],
            next="see that the server runs, and that the password (or passfile) is right",
        ) from None
    with connection:
        if connection.info.server_version < _OLDEST:
            raise BackupError("PostgreSQL 14 or newer is needed", where=place)
        connection.execute(_SESSION)
        with suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute(_UNCOUNTED)
        yield connection


def value(connection: psycopg.Connection, statement: str, *words: object) -> Any:
    """The single value of a query."""
    row = connection.execute(statement.encode(), words or None).fetchone()
    return None if row is None else row[0]


def major(connection: psycopg.Connection) -> int:
    """17 of 17.5."""
    return connection.info.server_version // 10000


def reads_hashes(connection: psycopg.Connection) -> bool:
    """Whether the role may read the passwords of the server's roles, as superusers do."""
    return bool(value(connection, "SELECT has_table_privilege('pg_authid', 'SELECT')"))


def demand_rights(connection: psycopg.Connection, database: str) -> None:
    """A restore makes a database beside the live one, and renames both.

    Raises:
        BackupError: the role may not; with the SQL that would let it.
    """
    row = connection.execute(
        "SELECT current_user::text, rolsuper OR rolcreatedb, rolsuper OR coalesce((SELECT"
        " pg_has_role(current_user, datdba, 'USAGE') FROM pg_database WHERE datname = %s), true)"
        " FROM pg_roles WHERE rolname = current_user",
        [database],
    ).fetchone()
    assert row is not None
    role, creates, owns = row
    lacking = [] if creates else [f'ALTER ROLE "{role}" CREATEDB;']
    lacking += [] if owns else [f'ALTER DATABASE "{database}" OWNER TO "{role}";']
    if lacking:
        raise BackupError(
            f"the role {role} may not make a database beside the live one, which a restore needs",
            where=database,
            details=["Nothing was changed. What the server's administrator can do:", *lacking],
            next="have him do that; or look into a set without the server: db_backup with NAME -- psql",
        )


def describe(connection: psycopg.Connection) -> Database:
    """The database that the session is in."""
    row = connection.execute(
        """
        SELECT to_jsonb(d) ->> 'datlocprovider', datcollate, datctype,
               coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),
               pg_encoding_to_char(encoding), pg_get_userbyid(datdba), datname::text,
               pg_database_size(oid), datacl IS NULL
        FROM pg_database d WHERE datname = current_database()
        """
    ).fetchone()
    assert row is not None
    acl = connection.execute(
        """
        SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END,
               a.privilege_type, CASE WHEN a.is_grantable THEN 'grantable' ELSE '' END
        FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database()
        ORDER BY 1, 2, 3
        """
    ).fetchall()
    settings = connection.execute(
        """
        SELECT CASE s.setrole WHEN 0 THEN '' ELSE pg_get_userbyid(s.setrole)::text END,
               split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
        FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
        WHERE d.datname = current_database() ORDER BY 1, 2
        """
    ).fetchall()
    return Database(
        name=row[6], owner=row[5], encoding=row[4], provider=row[0] or "c", collate=row[1],
        ctype=row[2], locale=row[3], acl=[list(entry) for entry in acl],
        settings=[list(entry) for entry in settings], bytes=row[7],
    )  # fmt: skip


def create(connection: psycopg.Connection, name: str, like: Database) -> None:
    """An empty database with the owner, encoding and order of text of another; closed to the app."""
    words: list[sql.Composable] = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {}").format(
            sql.Identifier(name), sql.Identifier(like.owner), sql.Literal(like.encoding)
        ),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(
            sql.Literal(like.collate), sql.Literal(like.ctype)
        ),
    ]
    if like.provider == "i":
        words.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(like.locale)))
    elif like.provider == "b":
        words.append(
            sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(like.locale))
        )
    elif connection.info.server_version >= 150000:
        words.append(sql.SQL("LOCALE_PROVIDER libc"))
    connection.execute(sql.SQL(" ").join(words))
    connection.execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
    )


def admit(connection: psycopg.Connection, name: str, like: Database) -> None:
    """Rights and settings of a database as they were; pg_dump leaves them out without --create."""
    database = sql.Identifier(name)
    if like.acl:
        owner = sql.Identifier(like.owner)
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(database, owner)
        )
        for grantee, privilege, grantable in like.acl:
            to = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
            option = sql.SQL(" WITH GRANT OPTION" if grantable and grantee else "")
            connection.execute(
                sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                    sql.SQL(privilege), database, to, option
                )
            )
    else:
        connection.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(database)
        )
    for role, setting, given in like.settings:
        whose = (
            sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)
            if role
            else sql.SQL("ALTER DATABASE {}").format(database)
        )
        connection.execute(
            sql.SQL("{} SET {} TO {}").format(
                whose, sql.SQL(_plain(setting)), _given(setting, given)
            )
        )


#: Settings whose value is a list of names: each is quoted for itself, as pg_dump does.
_LISTS = frozenset(
    ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
)


def _given(setting: str, given: str) -> sql.Composable:
    if setting.lower() in _LISTS:
        return sql.SQL(given)  # the server keeps it quoted already
    return sql.Literal(given)


def _plain(setting: str) -> str:
    if not all(part.replace("_", "").isalnum() for part in setting.split(".")):
        raise BackupError(f"a setting of the database has no usable name: {setting}")
    return setting


def role_exists(connection: psycopg.Connection, role: str) -> bool:
    """Whether the server knows a role."""
    return bool(value(connection, "SELECT count(*) FROM pg_roles WHERE rolname = %s", role))


def image_of(container: str) -> Image:
    """What a container was made of; nothing where the engine can't say."""
    if not container:
        return Image()
    try:
        found = json.loads(_docker("container", "inspect", container))[0]
        images = json.loads(_docker("image", "inspect", found["Image"]))[0]
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
        return Image()
    digests = images.get("RepoDigests") or [""]
    return Image(name=str(found["Config"]["Image"]), id=str(found["Image"]), digest=str(digests[0]))


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout


def as_dict(database: Database) -> dict[str, Any]:
    """Plain data for the manifest."""
    return asdict(database)


def from_dict(found: Mapping[str, Any]) -> Database:
    """What ``as_dict`` gave."""
    return Database(**{name: found[name] for name in Database.__dataclass_fields__})
