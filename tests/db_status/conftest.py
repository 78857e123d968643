import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ..postgres import PostgresContainer
from .program import Program

_number = itertools.count(1)
_SETTINGS = (
    "shared_preload_libraries=pg_stat_statements", "max_connections=20", "autovacuum_naptime=1h",
    "max_prepared_transactions=2", "wal_level=replica", "fsync=on", "synchronous_commit=off",
)  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresContainer]:
    """A server that counts statements, and has so few connections that a test can take them all."""
    PostgresContainer.remove_stale()
    container = PostgresContainer(_SETTINGS)
    try:
        container.run()
        yield container
    finally:
        container.remove()


@pytest.fixture
def superuser(server: PostgresContainer) -> Iterator[str]:
    """His URL of a fresh database that others may not enter, as role postgres leaves it."""
    name = f"app_{next(_number)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
        )
    yield make_conninfo(server.url, dbname=name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def passfile(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "pgpass"


@pytest.fixture
def program(
    server: PostgresContainer, superuser: str, passfile: Path, tmp_path: Path
) -> Iterator[Program]:
    """As role monitoring leaves it: asks as a role that is a member of pg_monitor and no more."""
    made = Program(superuser, server.name, tmp_path)
    result = made("prepare", passfile=passfile)
    assert result.code == 0, result.error
    made.url = make_conninfo(superuser, user="monitoring", password="", passfile=str(passfile))
    yield made
    made("prepare", "--remove", passfile=passfile, database=superuser)


@pytest.fixture
def counted_anew(program: Program, server: PostgresContainer) -> None:
    """The statements of other tests are forgotten."""
    with psycopg.connect(server.url) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")


@pytest.fixture
def admin(superuser: str) -> Iterator[psycopg.Connection]:
    """The superuser's session in the database."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        yield connection
