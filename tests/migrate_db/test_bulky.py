"""Values of megabytes, which travel in pieces and are compared by digest."""

import hashlib
from pathlib import Path

import pytest
from migrate_db.planning.bulky import LIMIT

from .program import Program, ask, fetch, sqlite
from .test_secrets_and_memory import peak_of

#: What COPY's format, a cut between two bytes of a letter, and pieces of hexadecimal could spoil.
TEXT = 'ä\x01\x02N,"\n\\€' * 200_000
BLOB = bytes(range(256)) * 20_000


def content(source: Path) -> Path:
    return sqlite(
        source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT, film BLOB, j JSON);"
        "CREATE TABLE loose (a, b TEXT)",
        ("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [
            (1, 10, TEXT, BLOB, f'["{"j" * LIMIT}"]'),
            (2, 20, "small", b"small", "[]"),
            (3, None, "x" * LIMIT, None, None),
            (4, 40, "x" * (LIMIT + 1), b"", "{}"),
            # a megabyte in bytes, not in characters
            (5, 50, "€" * (LIMIT // 3 + 1), BLOB[::-1], "1"),
        ]),
        ("INSERT INTO loose VALUES (?, ?)", [(1, TEXT), (1, TEXT), (2, "b")]),
    )  # fmt: skip


def digests(rows: list[tuple[object, ...]]) -> list[list[str]]:
    cells = [[c if isinstance(c, bytes) else str(c).encode() for c in row] for row in rows]
    return [[hashlib.sha256(cell).hexdigest() for cell in row] for row in cells]


def test_they_arrive_whole(program: Program, tmp_path: Path) -> None:
    source = content(tmp_path / "s.db")
    assert program.run(source).code == 0
    for table, order in (("t", "id"), ("loose", "a, b")):
        query = f"SELECT * FROM {table} ORDER BY {order}"
        arrived, stored = ask(program.url, query), fetch(source, query)
        if table == "t":  # the driver parses JSON
            arrived = ask(program.url, "SELECT id, n, body, film, j::text FROM t ORDER BY id")
        assert digests(arrived) == digests(stored)
    assert program.verify(source).verdict == "equal"


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (1, "body = overlay(body PLACING 'X' FROM 999999 FOR 1)"),
        (1, "film = set_byte(film, 5000000, get_byte(film, 5000000) # 1)"),
        (1, "j = replace(j::text, 'jj\"', 'jJ\"')::json"),
        (4, "body = left(body, -1)"),  # no longer a large one
        (3, "body = body || 'x'"),  # it was none
        (5, "film = NULL"),
        (2, "n = 21"),
    ],
)
def test_any_change_is_found_and_caught_up(
    program: Program, tmp_path: Path, row: int, change: str
) -> None:
    source = content(tmp_path / "s.db")
    program.run(source)
    ask(program.url, f"UPDATE t SET {change} WHERE id = {row}")
    found = program.verify(source)
    assert found.code == 3
    assert [e for e in found.out.splitlines() if f"t [id={row}]" in e]
    assert program.run(source, "--catch-up", "--given-up").code == 0
    assert program.verify(source).code == 0


def test_findings_name_them(program: Program, tmp_path: Path) -> None:
    source = content(tmp_path / "s.db")
    sqlite(
        source,
        "UPDATE t SET body = body || char(0) WHERE id = 1;"
        "UPDATE t SET body = CAST(CAST(body AS BLOB) || X'ff' AS TEXT) WHERE id = 5",
    )
    refused = program.run(source)
    assert refused.code == 1
    assert refused.findings == [("t", "id=1", "body"), ("t", "id=5", "body")]
    aside = program.run(
        source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db"
    )
    assert aside.code == 3
    assert ask(program.url, "SELECT id, length(body) FROM t ORDER BY 1") == [
        (2, 5), (3, LIMIT), (4, LIMIT + 1),
    ]  # fmt: skip


def test_one_among_many_that_nobody_looked_at(program: Program, tmp_path: Path) -> None:
    """A large table is loaded as it is declared, and only then shows what it holds."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE many (id INTEGER PRIMARY KEY, film BLOB);"
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 30000)"
        " INSERT INTO many SELECT n, CASE n WHEN 15000 THEN randomblob(60000000) END FROM r",
    )
    assert peak_of(program, "run", "--source", source) < 64
    seen = "SELECT count(*), sum(length(film)) FROM many"
    assert ask(program.url, seen) == [(30_000, 60_000_000)]


def test_columns_that_are_not_stored_move_none(program: Program, tmp_path: Path) -> None:
    """SQLite's blob interface counts them where they aren't: a neighbour's bytes came instead."""
    source = sqlite(
        tmp_path / "g.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n AS (length(a)), a TEXT, s TEXT, m AS (id + 1), b BLOB, c TEXT)",
        ("INSERT INTO t (id, a, s, b, c) VALUES (?, ?, ?, ?, ?)", [
            (1, TEXT, "short", BLOB, "x" * LIMIT),
            (2, "a", None, b"\0" * (LIMIT + 1), TEXT),
        ]),
    )  # fmt: skip
    assert program.run(source).code == 0
    query = "SELECT id, a, s, b, c FROM t ORDER BY id"
    assert digests(ask(program.url, query)) == digests(fetch(source, query))
    assert program.verify(source).verdict == "equal"
