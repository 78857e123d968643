"""Any table with any values: proved and equal, or findings that name the cause; nothing between."""

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
def tables(draw: st.DrawFn) -> tuple[str, list[tuple[Any, ...]]]:
    types = draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=5))
    key = draw(st.sampled_from(KEYS))
    composed = "" if key else draw(st.sampled_from(COMPOSED))
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(types))
    # columns of one kind of value are the usual ones; any mixture is possible
    kinds = [draw(st.sampled_from([values, values.filter(lambda v: isinstance(v, int | None)),
             values.filter(lambda v: isinstance(v, str | None))])) for _ in types]  # fmt: skip
    rows = draw(st.lists(st.tuples(*kinds), max_size=12))
    return f"CREATE TABLE t ({key}{', ' if key else ''}{columns}{composed})", rows


@pytest.mark.slow
@given(tables())
@settings(
    max_examples=250,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_table(
    program: Program, tmp_path: Path, made: tuple[str, list[tuple[Any, ...]]]
) -> None:
    script, rows = made
    source = tmp_path / "any.db"
    source.unlink(missing_ok=True)
    connection = sqlite3.connect(source)
    connection.execute(script)
    names = ", ".join(f"c{n}" for n in range(len(rows[0]))) if rows else ""
    for row in rows:
        marks = ", ".join("?" * len(row))
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
        # one mapping that the program proposes, unchanged, lets every row be carried
        wishes = tmp_path / "wishes.yml"
        program("plan", source, "--write-mapping", wishes, url="none")
        result = program.run(source, "--mapping", wishes)
        assert result.code == 0, wishes.read_text() + result.out
        assert ask(program.url, "SELECT count(*) FROM t") == fetch(source, "SELECT count(*) FROM t")
        assert program.verify(source).verdict == "equal"
