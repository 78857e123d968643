"""api/database.py: which database, and with which settings."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from api import database
from psycopg import sql
from sqlalchemy import Engine, text
from sqlalchemy.pool import QueuePool

from .server import APP, running_brainer


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import api.database"],
        cwd=APP,
        env={"PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
    )


def test_the_pool_for_postgresql_is_the_documented_one() -> None:
    engine: Engine = database.postgres_engine("postgresql://u:p%40ss@db:5432/brainer")
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    assert (pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping) == (
        5, 10, 30, 3600, True,
    )  # fmt: skip
    assert engine.url.password == "p@ss"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_way_to_write_the_scheme_uses_psycopg_3(scheme: str) -> None:
    engine = database.postgres_engine(f"{scheme}://u@db/brainer")
    assert (engine.dialect.name, engine.driver) == ("postgresql", "psycopg")


def test_sqlite_connections_may_change_thread_and_check_foreign_keys(tmp_path: Path) -> None:
    engine = database.sqlite_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection, ThreadPoolExecutor() as other_thread:
        pragma = text("PRAGMA foreign_keys")
        assert other_thread.submit(connection.execute, pragma).result().scalar() == 1


def test_server_defaults_are_utc_whatever_the_server_is_set_to(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET timezone TO 'Asia/Tokyo'").format(
                sql.Identifier(connection.info.dbname)
            )
        )
    engine = database.postgres_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW timezone")).scalar() == "UTC"
    engine.dispose()


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"DB_TYPE": "postgres"}, "needs DATABASE_URL"),
        ({"DB_TYPE": "postgres", "DATABASE_URL": ""}, "needs DATABASE_URL"),
        ({"DB_TYPE": "mysql"}, "must be 'sqlite' or 'postgres'"),
    ],
)
def test_wrong_settings_stop_the_app_with_the_reason(
    environment: dict[str, str], complaint: str
) -> None:
    started = start(**environment)
    assert started.returncode == 1
    assert complaint in started.stderr


def test_sqlite_is_the_default_and_its_file_can_be_elsewhere(tmp_path: Path) -> None:
    with running_brainer(tmp_path, SQLITE_URL=f"sqlite:///{tmp_path}/elsewhere.db") as client:
        assert client.get("/health").json()["database"] == "sqlite"
    assert (tmp_path / "elsewhere.db").exists()


def test_a_restarted_server_costs_no_request(database_url: str, tmp_path: Path) -> None:
    with running_brainer(tmp_path, DB_TYPE="postgres", DATABASE_URL=database_url) as client:
        with psycopg.connect(database_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert ended
        assert ended[0] > 0
        assert client.get("/health").status_code == 200


def test_health_is_503_without_the_database_and_tells_no_secret(
    database_url: str, tmp_path: Path
) -> None:
    def allow_connections(allowed: bool) -> None:
        name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
        with psycopg.connect(database_url, dbname="postgres", autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(str(name)), sql.Literal(allowed)
                )
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    with running_brainer(tmp_path, DB_TYPE="postgres", DATABASE_URL=database_url) as client:
        allow_connections(False)
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (
            503,
            {"status": "error", "database": "postgresql"},
        )
        allow_connections(True)
        assert client.get("/health").status_code == 200, "and it finds back by itself"
    assert "not currently accepting connections" in (tmp_path / "app.log").read_text()
