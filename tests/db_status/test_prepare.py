"""The role looks at everything and changes nothing; a second run changes nothing either."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from db_status.look import without_secrets
from psycopg.conninfo import make_conninfo

from ..postgres import PostgresContainer, docker
from .program import FILES, Program


@pytest.fixture
def fresh(superuser: str, server: PostgresContainer, tmp_path: Path) -> Program:
    return Program(superuser, server.name, tmp_path)


def test_made_once_and_removed(fresh: Program, passfile: Path, admin: psycopg.Connection) -> None:
    first = fresh("prepare", passfile=passfile)
    assert (first.code, first.report["changed"], first.report["loaded"]) == (0, True, True)
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    assert stat.S_IMODE(passfile.parent.stat().st_mode) == 0o700
    again = fresh("prepare", passfile=passfile)
    assert (again.code, again.report["changed"]) == (0, False), again.text
    url = make_conninfo(fresh.url, user="monitoring", password="", passfile=str(passfile))
    admin.execute("CREATE TABLE secret AS SELECT 'of the app' AS text")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "SELECT * FROM secret",
            "CREATE ROLE x",
            "SELECT pg_read_file('PG_VERSION')",
        ):
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
            ):
                connection.execute(statement.encode())
    gone = fresh("prepare", "--remove", passfile=passfile)
    assert gone.report["changed"] and not passfile.exists()
    assert not fresh("prepare", "--remove", passfile=passfile).report["changed"]
    assert admin.execute(
        "SELECT count(*) FROM pg_roles WHERE rolname = 'monitoring'"
    ).fetchone() == (0,)


def test_a_password_from_elsewhere(
    fresh: Program, passfile: Path, server: PostgresContainer
) -> None:
    """By stdin; whatever is in it, it opens the door, and no log of the server has it."""
    secret = r"p@ss:w/r\d 'ü"
    words = [
        sys.executable,
        "-m",
        "db_status",
        *fresh.words("prepare", "--password-stdin", passfile=passfile),
    ]
    for changed in ('"changed": true', '"changed": false'):
        done = subprocess.run(
            words,
            input=f"{secret}\n",
            env={"PYTHONPATH": str(FILES)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert changed in done.stdout
    assert not fresh("prepare", passfile=passfile).report["changed"], "it is kept"
    url = make_conninfo(fresh.url, user="monitoring", password=secret)
    psycopg.connect(url).close()
    assert "p@ss" not in docker("logs", server.name)
    fresh("prepare", "--remove", passfile=passfile)


def test_what_was_changed_by_hand_is_mended(
    fresh: Program, passfile: Path, admin: psycopg.Connection
) -> None:
    fresh("prepare", passfile=passfile)
    admin.execute("ALTER ROLE monitoring SUPERUSER PASSWORD 'other'")
    passfile.chmod(0o644)
    assert fresh("prepare", passfile=passfile).report["changed"]
    assert admin.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = 'monitoring'"
    ).fetchone() == (False,)
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    fresh("prepare", "--remove", passfile=passfile)


def test_a_role_that_is_somebody_elses(
    fresh: Program, passfile: Path, admin: psycopg.Connection
) -> None:
    admin.execute("CREATE ROLE watcher LOGIN PASSWORD 'theirs'")
    try:
        result = fresh("prepare", role="watcher", passfile=passfile)
        assert result.code == 1 and "isn't ours" in result.error and "--role NAME" in result.error
        result = fresh("prepare", "--remove", role="watcher", passfile=passfile)
        assert admin.execute(
            "SELECT count(*) FROM pg_roles WHERE rolname = 'watcher'"
        ).fetchone() == (1,)
    finally:
        admin.execute("DROP ROLE watcher")


def test_no_superuser(
    fresh: Program, passfile: Path, tmp_path: Path, admin: psycopg.Connection
) -> None:
    admin.execute(
        "CREATE ROLE nobody LOGIN PASSWORD 'x'; GRANT CONNECT ON DATABASE postgres TO nobody"
    )
    admin.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO nobody".encode())
    try:
        url = make_conninfo(fresh.url, user="nobody", password="x")
        result = fresh("prepare", database=url, passfile=passfile)
        assert result.code == 1 and "superuser" in result.error
    finally:
        admin.execute("DROP OWNED BY nobody; DROP ROLE nobody")


def test_no_password_among_the_statements(
    program: Program, counted_anew: None, superuser: str, passfile: Path
) -> None:
    """The server keeps utility statements as they were written, for every member of pg_monitor to read."""
    assert without_secrets("CONNECTION 'host=a password=by-hand-3 user=b'") == (
        "CONNECTION 'host=a password=*** user=b'"
    )
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE ROLE told LOGIN PASSWORD 'by-hand-1'")
        connection.execute(
            "ALTER ROLE told WITH password E'by-hand-2'' \\' ' VALID UNTIL 'infinity'"
        )
        try:
            result = program("report", "--with-page")
            assert result.code == 0 and "ROLE told" in json.dumps(result.report)
            assert "by-hand" not in json.dumps(result.report)
            assert program("prepare", passfile=passfile, database=superuser).code == 0
            assert "ROLE told" not in json.dumps(program("report").report), (
                "and now it is forgotten"
            )
            queries = [row["query"] for row in program("report").report["statements"]]
            ours = [query for query in queries if "SCRAM" in query or "monitoring" in query]
            assert ours == [], "our own were never there"
        finally:
            connection.execute("DROP ROLE told")
