"""Any schema, any values: equal by a judge that isn't the program, or findings; nothing between.

An example is a whole SQLite file. What SQLite itself refuses to make is no example.
"""

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from .corpus.oracle import judge
from .program import Program, Result, ask

NAMES = [
    "a", "B", "Case", "case", "with space", "order", "user", "select", 'quo"te', "it's", "ünï", "日本", "oid",
    "ctid", "xmin", "rowid", "_rowid_", "table", "x.y", "pg_class", "n" * 63, "n" * 64, "n" * 70 + "1",
    "é" * 40, "%s", "{c}", "a;b", "--", "\\", "tab\tbed", "1st", "", "NULL", "id", "ID", "a_b_key",
]  # fmt: skip
TYPES = [
    "", "INTEGER", "INT", "BIGINT", "UNSIGNED BIG INT", "SMALLINT", "TINYINT(1)", "INT8", "BOOLEAN", "BOOL",
    "REAL", "DOUBLE PRECISION", "FLOAT(10)", "NUMERIC", "NUMERIC(10,2)", "DECIMAL(4)", "DECIMAL(40,10)", "TEXT",
    "TEXT(3)", "VARCHAR(3)", "VARCHAR", "CHAR(2)", "CHAR(0)", "NVARCHAR(9)", "LONGVARCHAR", "CLOB", "STRING",
    "BLOB", "DATE", "DATETIME", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "JSON", "UUID", "GUID", "ANY", "FLOATING POINT",
    "ENUM", "MONEY", "BIT", "bytea", "jsonb", "xml", "int[]", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM",
]  # fmt: skip
STRICT = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"]
DEFAULTS = [
    "", "", "", "", "DEFAULT 0", "DEFAULT -1.50", "DEFAULT 'it''s'", "DEFAULT \"double\"", "DEFAULT NULL",
    "DEFAULT CURRENT_TIMESTAMP", "DEFAULT (datetime('now'))", "DEFAULT x'00ff'", "DEFAULT TRUE", "DEFAULT 1e999",
    "DEFAULT (1 + 2)", "DEFAULT ''", "DEFAULT 9223372036854775807", "DEFAULT (abs(-3))", "DEFAULT word",
]  # fmt: skip
CHECKS = ["", "", "", "CHECK ({c} IS NULL OR {c} <> 7.25)", "CHECK (length({c}) < 90)", "CHECK ({c} <> 'q')",
          "CHECK (typeof({c}) <> 'q' OR {c} = 1)"]  # fmt: skip
VIEWS = [
    "", "", "", "SELECT * FROM {t}", "SELECT {a}, {z} AS b FROM {t} WHERE {z} > 1",
    "SELECT {z}, count(*) AS n FROM {t} GROUP BY {z}", "SELECT {a} || {z} AS both FROM {t}",
    "SELECT max({a}) AS m FROM {t}", "SELECT ifnull({z}, 'none') AS x FROM {t} WHERE {a} = 'a'",
    "SELECT DISTINCT {a} AS d FROM {t} ORDER BY 1 LIMIT 3", "SELECT {a} + 1 AS n, {z} / 2 AS h FROM {t}",
    "SELECT x.{a} FROM {t} x LEFT JOIN {t} y ON x.{a} = y.{z}", "SELECT rowid FROM {t}",
    "SELECT CASE WHEN {a} THEN 1 ELSE 0 END AS c FROM {t}", "SELECT lower({a}) AS l, length({z}) AS n FROM {t}",
]  # fmt: skip


class Text(bytes):
    """Bytes that go in as text, whether they are UTF-8 or not."""


INTEGERS = st.sampled_from(
    [0, 1, -1, 2, 127, 2**15, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)]
) | st.integers(-9, 9)
FLOATS = st.floats(allow_nan=False) | st.sampled_from([0.1, -0.0, 1e20, 5e-324, float("inf")])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["", " ", "a", "A", "a ", "1", "1.0", "NaN", "null", "NULL", "true", "t", "\\N", "\\.", "'", '"', "\x01", "\x02N",
     ",", "\r\n", "2024-02-29", "2023-02-29", "0000-00-00", "2024-02-29 23:59:60", "2024-02-29T10:00:00Z",
     "2024-02-29 10:00:00+05:30", "2024-02-29 10:00:00.123456789", "10:00", "24:00:00", "infinity", "{}", '{"a":1}',
     "{bad", "0f8fad5b-d9cb-469f-a165-70867728950e", "1e5", "0x10", "x" * 91, "99999999999999999999", "q"]
)  # fmt: skip
ODD = st.sampled_from(
    [Text(b"\xff"), Text(b"a\x00b"), Text(b"\x00"), Text(b"\xed\xa0\x80"), Text(b"caf\xe9")]
)
BLOBS = st.binary(max_size=5) | st.just(bytes(16))
KINDS = [
    INTEGERS, INTEGERS, FLOATS, TEXTS, TEXTS, BLOBS, st.sampled_from([0, 1]), st.sampled_from(["t", "f"]),
    INTEGERS | FLOATS, INTEGERS | TEXTS, TEXTS | BLOBS, TEXTS | ODD, INTEGERS | FLOATS | TEXTS | BLOBS | ODD,
]  # fmt: skip


@dataclass(frozen=True)
class Example:
    """Statements, and rows for each table."""

    script: list[str]
    rows: list[tuple[str, list[tuple[Any, ...]]]]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@st.composite
def examples(draw: st.DrawFn) -> Example:
    names = draw(st.lists(st.sampled_from(NAMES[:-1]), min_size=1, max_size=3,
                          unique_by=lambda n: n.lower()))  # fmt: skip
    encoding = draw(st.sampled_from(["UTF-8", "UTF-8", "UTF-8", "UTF-16le", "UTF-16be"]))
    script, rows, made = [f"PRAGMA encoding = '{encoding}'"], [], []
    for table in names:
        strict = draw(st.integers(0, 5)) == 0
        kinds = STRICT if strict else TYPES
        columns = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4,
                                unique_by=lambda n: n.lower()))  # fmt: skip
        lines, values = [], []
        shape = draw(
            st.sampled_from(["none", "rowid", "auto", "key", "composed", "without", "unique"])
        )
        if shape in ("rowid", "auto"):
            word = " AUTOINCREMENT" if shape == "auto" else ""
            lines.append(f"{_quoted(columns[0])} INTEGER PRIMARY KEY{word}")
            values.append(st.none() | INTEGERS)
        for column in columns[len(lines) :]:
            kind = draw(st.sampled_from(kinds))
            words = [kind, draw(st.sampled_from(DEFAULTS)), draw(st.sampled_from(["", "", "NOT NULL"])),
                     draw(st.sampled_from(CHECKS)).replace("{c}", _quoted(column))]  # fmt: skip
            lines.append(f"{_quoted(column)} {' '.join(w for w in words if w)}".rstrip())
            value = draw(st.sampled_from(KINDS))
            values.append(value | st.none() if draw(st.booleans()) else value)
        some = ", ".join(map(_quoted, columns[:2]))
        if shape in ("key", "without"):
            lines.append(f"PRIMARY KEY ({_quoted(columns[-1])})")
        elif shape == "composed":
            lines.append(f"PRIMARY KEY ({some})")
        elif shape == "unique":
            lines.append(f"UNIQUE ({some})")
        if made and draw(st.booleans()):
            parent = draw(st.sampled_from(made))
            action = draw(st.sampled_from(["", " ON DELETE CASCADE", " ON UPDATE SET NULL",
                                           " DEFERRABLE INITIALLY DEFERRED"]))  # fmt: skip
            lines.append(f"FOREIGN KEY ({_quoted(columns[-1])}) REFERENCES {parent}{action}")
        options = [
            word
            for word, used in (("WITHOUT ROWID", shape == "without"), ("STRICT", strict))
            if used
        ]
        script.append(f"CREATE TABLE {_quoted(table)} ({', '.join(lines)}) {', '.join(options)}")
        made.append(f"{_quoted(table)} ({_quoted(columns[0])})")
        if draw(st.booleans()):
            unique = draw(st.sampled_from(["", "UNIQUE "]))
            where = draw(st.sampled_from(["", "", f" WHERE {_quoted(columns[0])} IS NOT NULL"]))
            last = draw(st.sampled_from(["", " DESC", " COLLATE NOCASE"]))
            script.append(f"CREATE {unique}INDEX {_quoted('i ' + table)} ON {_quoted(table)}"
                          f" ({_quoted(columns[-1])}{last}){where}")  # fmt: skip
        view = draw(st.sampled_from(VIEWS))
        if view:
            words = {"{t}": _quoted(table), "{a}": _quoted(columns[0]), "{z}": _quoted(columns[-1])}
            for word, name in words.items():
                view = view.replace(word, name)
            script.append(f"CREATE VIEW {_quoted('v ' + table)} AS {view}")
        rows.append((table, draw(st.lists(st.tuples(*values), max_size=5))))
    return Example(script, rows)


def build(example: Example, path: Path) -> bool:
    """Make the file; False if SQLite doesn't take the schema."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    try:
        for statement in example.script:
            try:
                connection.execute(statement)
            except sqlite3.Error as error:
                note(f"not made: {statement}: {error}")
        for table, rows in example.rows:
            for row in rows:
                marks = ", ".join("CAST(? AS TEXT)" if isinstance(v, Text) else "?" for v in row)
                plain = [bytes(v) if isinstance(v, Text) else v for v in row]
                with suppress(sqlite3.Error):  # a NOT NULL, a UNIQUE or a CHECK
                    connection.execute(f"INSERT INTO {_quoted(table)} VALUES ({marks})", plain)
        connection.commit()
        return bool(connection.execute("SELECT 1 FROM sqlite_schema").fetchone())
    finally:
        connection.close()


def _fresh(url: str) -> None:
    ask(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    ask(url, "DROP SCHEMA IF EXISTS migrate_db CASCADE")


def _untouched(url: str) -> bool:
    return ask(url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
               " OR relnamespace = to_regnamespace('migrate_db')") == [(0,)]  # fmt: skip


def _demand(program: Program, example: Example, tmp_path: Path) -> Result | None:
    source = tmp_path / "any.db"
    if not build(example, source):
        return None
    for statement in example.script:
        note(statement)
    note(repr(example.rows))
    before = source.read_bytes()
    _fresh(program.url)
    result = program.run(source, "--allow-empty")
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"any.db", "work"}
    if result.code == 0:
        assert judge(source, program.url, result.report) == []
    else:
        assert result.code == 1, result.out
        assert result.report["findings"], result.out
        assert all(f["reason"] for f in result.report["findings"])
        assert _untouched(program.url)
        _demand_mapping(program, source, tmp_path / "mapping.yml")
        _fresh(program.url)
        _demand_quarantine(program, source, tmp_path / "aside.db")
    assert source.read_bytes() == before
    return result


def _demand_mapping(program: Program, source: Path, mapping: Path) -> None:
    """What is proposed carries every row, unedited."""
    program("plan", source, "--write-mapping", mapping, url="none")
    note(mapping.read_text())
    done = program.run(source, "--allow-empty", "--mapping", mapping)
    mapping.unlink()
    assert done.code == 0, done.out
    assert judge(source, program.url, done.report) == [], "with the proposed mapping"


def _demand_quarantine(program: Program, source: Path, aside: Path) -> None:
    """What fits arrives, the rest is kept, and both together are all."""
    words = ("--allow-empty", "--on-finding", "quarantine", "--quarantine-file", aside)
    done = program.run(source, *words)
    aside.unlink(missing_ok=True)
    assert done.code in (0, 3), done.out
    assert (done.code == 3) == bool(done.report["quarantined_rows"])
    assert judge(source, program.url, done.report) == [], "with quarantine"


_SETTINGS = {
    "deadline": None,
    "database": None,
    "phases": [Phase.generate],  # making a failing example small takes minutes
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@given(examples())
@settings(max_examples=40, derandomize=True, **_SETTINGS)  # type: ignore[arg-type]
def test_any_file(program: Program, tmp_path: Path, example: Example) -> None:
    _demand(program, example, tmp_path)


@pytest.mark.slow
@given(examples())
@settings(max_examples=600, **_SETTINGS)  # type: ignore[arg-type]
def test_any_file_for_longer(program: Program, tmp_path: Path, example: Example) -> None:
    _demand(program, example, tmp_path)
