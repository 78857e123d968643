"""Any table with any values: proved and equal, or findings that name the cause; nothing between."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .program import Program, ask, fetch
from .test_codecs import values

TYPES = [
    "INTEGER", "BIGINT", "SMALLINT", "BOOLEAN", "FLOAT", "REAL", "NUMERIC", "NUMERIC(6,2)",
    "DECIMAL(10)", "TEXT", "VARCHAR(5)", "CHAR(3)", "NVARCHAR(4)", "TEXT COLLATE NOCASE", "CLOB",
    "DATE", "DATETIME", "TIMESTAMP", "TIME", "JSON", "UUID", "BLOB", "", "STRING", "DOUBLE PRECISION",
    "UNSIGNED BIG INT", "TIMESTAMP WITH TIME ZONE", "LONGVARCHAR", "ANY",
]  # fmt: skip
KEYS = ["", "id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT"]
COMPOSED = ["", ", PRIMARY KEY (c0)", ", PRIMARY KEY (c1, c0)", ", UNIQUE (c0)"]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[tuple[Any, ...]], str]:
    types = draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=5))
    key = draw(st.sampled_from(KEYS))
    composed = "" if key else draw(st.sampled_from(COMPOSED))
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(types))
    # columns of one kind of value are the usual ones; any mixture is possible
    kinds = [draw(st.sampled_from([values, values.filter(lambda v: isinstance(v, int | None)),
             values.filter(lambda v: isinstance(v, str | None))])) for _ in types]  # fmt: skip
    rows = draw(st.lists(st.tuples(*kinds), max_size=12))
    script = f"CREATE TABLE t ({key}{', ' if key else ''}{columns}{composed})"
    if "PRIMARY KEY" in key + composed and "AUTO" not in key and draw(st.booleans()):
        script += " WITHOUT ROWID"
    return script, rows, draw(st.sampled_from(["UTF-8", "UTF-8", "UTF-16le"]))


@pytest.mark.slow
@given(tables())
@settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_table(
    program: Program, tmp_path: Path, made: tuple[str, list[tuple[Any, ...]], str]
) -> None:
    script, rows, encoding = made
    source = tmp_path / "any.db"
    source.unlink(missing_ok=True)
    connection = sqlite3.connect(source)
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    connection.execute(script)
    names = ", ".join(f"c{n}" for n in range(len(rows[0]))) if rows else ""
    for row in rows:
        marks = ", ".join("?" * len(row))
        with contextlib.suppress(sqlite3.IntegrityError):  # a text for INTEGER PRIMARY KEY
            connection.execute(f"INSERT OR IGNORE INTO t ({names}) VALUES ({marks})", row)
    connection.commit()
    connection.close()
    ask(program.url, "DROP SCHEMA IF EXISTS migrate_db CASCADE")
    ask(program.url, "DROP TABLE IF EXISTS t")

    result = program.run(source, "--allow-empty")
    if result.code == 0:
        assert ask(program.url, "SELECT count(*) FROM t") == fetch(source, "SELECT count(*) FROM t")
        assert program.verify(source).verdict == "equal"
        assert program.run(source, "--allow-empty").verdict == "already migrated"
    else:
        assert result.code == 1 and result.findings, result.out
        assert ask(program.url, "SELECT to_regclass('t')") == [(None,)]
        # all but these rows arrive; they are as many as are said, and no other is missing
        aside = tmp_path / "aside.db"
        aside.unlink(missing_ok=True)
        words = ("--on-finding", "quarantine", "--quarantine-file", aside)
        result = program.run(source, *words)
        rows = result.report["quarantined_rows"]
        assert result.code == 3 and rows, result.out
        assert fetch(aside, "SELECT count(*) FROM t") == [(rows,)]
        (arrived,) = ask(program.url, "SELECT count(*) FROM t")
        assert fetch(source, "SELECT count(*) FROM t") == [(arrived[0] + rows,)]
        assert program.verify(source).verdict == f"equal, {rows} rows quarantined"
        ask(program.url, "DROP TABLE t; DROP SCHEMA migrate_db CASCADE")
        # one mapping that the program proposes, unchanged, lets every row be carried
        wishes = tmp_path / "wishes.yml"
        program("plan", source, "--write-mapping", wishes, url="none")
        result = program.run(source, "--mapping", wishes)
        assert result.code == 0, wishes.read_text() + result.out
        assert ask(program.url, "SELECT count(*) FROM t") == fetch(source, "SELECT count(*) FROM t")
        assert program.verify(source).verdict == "equal"


links = st.sampled_from([None, 1, 2, 3, "1", "x", "x\x00", 1.0, b"x", "é"])
FAMILY = """
CREATE TABLE a (k {0} PRIMARY KEY, b {1} REFERENCES b (k), x TEXT);
CREATE TABLE b (k {2} PRIMARY KEY, a {3} REFERENCES a (k), boss {2} REFERENCES b (k));
CREATE TABLE c (a {0}, b {2}, FOREIGN KEY (a) REFERENCES a, FOREIGN KEY (b) REFERENCES b ON DELETE CASCADE);
"""


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(["INTEGER", "TEXT", "VARCHAR(1)", "", "INT"]), min_size=4, max_size=4),
    st.lists(st.tuples(st.sampled_from("abc"), links, links, links), max_size=14),
)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_family(
    program: Program, tmp_path: Path, types: list[str], rows: list[tuple[Any, ...]]
) -> None:
    """Keys in circles that nobody ever checked: what stays behind takes its children along."""
    source = tmp_path / "family.db"
    source.unlink(missing_ok=True)
    connection = sqlite3.connect(source)
    connection.executescript(FAMILY.format(*types))
    for table, *values_ in rows:
        given_ = values_[: 2 if table == "c" else 3]
        marks = ", ".join("?" * len(given_))
        with contextlib.suppress(sqlite3.IntegrityError):  # a text for INTEGER PRIMARY KEY
            connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", given_)
    connection.commit()
    connection.close()
    count = "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c)"
    (there,) = fetch(source, count)
    wishes, aside = tmp_path / "wishes.yml", tmp_path / "aside.db"
    program("plan", source, "--write-mapping", wishes, url="none")
    aside.unlink(missing_ok=True)
    for words in (
        ["--on-finding", "quarantine", "--quarantine-file", aside],
        ["--mapping", wishes, "--quarantine-file", tmp_path / "none.db"],
    ):
        ask(program.url, "DROP TABLE IF EXISTS a, b, c CASCADE")
        ask(program.url, "DROP SCHEMA IF EXISTS migrate_db CASCADE")
        result = program.run(source, "--allow-empty", *words)
        behind = {table["name"]: table["quarantined"] for table in result.report["tables"]}
        assert result.code == (3 if any(behind.values()) else 0), result.out
        assert not any(behind.values()) or aside in words, wishes.read_text() + result.out
        (arrived,) = ask(program.url, count)
        assert [a + behind[t] for a, t in zip(arrived, "abc", strict=True)] == list(there)
        assert program.verify(source).verdict.startswith("equal")
