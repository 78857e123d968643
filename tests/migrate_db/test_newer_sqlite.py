"""With another SQLite, as a server's own Python may have: newer, and with fewer of Python's ways to it.

The module of PyPI's pysqlite3-binary stands where Python's own is. It has no Connection.blobopen and
no setlimit(), like Python 3.10.
"""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pysqlite3  # type: ignore[import-untyped]
import pytest

from .corpus import apps
from .corpus.oracle import judge
from .home import Home
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


def _of_another(path: Path, script: str) -> Path:
    """A file as an app writes it whose SQLite is newer, and has a lower() that knows all letters."""
    connection = pysqlite3.connect(path)
    connection.create_function(
        "lower", 1, lambda text: text and str(text).lower(), deterministic=True
    )
    connection.executescript(script)
    connection.close()
    return path


def test_dates_that_an_older_one_does_not_know(
    program: Program, newer: Newer, tmp_path: Path
) -> None:
    """They would be NULL in every row; so the column is named, or it has its values."""
    source = _of_another(
        tmp_path / "s.db",
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, secret TEXT,
            day TEXT AS (strftime('%F', at)), "on" TEXT AS ('on ' || day), ms AS (unixepoch(at, 'subsec')),
            week TEXT AS (lower(strftime('%G-W%V', at))), next TEXT AS (date(at, '+1 month', 'floor')),
            year TEXT AS (strftime('%Y', at, '-11644473600 seconds', 'start of year')),
            plain TEXT AS (coalesce(date(id, 'unixepoch'), '%F')), kept TEXT AS (strftime('%F', at)) STORED);
        CREATE INDEX by_day ON t (day); CREATE INDEX by_kept ON t (kept);
        INSERT INTO t (at) VALUES ('2024-01-31 07:08:09.5');
        """,
    )
    result = program.run(source)
    assert result.code == 0, result.out
    why = {u["name"]: u["reason"] for u in result.report["uncarried"] if u["kind"] == "column"}
    assert sorted(why) == ["t.day", "t.ms", "t.next", "t.on", "t.week"]
    assert "doesn't know '%F'" in why["t.on"] and "'floor'" in why["t.next"], why
    assert ask(program.url, "SELECT year, plain, kept FROM t") == [
        ("1655", "1970-01-01", "2024-01-31")
    ]
    assert any(
        f"t.year: its values were worked out by strftime() of SQLite {sqlite3.sqlite_version}"
        in note
        and pysqlite3.sqlite_version in note
        for note in result.report["notes"]
    )
    assert program.verify(source).verdict == "equal"

    result = newer.run(source, "--schema", "all_of_it")
    assert (result.code, result.report["uncarried"]) == (0, []), result.out
    assert ask(newer.url, 'SELECT day, "on", ms, week, next FROM all_of_it.t') == [
        ("2024-01-31", "on 2024-01-31", 1706684889.5, "2024-w05", "2024-02-29")
    ]


OTHERWISE = {
    "a date": ("strftime('%F', v)", "'2024-01-31'"),
    "letters": ("lower(v)", "'ÉCOLE'"),
    "json": ("json_extract(v, '$.a')", "jsonb('{\"a\": 1}')"),
    "json of another": ("v ->> 'a'", "'{a: 1}'"),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_an_index_that_is_computed_otherwise(program: Program, tmp_path: Path, what: str) -> None:
    """The file is sound, whatever this SQLite would have written there."""
    computed, value = OTHERWISE[what]
    source = _of_another(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE INDEX i ON t ({computed});"
        f"CREATE TABLE part (id INTEGER PRIMARY KEY, v); CREATE INDEX p ON part (id) WHERE {computed} <> 'x';"
        f"CREATE TABLE held (id INTEGER PRIMARY KEY, v, c AS ({computed}) UNIQUE);"
        f"INSERT INTO t (v) VALUES ({value}); INSERT INTO part (v) VALUES ({value});"
        f"INSERT INTO held (v) VALUES ({value})",
    )
    result = program.run(source)
    assert result.code == 0, result.out
    noted = [note for note in result.report["notes"] if "integrity_check" in note]
    for index in ("i", "p", "sqlite_autoindex_held_1"):
        # where letters are other ones, the row is in the index all the same
        assert any(f"index {index} is not what" in n for n in noted) or (what, index) == (
            "letters",
            "p",
        )
    for table in ("t", "part", "held"):
        assert ask(program.url, f"SELECT count(*), count(v) FROM {table}") == [(1, 1)]
    assert program.verify(source).verdict == "equal"


def test_damage_beside_such_an_index(program: Program, tmp_path: Path) -> None:
    source = _of_another(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, s AS (id + 1)); CREATE INDEX i ON t (lower(v));"
        "CREATE INDEX sum ON t (s); INSERT INTO t (v) VALUES ('É')",
    )
    _behind(source, "sum", "INSERT INTO t (v) VALUES ('È')")
    result = program.run(source)
    assert result.code == 1 and "missing from index sum" in result.error, result.out
    assert "index i" not in result.error


def test_such_an_index_without_a_rowid(program: Program, tmp_path: Path) -> None:
    """SQLite reads such a table by an index, whatever it is told; so it must be right."""
    source = _of_another(
        tmp_path / "s.db",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID; CREATE INDEX i ON t (lower(v));"
        "INSERT INTO t VALUES ('a', 'É')",
    )
    result = program.run(source)
    assert result.code == 1 and "run this where Python has the app's SQLite" in result.error


def test_rows_are_not_read_by_such_an_index(program: Program, tmp_path: Path) -> None:
    """SQLite counts by the smallest index; this one lacks rows."""
    source = _of_another(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT, k TEXT AS (lower(v)));"
        "CREATE INDEX i ON t (lower(v)); CREATE INDEX j ON t (k); INSERT INTO t (v, w) VALUES ('É', hex(zeroblob(99)))",
    )
    more = "INSERT INTO t (v, w) VALUES ('È', hex(zeroblob(99))), ('a', hex(zeroblob(99)))"
    _behind(source, "i", more)
    assert fetch(source, "SELECT count(*) FROM t") == [(1,)]
    result = program.run(source)
    assert result.code == 0, result.out
    # as SQLite here makes them
    assert ask(program.url, "SELECT k FROM t ORDER BY id") == [("É",), ("È",), ("a",)]
    assert any(
        "t.k: " in note and "'É'" in note and "ICU" in note for note in result.report["notes"]
    )
    assert program.verify(source).verdict == "equal"


def _behind(path: Path, index: str, script: str) -> None:
    """Change rows while SQLite doesn't know of an index."""
    (entry,) = fetch(path, f"SELECT * FROM sqlite_schema WHERE name = '{index}'")
    sqlite(path, f"PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = '{index}'")
    sqlite(path, script)
    again = ("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", [entry])
    sqlite(path, "PRAGMA writable_schema = ON", again)


def test_no_row_goes_back_into_such_an_index(program: Program, tmp_path: Path) -> None:
    """The app wouldn't find it there; so the file is made without it."""
    source = _of_another(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t (lower(v));"
        "CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX j ON u (lower(v));"
        "INSERT INTO t (v) VALUES ('É'); INSERT INTO u (v) VALUES ('E')",
    )
    home = Home(program, source)
    home.write("INSERT INTO u (v) VALUES ('f')", "INSERT INTO t (v) VALUES ('f')")
    done = home.back()
    assert done.code == 0, done.out
    assert [lack["name"] for lack in done.report["uncarried"]] == ["i"]
    assert fetch(home.into, "SELECT name FROM sqlite_schema WHERE type = 'index'") == [("j",)]
    assert fetch(home.into, "SELECT v FROM t ORDER BY id") == [("É",), ("f",)]
