"""With another SQLite, as a server's own Python may have: newer, and with fewer of Python's ways to it.

The module of PyPI's pysqlite3-binary stands where Python's own is. It has no Connection.blobopen and
no setlimit(), like Python 3.10.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pysqlite3  # type: ignore[import-untyped]
import pytest

from .corpus import apps
from .corpus.oracle import judge
from .program import Program, Result, ask, beside, fetch, sqlite

_INSTEAD = """
import sys, pysqlite3, pysqlite3.dbapi2
sys.modules["sqlite3"], sys.modules["sqlite3.dbapi2"] = pysqlite3, pysqlite3.dbapi2
from migrate_db.cli import main
sys.exit(main())
"""


class Newer(Program):
    """The program in a process of its own, with that module."""

    def __call__(self, command: str, source: Path | None, *words: object, url: str = "") -> Result:
        report = self.work / "report.json"
        given = ["--source", source, "--work-dir", self.work] if source is not None else []
        done = subprocess.run(
            [sys.executable, "-c", _INSTEAD, command, *map(str, (*given, *words)), "--report", report],
            env=self.environment | {"DATABASE_URL": url or self.url}, capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, json.loads(report.read_text()), done.stdout)


@pytest.fixture
def newer(work: Path, database_url: str) -> Newer:
    return Newer(work, database_url)


def test_it_is_another_one() -> None:
    import sqlite3

    assert (
        pysqlite3.sqlite_version_info >= (3, 46)
        and pysqlite3.sqlite_version != sqlite3.sqlite_version
    )


# with full-text tables without a text, with another one's text, and with a tokenizer of the app's own
@pytest.mark.parametrize("app", ["android", "media_servers", "thunderbird_zotero", "django"])
def test_an_app_arrives(newer: Newer, tmp_path: Path, app: str) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    source = apps.one(apps.SCRIPTS / f"{app}.sql", directory)
    before, mapping = beside(source), tmp_path / "mapping.yml"
    newer("plan", source, "--write-mapping", mapping)
    done = newer.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    assert judge(source, newer.url, done.report) == []
    assert newer.verify(source).verdict == "equal"
    assert beside(source) == before


def test_there_and_back(newer: Newer, tmp_path: Path) -> None:
    """A value of megabytes, floats of every size, and what the app changes."""
    floats = [0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 123456789.123456, 1e23, 2.0**70]
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, b BLOB); CREATE TABLE n (k TEXT PRIMARY KEY, i INTEGER);"
        "INSERT INTO n VALUES ('a', 1), ('b', 9007199254740993)",
        ("INSERT INTO t (r, b) VALUES (?, ?)", [(value, os.urandom(7)) for value in floats]),
        ("INSERT INTO t (b) VALUES (?)", [(os.urandom(3_000_000),)]),
    )
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    assert newer.run(source, "--hold").code == 0
    sqlite(source, "UPDATE n SET i = 2 WHERE k = 'a'; INSERT INTO t (r) VALUES (7)")
    assert newer.run(source, "--hold", "--catch-up", "--keep-snapshot", kept).code == 0
    newer("open", None)
    ask(newer.url, "INSERT INTO t (r, b) VALUES (2.5, 'x'); UPDATE n SET i = 3 WHERE k = 'b'")
    newer("close", None)
    done = newer("reverse", None, "--source", kept, "--into", back, "--work-dir", tmp_path)
    assert done.code == 0, done.out
    assert fetch(back, "SELECT * FROM n") == [("a", 2), ("b", 3)]
    assert fetch(back, "SELECT r, b FROM t WHERE id < 11") == fetch(source, "SELECT r, b FROM t")
    assert fetch(back, "SELECT r, b FROM t WHERE id = 11") == [(2.5, b"x")]
