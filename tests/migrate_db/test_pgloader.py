"""What pgloader 3.6 got wrong with real files while it said 0; each is asked of PostgreSQL itself."""

from pathlib import Path

import pytest

from .corpus.oracle import judge
from .program import Program, ask, sqlite

COLUMNS = "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attnum > 0 AND attrelid ="
KEYS = "SELECT count(*) FROM pg_constraint WHERE contype = 'p'"

FAILURES: dict[str, tuple[str, str, object]] = {
    "rows missing: a text among integers": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 5), (2, 'x'), (3, '')",
        "SELECT string_agg(n, '|' ORDER BY id) FROM t", "5|x|",
    ),
    "rows missing: a number beyond 32 and 64 bits": (
        "CREATE TABLE t (n INTEGER, m BIGINT); INSERT INTO t VALUES (3000000000, 1e19)",
        "SELECT n::text || ' ' || m::text FROM t", "3000000000 10000000000000000000",
    ),
    "rows missing: dates that are none": (
        "CREATE TABLE t (d DATE); INSERT INTO t VALUES ('2024-02-30'), (''), ('0000-00-00')",
        "SELECT count(*) FROM t", 3,
    ),
    "rows missing: too long": (
        "CREATE TABLE t (v VARCHAR(3)); INSERT INTO t VALUES ('four'), ('日本語')",
        "SELECT max(length(v)) || ' ' || count(*) FROM t", "4 2",
    ),
    "rows missing: the key is NULL where SQLite numbers it": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 'a'), (NULL, 'b')",
        "SELECT string_agg(id || v, ',' ORDER BY id) FROM t", "1a,2b",
    ),
    "no table: a type it doesn't know": (
        "CREATE TABLE t (a LONGVARCHAR, b GUID, c UNSIGNED BIG INT, d STRING(9), e DOUBLE PRECISION,"
        " f NVARCHAR(4), g NATIVE CHARACTER(70), h); INSERT INTO t VALUES ('a','b',3,'d',.5,'f','g',8)",
        "SELECT a || b || c || d || e || f || g || h FROM t", "ab3d0.5fg8",
    ),
    "no table: a default it can't say": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT \"double\", b DATETIME DEFAULT (datetime('now')),"
        " c INT DEFAULT (1 + 2), d BLOB DEFAULT x'00', e TEXT DEFAULT ''); INSERT INTO t (id) VALUES (1)",
        "SELECT a || c || length(d) || e FROM t", "double31",
    ),
    "no table: its name": (
        'CREATE TABLE "Order Details" (x); CREATE TABLE "user" (x); CREATE TABLE "it\'s" (x);'
        'INSERT INTO "Order Details" VALUES (1); INSERT INTO "user" VALUES (2); INSERT INTO "it\'s" VALUES (3)',
        'SELECT o.x + u.x + i.x FROM "Order Details" o, "user" u, "it\'s" i', 6,
    ),
    "names in lower case": (
        'CREATE TABLE "Mixed" ("ID" INTEGER PRIMARY KEY, "Last Name" TEXT); INSERT INTO "Mixed" VALUES (1, 2)',
        f"{COLUMNS} '\"Mixed\"'::regclass", "ID,Last Name",
    ),
    "primary keys: composite, text, WITHOUT ROWID": (
        "CREATE TABLE a (x INT, y TEXT, PRIMARY KEY (y, x)); CREATE TABLE b (k TEXT PRIMARY KEY) WITHOUT ROWID;"
        "CREATE TABLE c (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1, 'a'); INSERT INTO b VALUES ('b')",
        f"{KEYS} AND connamespace = 'public'::regnamespace", 3,
    ),
    "NOT NULL": (
        "CREATE TABLE t (a TEXT NOT NULL, b INT NOT NULL DEFAULT 0, c); INSERT INTO t VALUES ('', 1, 2)",
        "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attnotnull"
        " AND attnum > 0 AND attrelid = 't'::regclass", "a,b",
    ),
    "numbering": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT); INSERT INTO t VALUES (41, 'x'), (42, 'y');"
        "DELETE FROM t WHERE id = 42",
        "INSERT INTO t (v) VALUES ('new') RETURNING id", 43,
    ),
    "views": (
        "CREATE TABLE t (a INT, b TEXT); CREATE VIEW v AS SELECT a, b FROM t WHERE a > 1;"
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        "SELECT b FROM v", "y",
    ),
    "foreign keys with what they do": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INT REFERENCES p ON DELETE CASCADE);"
        "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)",
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f'",
        "FOREIGN KEY (p) REFERENCES p(id) ON DELETE CASCADE",
    ),
    "CHECKs": (
        "CREATE TABLE t (n INT CHECK (n BETWEEN 1 AND 9)); INSERT INTO t VALUES (5)",
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass",
        "CHECK (((n >= 1) AND (n <= 9)))",
    ),
    "changed: a float": (
        "CREATE TABLE t (r REAL, f FLOAT); INSERT INTO t VALUES (0.1, 16777217.0), (1e300, 123456789.123)",
        "SELECT string_agg(r || ' ' || f, ',' ORDER BY r) FROM t", "0.1 16777217,1e+300 123456789.123",
    ),
    "changed: NUMERIC(p,s) rounds": (
        "CREATE TABLE t (n NUMERIC(6,2)); INSERT INTO t VALUES (1.005), (12345.678)",
        "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t", "1.005 12345.678",
    ),
    "changed: 2 is not true": (
        "CREATE TABLE t (b BOOLEAN); INSERT INTO t VALUES (0), (1), (2)",
        "SELECT string_agg(b::text, '' ORDER BY b) FROM t", "012",
    ),
    "changed: a blob that looks like text": (
        "CREATE TABLE t (b BLOB); INSERT INTO t VALUES (x'c3a9'), (x''), (CAST('aGk=' AS BLOB))",
        "SELECT string_agg(encode(b, 'hex'), ',' ORDER BY b) FROM t", ",61476b3d,c3a9",
    ),
    "changed: spaces, tabs and backslashes": (
        "CREATE TABLE t (s TEXT); INSERT INTO t VALUES (' \\N ' || char(9, 13, 10) || '\\.')",
        "SELECT s FROM t", " \\N \t\r\n\\.",
    ),
    "changed: microseconds": (
        "CREATE TABLE t (d DATETIME); INSERT INTO t VALUES ('2024-02-29 23:59:59.999999')",
        "SELECT d::text FROM t", "2024-02-29 23:59:59.999999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_not_here(program: Program, tmp_path: Path, failure: str) -> None:
    script, question, answer = FAILURES[failure]
    source = sqlite(tmp_path / "app.db", script)
    done = program.run(source)
    assert done.code == 0, done.out
    assert judge(source, program.url, done.report) == []
    assert ask(program.url, question) == [(answer,)]


def test_no_hang(program: Program, tmp_path: Path) -> None:
    """Hundreds of tables, each pointing at the next and the last one at the first."""
    tables = 150
    script = "".join(
        f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, next INT REFERENCES t{(n + 1) % tables});"
        f"INSERT INTO t{n} VALUES (1, 1);"
        for n in range(tables)
    )
    source = sqlite(tmp_path / "ring.db", "BEGIN;" + script + "COMMIT")
    done = program.run(source)
    assert done.code == 0, done.out
    assert judge(source, program.url, done.report) == []
