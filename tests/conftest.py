"""One real PostgreSQL for all tests, and a fresh, empty database for each."""

import itertools
import os
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .postgres import PostgresContainer

# Every character that a URL, a shell or a .pgpass file gives a meaning to.
PASSWORD = r"p@ss:w/rd %#?&+'\"\\$x"
ROLE = "brainer_tests"
_number = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a longer search; run it with --slow")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the longer searches, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def _container() -> Iterator[PostgresContainer | None]:
    """The server in Docker, or None where TEST_DATABASE_URL names another."""
    if os.environ.get("TEST_DATABASE_URL"):
        yield None
        return
    PostgresContainer.remove_stale()
    container = PostgresContainer()
    try:
        container.run()
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="session")
def admin_url(_container: PostgresContainer | None) -> str:
    """A superuser's way in; the role that owns the tests' databases is made here."""
    url = _container.url if _container else os.environ["TEST_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
        verb = sql.SQL("ALTER" if exists else "CREATE")
        connection.execute(
            sql.SQL(
                "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
                " PASSWORD {}"
            ).format(verb, sql.Identifier(ROLE), sql.Literal(PASSWORD))
        )
    return url


@pytest.fixture
def database_url(admin_url: str) -> Iterator[str]:
    """A fresh database, owned by a role that may do nothing else; dropped afterwards."""
    name = f"test_{os.getpid()}_{next(_number)}_{secrets.token_hex(3)}"
    database = sql.Identifier(name)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(ROLE))
        )
    words = conninfo_to_dict(admin_url)
    yield f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{words['host']}:{words['port']}/{name}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture
def admin(admin_url: str, database_url: str) -> Iterator[psycopg.Connection]:
    """A superuser in this test's database: sees everything, may break anything."""
    url = make_conninfo(admin_url, dbname=str(conninfo_to_dict(database_url)["dbname"]))
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_container(_container: PostgresContainer | None) -> Iterator[PostgresContainer]:
    """The server itself, to kill and to stop; it runs again afterwards."""
    if _container is None:
        pytest.skip("TEST_DATABASE_URL names a server that isn't ours to stop")
    yield _container
    _container.start()
