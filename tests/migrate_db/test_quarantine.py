"""Rows with findings go to a file with all that is needed to put them back; the rest is proved."""

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from .program import Program, ask, beside, fetch, image, sqlite

SCRIPT = """
PRAGMA foreign_keys = OFF;
CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a, boss INT REFERENCES b);
CREATE TABLE c (code TEXT, n INT, b INT REFERENCES b, x VARCHAR(5) CHECK (x <> 'no'),
    twice AS (n * 2), PRIMARY KEY (code, n)) WITHOUT ROWID;
CREATE TABLE d (k TEXT PRIMARY KEY, "rowid" TEXT);
CREATE TABLE e (x, UNIQUE (x));
INSERT INTO a VALUES (1, 'fine'), (2, 'NUL' || char(0)), (3, CAST(x'ff' AS TEXT));
INSERT INTO b VALUES (1, 1, NULL), (2, 2, NULL), (3, 1, 2), (4, 1, 9), (5, 1, 1);
INSERT INTO c (code, n, b, x) VALUES ('é''', 1, 3, 'x'), ('k', 1, 1, 'y'), ('k', 2, 5, 'z');
INSERT INTO d VALUES ('a', '1'), (NULL, '2'), (NULL, NULL);
INSERT INTO e VALUES (1), ('1'), (1.5), (NULL);
"""
#: What must stay behind: bad text, its children and theirs, NULL keys, a second 1.
GONE = {"a": 2, "b": 3, "c": 1, "d": 2, "e": 1}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return sqlite(tmp_path / "source" / "app.db", SCRIPT)


def test_the_rest_arrives_and_what_stays_can_be_put_back(
    program: Program, source: Path, tmp_path: Path
) -> None:
    before = beside(source)
    aside = tmp_path / "aside.db"
    result = program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside)
    assert (result.code, result.verdict) == (3, "migrated, 9 rows quarantined"), result.out
    assert {t["name"]: t["quarantined"] for t in result.report["tables"]} == GONE
    assert result.report["proof"]["tables"] and str(aside) in result.text
    assert beside(source) == before and list(program.work.iterdir()) == []
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600

    # put back, the rows and those that arrived are the source again
    held = sqlite3.connect(aside)
    held.text_factory = bytes
    whole = sqlite3.connect(source)
    whole.text_factory = bytes
    for table, count in GONE.items():
        kept = held.execute(f"SELECT * FROM {table}").fetchall()
        everything = whole.execute(f"SELECT * FROM {table}").fetchall()
        assert len(kept) == count and set(kept) <= set(everything)
        (arrived,) = ask(program.url, f"SELECT count(*) FROM {table}")
        assert arrived[0] + count == len(everything)
    assert held.execute("SELECT name FROM a WHERE id = 3").fetchone() == (b"\xff",)
    reasons = {
        (t.decode(), k.decode()): r.decode()
        for t, k, r in held.execute("SELECT table_name, key, reason FROM migrate_db_reasons")
    }
    assert len(reasons) == 9
    assert "not valid UTF-8" in reasons["a", "id=3"] and "NUL" in reasons["a", "id=2"]
    assert "quarantined" in reasons["b", "id=3"] and "doesn't exist" in reasons["b", "id=4"]
    assert "quarantined" in reasons["c", "code='é''' n=1"]
    held.close()

    # every later look leaves the same rows out, and says so
    for later in (program.verify(source), program.run(source)):
        assert later.code == 3 and later.verdict.endswith(", 9 rows quarantined"), later.out
    assert program.verify(source, "--on-finding", "refuse").code == 3
    ask(program.url, "DELETE FROM e WHERE x = '1.5'")
    assert program.verify(source).verdict == "different"
    sqlite(source, "INSERT INTO b VALUES (6, 3, NULL), (7, 1, NULL)")
    result = program.run(source, "--catch-up", "--quarantine-file", tmp_path / "second.db")
    assert result.verdict == "caught up, 10 rows quarantined", result.out
    assert fetch(tmp_path / "second.db", "SELECT count(*) FROM b") == [(4,)]


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(
    program: Program, source: Path, tmp_path: Path
) -> None:
    ask(program.url, "CREATE TABLE bystander (x int)")
    before = image(program.url)
    aside = tmp_path / "aside.db"
    aside.write_bytes(b"mine")
    words = ("--on-finding", "quarantine", "--quarantine-file", aside)
    result = program.run(source, *words)
    assert result.code == 2 and "is there already" in result.error and aside.read_bytes() == b"mine"
    assert program.run(source, *words, "--rehearse").verdict == "rehearsed, 9 rows quarantined"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aside.db", "source", "work"]
    assert image(program.url) == before
    # beside the report, named for the moment, if nobody says where
    result = program.run(source, "--on-finding", "quarantine")
    assert "/app-quarantine-2" in result.report["quarantine_file"]


def test_check_lists_them_all(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "many.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO t SELECT i, 'a' || char(0) || i FROM n",
    )
    result = program.check(source, "--findings", tmp_path / "all.jsonl")
    assert result.code == 1
    assert [f["key"] for f in result.report["findings"]] == [f"id={i}" for i in range(1, 20001)]
    assert result.report["finding_counts"] == [
        {"table": "t", "column": "x", "kind": "nul", "count": 20000}
    ]
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["key"] == "id=20000" and len(lines) == 20000
    assert "19,995 more like this" in result.text and len(result.told) < 20
    result = program.check(source, "--on-finding", "quarantine")
    assert (result.code, result.verdict) == (3, "ready, 20,000 rows quarantined")


@pytest.mark.parametrize("words", ["", "WITHOUT ROWID"])
def test_a_long_way_from_parent_to_child(program: Program, tmp_path: Path, words: str) -> None:
    """Along a table's references to itself, and round and round between two."""
    source = sqlite(
        tmp_path / "t.db",
        f"""
        CREATE TABLE one (a INTEGER, b TEXT, boss INTEGER REFERENCES one (a), x TEXT, PRIMARY KEY (a)) {words};
        CREATE TABLE there (a INTEGER, b TEXT, back_a INTEGER, back_b TEXT, x TEXT, PRIMARY KEY (a, b),
            FOREIGN KEY (back_a, back_b) REFERENCES back (a, b)) {words};
        CREATE TABLE back (a INTEGER, b TEXT, there_a INTEGER, there_b TEXT, PRIMARY KEY (a, b),
            FOREIGN KEY (there_a, there_b) REFERENCES there (a, b)) {words};
        CREATE TABLE twice (id INTEGER PRIMARY KEY, one INTEGER REFERENCES one (a), two INTEGER REFERENCES one (a));
        WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5000)
        INSERT INTO one SELECT n, 'b', nullif(n + 1, 3001), iif(n = 3000, char(0), 'x') FROM r WHERE n <> 5000
        UNION ALL SELECT 5000, 'b', 5000, 'x';
        INSERT INTO there SELECT a, 'b', a, 'b', iif(a = 4000, char(0), 'x') FROM one;
        INSERT INTO back SELECT a, 'b', nullif(a + 1, 5001), 'b' FROM one;
        INSERT INTO twice VALUES (1, 5, 4000), (2, 4000, 7), (3, 4000, 4001), (4, 1, 2), (5, NULL, 3);
        """,
    )
    aside = tmp_path / "q.db"
    result = program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside)
    kept = {t["name"]: t["quarantined"] for t in result.report["tables"]}
    # there 4000, back 3999, there 3999, back 3998, …
    assert kept == {"one": 3000, "there": 4000, "back": 3999, "twice": 4}, result.out
    assert ask(program.url, "SELECT min(a), count(*) FROM one") == [(3001, 2000)]
    assert ask(program.url, "SELECT min(a), count(*) FROM there") == [(4001, 1000)]
    assert ask(program.url, "SELECT min(a), count(*) FROM back") == [(4000, 1001)]
    assert ask(program.url, "SELECT id FROM twice") == [(3,)]
    reasons = fetch(
        aside, "SELECT table_name, count(DISTINCT key), count(*) FROM migrate_db_reasons GROUP BY 1"
    )
    assert {table: told for table, told, _ in reasons} == kept
    assert all(told == count for _, told, count in reasons)
    assert program.verify(source).code == 3


def test_what_only_the_target_demands(program: Program, tmp_path: Path) -> None:
    """Uniques and keys of the app's models that SQLite was never told of."""
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE p (id INT); CREATE TABLE c (id INTEGER PRIMARY KEY, p INT, email TEXT);"
        "INSERT INTO p VALUES (1), (2), (2);"
        "INSERT INTO c VALUES (1, 1, 'a'), (2, 7, 'b'), (3, NULL, 'a'), (4, 2, NULL), (5, 2, NULL)",
    )
    ask(program.url, "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY,"
                     " p int REFERENCES p, email text UNIQUE)")  # fmt: skip
    result = program.run(source)
    assert result.code == 1
    kinds = {(f["table"], f["key"], f["kind"]) for f in result.report["findings"]}
    assert kinds == {
        ("p", "rowid=3", "duplicate there"),
        ("c", "id=2", "orphan there"),
        ("c", "id=3", "duplicate there"),
    }
    result = program.run(
        source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db"
    )
    assert result.verdict == "migrated, 3 rows quarantined", result.out
    assert ask(program.url, "SELECT id FROM c ORDER BY id") == [(1,), (4,), (5,)]
    assert program.verify(source).code == 3


def test_rows_of_tables_that_need_the_app(program: Program, tmp_path: Path) -> None:
    """A collation and a function that nobody else has, full-text tables, the file's own name."""
    source = tmp_path / "t.db"
    connection = sqlite3.connect(source)
    connection.create_collation("OURS", lambda one, other: (one > other) - (one < other))
    connection.create_function("ours", 1, lambda value: value, deterministic=True)
    connection.executescript(
        """
        CREATE TABLE sorted (id INTEGER PRIMARY KEY, t TEXT COLLATE OURS UNIQUE);
        CREATE TABLE keyed (a TEXT COLLATE OURS, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE checked (id INTEGER PRIMARY KEY, t TEXT CHECK (ours(t) <> 'no'));
        CREATE VIRTUAL TABLE found USING fts4 (t);
        CREATE TABLE migrate_db_reasons (t TEXT);
        INSERT INTO sorted VALUES (1, 'a' || char(0)), (2, 'b');
        INSERT INTO keyed VALUES ('a', CAST(x'ff' AS TEXT)), ('b', 'b');
        INSERT INTO checked VALUES (1, 'a' || char(0)), (2, 'b');
        INSERT INTO found VALUES ('a' || char(0)), ('b');
        INSERT INTO migrate_db_reasons VALUES ('a' || char(0)), ('b');
        """
    )
    connection.close()
    aside = tmp_path / "q.db"
    result = program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside)
    assert result.verdict == "migrated, 5 rows quarantined", result.out
    assert ask(program.url, "SELECT rowid, t FROM found") == [(2, "b")]
    for table in ("sorted", "keyed", "checked", "found", "migrate_db_reasons"):
        assert ask(program.url, f"SELECT count(*) FROM {table}") == [(1,)], table
        assert fetch(aside, f"SELECT count(*) FROM {table}") == [(1,)], table
    assert fetch(aside, "SELECT rowid, t FROM found") == [(1, "a\0")]
    assert fetch(aside, "SELECT count(*) FROM migrate_db_reasons_") == [(5,)]


def test_a_column_whose_name_sqlite_forgets(program: Program, tmp_path: Path) -> None:
    """In a subquery, "true" is no column but the text 'true'."""
    source = sqlite(
        tmp_path / "t.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, "True" TEXT);
        INSERT INTO t VALUES (1, 'a' || char(0)), (2, 'b');""",
    )
    result = program.run(
        source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db"
    )
    assert result.code == 1 and "a column named True" in result.error, result.out
    wishes = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", wishes)
    assert program.run(source, "--mapping", wishes).code == 0
    assert ask(program.url, 'SELECT "True" FROM t ORDER BY id') == [("a",), ("b",)]


def test_the_page_tells(program: Program, source: Path, tmp_path: Path) -> None:
    sqlite(source, "INSERT INTO b VALUES (6, 3, NULL)")
    wishes, page = tmp_path / "m.yml", tmp_path / "page.html"
    wishes.write_text(
        "tables: {a: {columns: {name: {nul: strip}}}, b: {columns: {boss: {orphans: keep}}}}"
    )
    words = ("--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db")
    result = program.run(source, "--mapping", wishes, *words, "--html", page)
    assert result.code == 3, result.out
    text = page.read_text()
    assert "<h1 class=bad>Migrated, 5 rows quarantined</h1>" in text
    for said in (str(tmp_path / "q.db"), "NUL\\x00 becomes NUL", "is quarantined, too"):
        assert said in text and said in result.text, said
    assert "a.name: 1 values" in text and "Quarantined</th>" in text
