"""A large table is loaded as it is declared; whatever in it isn't so ends as if it had been scanned."""

import math
import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from migrate_db.planning import profile

from .corpus.oracle import judge
from .program import Program, ask, image, sqlite

TABLE = """
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent, i INTEGER, small SMALLINT,
 b BOOLEAN, f FLOAT, n NUMERIC(10,2), t TEXT, v VARCHAR(3), c CHAR(3), j JSON, d DATE, dt DATETIME,
 iso DATETIME, zulu DATETIME, tz TIMESTAMPTZ, tm TIME, x BLOB, u UUID, plain);
CREATE TABLE k (name TEXT PRIMARY KEY, note TEXT);
CREATE TABLE loose (a INTEGER, b TEXT);
"""
FITTING = {
    "p": 1, "i": 5, "small": 5, "b": 1, "f": 0.5, "n": 1.25, "t": "a", "v": "abc", "c": "abc",
    "j": "{}", "d": "2024-02-29", "dt": "2024-02-29 12:00:00", "tz": "2024-02-29 12:00:00Z",
    "iso": "2024-02-29T12:00:00.250", "zulu": "2024-02-29T12:00:00.250Z",
    "tm": "12:00:00", "x": b"\x00", "u": "00112233-4455-6677-8899-aabbccddeeff", "plain": 1,
}  # fmt: skip
MISFITS: dict[str, list[Any]] = {
    "p": [99, "x"],
    "i": ["5\n6", b"1", "", "12a", 2**40, 1.5],
    "small": [70_000],
    "b": ["t", 2, "yes", 0.5],
    "f": [b"1", "0x10", ""],
    "n": [b"1", 1.255, 1e300, ""],
    "t": [b"ab", "a\x01\x01b", "a\x00b", b"\xff", "\x01", "a\x01b", "\x02", "\x02N", "a\x02Nb", "\x03", "a\x03b"],
    "v": ["abc  ", "a\x01", "\x02N", b"abc", "abcd"],
    "c": ["ab ", "a\x00"],
    "j": [b"{}", "{}\x00", "{", 5],
    "d": ["infinity", "2024-02-30", "2024-2-9", "today", "", 20240229, b"2024-02-29"],
    "dt": ["infinity", "2024-02-29 12:00:00\x00", "2024-02-29 12:00:00 +02:00", "now",
           "2024-02-29 12:00:00+02:00", "2024-02-29", "2024-02-29 24:00:00", 1709208000, "", b"2024-02-29 12:00:00",
           b"2024-02-29 12:00:00.000000", "2024-02-29 12:00:00.500000\x00"],
    "iso": [b"2024-02-29T12:00:00.250", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00+02", "2024-02-29T24:00:00",
            "2024-02-29t12:00:00", "2024-02-29T12:00:00.", "2024-02-29T12:00:00.5\x00", "2024-02-29T12:00:00\x00",
            "2024-02-29 12:00:00.1234567", "2024-02-29", "2024-02-29 12:00", "2024-02-29T12:00:60", "infinity", 5,
            "2024-02-29 12:00:00.120000", "0000-02-29T12:00:00", "2024-02-30T12:00:00", "2024-02-29T12:00:00  "],
    "zulu": [b"2024-02-29T12:00:00.250Z", "2024-02-29T12:00:00", "2024-02-29T12:00:00+02:00", "2024-02-29T24:00:00Z",
             "2024-02-29T12:00:00z", "2024-02-29T12:00:00.Z", "2024-02-29T12:00:00Z\x00", "2024-02-29 12:00:00.0Z",
             "2024-02-29 12:00:00+00", "2024-02-29T12:00:00.1234567Z", "2024-02-29T12:00Z", "2024-02-30T12:00:00Z",
             "epoch", 5.5, "2024-02-29 12:00:00.120000-00:00"],
    "tz": ["2024-02-29 12:00:00", "2024-02-29 12:00:00+02:00", "x"],
    "tm": ["25:00", "12:00:00+02", "allballs"],
    "x": ["ab", 5],
    "u": ["00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-AABBCCDDEEFF", "x",
          b"00112233-4455-6677-8899-aabbccddeeff"],
    "plain": ["1", 1.0, b"1"],
}  # fmt: skip


#: What names a row: a number of its own, SQLite's, or nothing but its key.
NAMED = {
    "numbered": ("INTEGER PRIMARY KEY", ""),
    "worded": ("TEXT PRIMARY KEY", ""),
    "unnumbered": ("TEXT PRIMARY KEY", " WITHOUT ROWID"),
}


def made(path: Path, column: str, value: object, named: str = "numbered") -> Path:
    key, form = NAMED[named]
    tables = TABLE.replace("t (id INTEGER PRIMARY KEY", f"t (id {key}")
    tables = tables.replace("plain);", f"plain){form};")
    rows = [{"id": n} | FITTING for n in range(1, 10)]
    rows[4][column] = value
    columns = ", ".join(rows[0])
    insert = f"INSERT INTO t ({columns}) VALUES ({', '.join('?' * len(rows[0]))})"
    as_text = isinstance(value, bytes) and value == b"\xff"
    sqlite(path, tables, ("INSERT INTO parent VALUES (?)", [(1,), (2,)]),
           (insert, [tuple(row.values()) for row in rows]),
           ("INSERT INTO k VALUES (?, ?)", [(f"k{n}", "x") for n in range(9)]),
           ("INSERT INTO loose VALUES (?, ?)", [(n, "x") for n in range(9)]))  # fmt: skip
    if as_text:
        sqlite(path, f"UPDATE t SET {column} = CAST({column} AS TEXT) WHERE id = 5")
    return path


def outcome(program: Program, source: Path) -> tuple[object, ...]:
    """What a reader of the report learns."""
    result = program.run(source, "--rehearse")
    return (
        result.code, result.verdict, result.findings, result.report["notes"],
        result.report["uncarried"], [table["columns"] for table in result.report["tables"]],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("named", "column", "value"),
    [
        # the first ones are those that PostgreSQL itself would take for something else
        pytest.param(named, column, value, marks=[] if place < often else [pytest.mark.slow])
        for named, often in (("numbered", 2), ("worded", 0), ("unnumbered", 1))
        for column, values in MISFITS.items()
        for place, value in enumerate(values)
    ],
)
def test_as_if_it_had_been_scanned(
    program: Program,
    tmp_path: Path,
    named: str,
    column: str,
    value: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = made(tmp_path / "t.db", column, value, named)
    scanned = outcome(program, source)
    monkeypatch.setattr(profile, "LARGE", 9)
    monkeypatch.setattr(profile, "_SAMPLE", 2)
    assert outcome(program, source) == scanned
    assert image(program.url)["objects"] == []


@pytest.mark.parametrize("kind", ["INTEGER", "TEXT", "DATE", "BOOLEAN"])
def test_orphans_also_of_keys_that_postgresql_cannot_make(
    program: Program, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "LARGE", 9)
    orphan = {"INTEGER": 5, "TEXT": "999", "DATE": "2024-01-02", "BOOLEAN": 0}[kind]
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
        f"CREATE TABLE c (id INTEGER PRIMARY KEY, r {kind} REFERENCES p);"
        "INSERT INTO p VALUES (1)",
        ("INSERT INTO c (r) VALUES (?)", [(None,)] * 20 + [(orphan,)]),
    )
    result = program.run(source)
    assert (result.code, result.findings) == (1, [("c", "id=21", "r")]), result.out


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO k VALUES (NULL, 'no key')",
        "UPDATE k SET name = CAST(X'6b33' AS BLOB) WHERE name = 'k4'",
    ],
)
def test_keys(
    program: Program, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sqlite(made(tmp_path / "t.db", "i", 5), damage)
    scanned = outcome(program, source)
    monkeypatch.setattr(profile, "LARGE", 9)
    monkeypatch.setattr(profile, "_SAMPLE", 2)
    assert outcome(program, source) == scanned


def test_floats_in_both_ways_of_writing_them(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six decimals go as a whole number of millionths, all others as Python writes them."""
    chance = random.Random(7)
    floats = [0.0, -0.0, 0.1, -0.1, 1e-6, 1e-7, 5e-324, 1e8, -1e8, 1e8 + 2**-20, 1e15, 1e300]
    floats += [1.7976931348623157e308, float("inf"), 0.1 + 0.2, 1 / 3, 99999999.999999, 2.5e-6]
    floats += [round(chance.uniform(-1e5, 1e5), places) for places in range(9) for _ in range(200)]
    floats += [math.nextafter(value, math.inf) for value in floats[20:400]]
    floats += [struct.unpack("d", chance.randbytes(8))[0] for _ in range(200)]
    floats = [value for value in floats if not math.isnan(value)]
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, f REAL)",
        ("INSERT INTO t (f) VALUES (?)", [(value,) for value in floats]),
    )
    with closing(sqlite3.connect(source)) as file:
        stored = [row[0].hex() for row in file.execute("SELECT f FROM t ORDER BY id")]
    monkeypatch.setattr(profile, "LARGE", 9)
    result = program.run(source)
    assert result.verdict == "migrated"
    assert "as declared" in next(p["note"] for p in result.report["phases"] if p["name"] == "plan")
    with psycopg.connect(program.url) as server:
        arrived = server.execute("SELECT f FROM t ORDER BY id").fetchall()
    assert [row[0].hex() for row in arrived] == stored


def test_what_fits_is_not_scanned(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made(tmp_path / "t.db", "i", 5)
    monkeypatch.setattr(profile, "LARGE", 9)
    result = program.run(source)
    assert result.verdict == "migrated"
    assert "as declared" in next(p["note"] for p in result.report["phases"] if p["name"] == "plan")
    types = next(t["columns"] for t in result.report["tables"] if t["name"] == "t")
    assert (types["dt"], types["iso"], types["zulu"]) == ("timestamp", "timestamp", "timestamptz")
    assert program.verify(source).verdict == "equal"


#: What nobody looks at in a large table, and what the scan would have said.
UNSEEN = {
    "a text that goes on behind a NUL": ("d = 'abc' || char(0) || 'def'", ("t", "id=12000", "d")),
    "one that is no UTF-8 among integers": ("n = CAST(x'ff' AS TEXT)", None),
    "floats and numbers among texts": ("d = 0.30000000000000004", None),
    "a number among texts": ("d = 12", None),
    "an infinity among texts": ("d = 9e999", None),
    "a blob that newer SQLite takes for JSON": ("n = x'1330'", None),
    "a large integer among floats": ("f = 9007199254740993", None),
    "a blob that reads as a time": ("z = CAST('12:00:00' AS BLOB)", None),
    "one that reads as a moment": ("m = CAST('2024-02-29T12:00:00' AS BLOB)", None),
    "a minus before nothing": ("f = -0.0", None),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_a_value_that_nobody_looked_at_is_found_or_arrives(
    program: Program, tmp_path: Path, case: str
) -> None:
    change, finding = UNSEEN[case]
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, d STRING, f FLOATING POINT, z TIME, m DATETIME)",
        ("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)",
         [(i, i, f"abc{i}", 0.25, "12:13:14", "2024-01-02T03:04:05") for i in range(1, 25_001)]),
    )  # fmt: skip
    sqlite(source, f"UPDATE t SET {change} WHERE id = 12000")
    done = program.run(source)
    if done.code:
        assert done.code == 1 and done.report["changed"] is False and done.findings, done.out
        assert finding in (None, *done.findings)
        return
    assert finding is None and judge(source, program.url, done.report) == []
    assert program.verify(source).verdict == "equal"


def test_a_row_that_is_too_large_though_no_value_is(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "w.db",
        "CREATE TABLE w (k TEXT PRIMARY KEY, x TEXT, y TEXT) WITHOUT ROWID",
        ("INSERT INTO w VALUES (?, ?, ?)",
         [(f"{i:06}", *("a" * (2_500_000 if i == 15_000 else 2),) * 2) for i in range(25_000)]),
    )  # fmt: skip
    assert program.run(source).code == 0
    assert ask(program.url, "SELECT length(x), length(y) FROM w WHERE k = '015000'") == [
        (2_500_000,) * 2
    ]


@pytest.mark.parametrize("value", ["'\x02N'", "x'024e'", "'{\"a\": 1}' || char(0) || 'x'"])
def test_what_is_no_json_for_the_apps_own_column(
    program: Program, tmp_path: Path, value: str
) -> None:
    source = sqlite(
        tmp_path / "j.db",
        "CREATE TABLE j (id INTEGER PRIMARY KEY, v TEXT)",
        ("INSERT INTO j VALUES (?, ?)", [(i, '{"a": 1}') for i in range(25_000)]),
    )
    sqlite(source, f"UPDATE j SET v = {value} WHERE id = 12000")
    ask(program.url, "CREATE TABLE j (id bigint PRIMARY KEY, v jsonb)")
    assert program.run(source).findings == [("j", "id=12000", "v")]
