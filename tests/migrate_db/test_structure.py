"""What keeps the rows right is part of the proof: nothing of it goes away unseen."""

import re
import shutil
from pathlib import Path

import psycopg
import pytest
from migrate_db.structure import ddl

from .program import Program, ask, image, sqlite

SCHEMA = """
    CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
    CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER NOT NULL REFERENCES p,
        n INTEGER DEFAULT 7 CHECK (n > 0), mail TEXT COLLATE NOCASE UNIQUE, up INTEGER REFERENCES t,
        twice INTEGER AS (n * 2) STORED);
    CREATE VIEW seen AS SELECT p, n FROM t;
    CREATE INDEX by_n ON t (n DESC) WHERE n > 5;
    INSERT INTO p VALUES (1, 'a'); INSERT INTO t (p, mail) VALUES (1, 'x'), (1, 'y');
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return sqlite(tmp_path / "s.db", SCHEMA)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE t DROP CONSTRAINT t_p_fkey", "t: gone since the load: FOREIGN KEY (p)"),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE", "gone since the load: PRIMARY KEY (id)"),
        ("ALTER TABLE p DROP CONSTRAINT p_code_key", "p: gone since the load: UNIQUE (code)"),
        ("ALTER TABLE t DROP CONSTRAINT t_n_check", "gone since the load: CHECK ((n > 0))"),
        ("ALTER TABLE t ALTER p DROP NOT NULL", "gone since the load: NOT NULL of p"),
        ("ALTER TABLE t ALTER n DROP DEFAULT", "gone since the load: default of n: 7"),
        ("ALTER TABLE t ALTER n SET DEFAULT 8", "gone since the load: default of n: 7"),
        ("ALTER TABLE t ALTER id DROP IDENTITY", "gone since the load: identity of id"),
        ("ALTER TABLE t ALTER twice DROP EXPRESSION", "gone since the load: expression of twice"),
        ("ALTER TABLE p ALTER code TYPE varchar(9)", "p: gone since the load: type of code: text"),
        (
            'ALTER TABLE p ALTER code TYPE text COLLATE "C"',
            "p: gone since the load: type of code: text",
        ),
        ("ALTER TABLE t ALTER id SET GENERATED ALWAYS", "a number of the app's own choice in id"),
        ("DROP VIEW seen", "view seen: gone since the load: SELECT"),
        ("CREATE OR REPLACE VIEW seen AS SELECT p, n + 1 AS n FROM t", "view seen: gone"),
        ("DROP INDEX by_n", "USING btree (n DESC) WHERE (n > 5)"),
        ("DROP INDEX t_mail_folded", "gone since the load: CREATE UNIQUE INDEX ON public.t"),
        ("DROP INDEX by_n; CREATE INDEX by_n ON t (n)", "USING btree (n DESC) WHERE (n > 5)"),
        (
            "ALTER TABLE t DROP CONSTRAINT t_p_fkey;"
            "ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE",
            "gone since the load: FOREIGN KEY (p) REFERENCES public.p(id)",
        ),
    ],
)
def test_anything_that_is_gone(program: Program, source: Path, change: str, says: str) -> None:
    assert program.run(source).code == 0
    for statement in change.split(";"):
        ask(program.url, statement)
    verified = program.verify(source)
    assert (verified.code, verified.verdict) == (3, "different")
    assert any(says in line for line in verified.told), verified.told
    sqlite(source, "INSERT INTO p VALUES (2, 'b')")
    before = image(program.url)
    again = program.run(source, "--catch-up")
    assert again.code == 1 and "gone since the load" in again.error
    assert image(program.url) == before


def test_what_is_renamed_or_added_is_no_difference(program: Program, source: Path) -> None:
    assert program.run(source).code == 0
    for statement in (
        "ALTER INDEX by_n RENAME TO other", "ALTER TABLE t RENAME CONSTRAINT t_p_fkey TO k",
        "CREATE INDEX more ON t (p)", "ALTER TABLE t ADD CHECK (n < 1000)",
        "ALTER TABLE t ALTER mail SET DEFAULT ''",
    ):  # fmt: skip
        ask(program.url, statement)
    verified = program.verify(source)
    assert verified.verdict == "equal"
    assert (
        "all 25 keys, constraints, indexes, defaults and types of the load are there"
        in verified.text
    )


def test_what_the_apps_own_table_never_had_is_told(program: Program, source: Path) -> None:
    ask(program.url, "CREATE TABLE p (id integer PRIMARY KEY, code text)")
    ask(program.url, "CREATE TABLE t (id integer, p integer, n integer, mail text, up integer,"
                     " twice integer)")  # fmt: skip
    result = program.run(source)
    assert result.code == 0, result.out
    lacks = [note for note in result.report["notes"] if "the target's table has no" in note]
    for part in (
        "t: ",
        "p.sqlite_autoindex_p_1: ",
        "t(p): ",
        "t(up): ",
        "t.p: ",
        "t.id: ",
        "p.id: ",
        "t: the target's table has no CHECK (n > 0),",
        "t.n: the target's table has no DEFAULT 7,",
        "t.by_n: the target's table has no INDEX (n) WHERE n > 5,",
    ):
        assert any(note.startswith(part) for note in lacks), (part, lacks)
    assert program.verify(source).verdict == "equal"
    ask(program.url, "ALTER TABLE p DROP CONSTRAINT p_pkey")
    assert "p: gone since the load: PRIMARY KEY (id)" in program.verify(source).text


def test_what_a_key_of_the_apps_own_does_not_do_is_told(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY,"
        " p INTEGER REFERENCES p ON DELETE CASCADE, q INTEGER REFERENCES p, c TEXT UNIQUE COLLATE NOCASE);"
        "INSERT INTO p VALUES (1); INSERT INTO t VALUES (1, 1, 1, 'a')",
    )
    ask(program.url, "CREATE TABLE p (id serial PRIMARY KEY); CREATE TABLE t (id serial PRIMARY KEY,"
        " p int REFERENCES p, q int REFERENCES p ON DELETE CASCADE, c text UNIQUE)")  # fmt: skip
    lacks = [n for n in program.run(source).report["notes"] if "the target's table has no" in n]
    assert lacks == [
        "t.sqlite_autoindex_t_1: the target's table has no UNIQUE (c COLLATE NOCASE), the source has",
        "t(p): the target's table has no ON DELETE CASCADE (but NO ACTION), the source has",
        "t(q): the target's table has no ON DELETE NO ACTION (but CASCADE), the source has",
    ]


def test_one_rule_does_not_stand_for_another(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE tags (id INTEGER PRIMARY KEY, tag TEXT UNIQUE COLLATE NOCASE, slug TEXT, live INT,"
        " total INT AS (live * 2), d INT CHECK (d > 0) CHECK (live < 9), p INT DEFAULT NULL REFERENCES tags"
        " DEFERRABLE INITIALLY DEFERRED); CREATE UNIQUE INDEX sl ON tags (slug) WHERE live = 1;"
        "CREATE INDEX short ON tags (p); CREATE INDEX all_rows ON tags (d);"
        "INSERT INTO tags (tag, slug, live, d) VALUES ('a', 's', 1, 5)",
    )
    ask(program.url, "CREATE TABLE tags (id serial PRIMARY KEY, tag text, slug text, live int, total int,"
        " d int CHECK (d < 77), p int REFERENCES tags); CREATE UNIQUE INDEX sl ON tags (slug) WHERE live = 1;"
        "CREATE INDEX long ON tags (p, d); CREATE INDEX few ON tags (d, p) WHERE live > 1")  # fmt: skip
    lacks = [n for n in program.run(source).report["notes"] if "the target's table has no" in n]
    assert lacks == [
        f"{place}: the target's table has no {what}, the source has"
        for place, what in (
            ("tags.sqlite_autoindex_tags_1", "UNIQUE (tag COLLATE NOCASE)"),
            ("tags.total", "GENERATED ALWAYS AS (live * 2)"),
            ("tags", "CHECK (live < 9)"),
            ("tags.all_rows", "INDEX (d) (but one WHERE (live > 1))"),
            ("tags(p)", "DEFERRABLE INITIALLY DEFERRED"),
        )
    ]
    assert program.verify(source).verdict == "equal"


def test_a_key_that_was_forgotten_on_the_way(
    program: Program, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl._Writer, "foreign_keys", lambda self: None)
    result = program.run(source)
    assert result.code == 1 and "t(p): the target's table has no FOREIGN KEY to p" in result.error
    assert image(program.url)["objects"] == []


def test_a_record_of_an_older_version(program: Program, source: Path) -> None:
    assert program.run(source).code == 0
    with psycopg.connect(program.url, autocommit=True) as server:
        server.execute("ALTER TABLE migrate_db.state DROP COLUMN structure")
    assert program.verify(source).verdict == "equal"
    sqlite(source, "INSERT INTO p VALUES (2, 'b')")
    assert program.run(source, "--catch-up").verdict == "caught up"
    ask(program.url, "DROP INDEX by_n")
    assert program.verify(source).code == 3


def test_a_view_that_another_major_wrote(program: Program, source: Path) -> None:
    """After an upgrade the server prints the same query in another way; that it is there counts."""
    assert program.run(source).code == 0
    ask(
        program.url,
        "UPDATE migrate_db.state SET structure = regexp_replace(structure, 'as PostgreSQL [0-9]+: SELECT',"
        " 'as PostgreSQL 9: SELECT seen_by.', 'g')",
    )
    assert program.verify(source).verdict == "equal"
    ask(program.url, "DROP VIEW seen")
    assert program.verify(source).code == 3


def test_a_unique_that_names_a_column_twice(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        """CREATE TABLE t (a INTEGER, b INTEGER, UNIQUE (a, b, a));
        CREATE UNIQUE INDEX twice ON t (b, b); INSERT INTO t VALUES (1, 2);""",
    )
    result = program.run(source)
    assert (result.code, result.report["uncarried"]) == (0, []), result.out
    for row in ("(1, 2)", "(3, 2)"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            ask(program.url, f"INSERT INTO t VALUES {row}")


def test_a_key_that_takes_null_in_sqlite_alone_is_told(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "k.db",
        "CREATE TABLE a (k TEXT PRIMARY KEY); CREATE TABLE b (k TEXT PRIMARY KEY) WITHOUT ROWID;"
        "CREATE TABLE c (k INTEGER PRIMARY KEY); CREATE TABLE d (k TEXT NOT NULL PRIMARY KEY);"
        "INSERT INTO a VALUES ('x')",
    )
    told = [note for note in program.run(source).report["notes"] if "takes NULL in SQLite" in note]
    assert [note.partition(":")[0] for note in told] == ["a.k"]


def test_what_the_source_came_by_later_is_told(program: Program, tmp_path: Path) -> None:
    """Catching up makes no columns, keys or views; nor does a run that finds the rows equal."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE w (id INTEGER PRIMARY KEY);"
        " CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c TEXT);"
        " INSERT INTO w VALUES (1); INSERT INTO t VALUES (1, 'a', 1, 'c')",
    )
    assert program.run(source).report["notes"] == []
    sqlite(
        source,
        "CREATE TABLE t2 (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'k' CHECK (a <> 'zz'),"
        " b INTEGER UNIQUE REFERENCES w (id)); INSERT INTO t2 SELECT id, a, b FROM t; DROP TABLE t;"
        " ALTER TABLE t2 RENAME TO t; CREATE INDEX ix ON t (a); CREATE VIEW v AS SELECT a FROM t",
    )
    equal = program.run(source)
    sqlite(source, "INSERT INTO t VALUES (3, 'c', NULL)")
    other = Path(shutil.copy(source, tmp_path / "copy.db"))
    done = [equal, program.run(other, "--catch-up"), program.verify(source)]
    assert [result.code for result in done] == [0, 0, 0], [result.out for result in done]
    for result in done:
        for part in (
            "no CHECK", "no DEFAULT", "no INDEX (a)", "no NOT NULL", "no UNIQUE (b)", "FOREIGN KEY to w",
            "view v: the source has it", "t.c: a column that only the target has",
        ):  # fmt: skip
            assert any(part in note for note in result.report["notes"]), (part, result.out)
    assert any("loaded from" in note and "s.db" in note for note in done[1].report["notes"])


def test_a_value_that_outgrew_its_type_is_kept_by_a_wider_one(
    program: Program, tmp_path: Path
) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id integer PRIMARY KEY, n integer DEFAULT 7 CHECK (n > 0),"
        " s varchar(5) DEFAULT 'ab' CHECK (s <> ''), u numeric(6,2) UNIQUE, m integer);"
        "CREATE UNIQUE INDEX folded ON t (lower(s)); INSERT INTO t VALUES (1, 5, 'abc', 2.5, 1)",
    )
    assert program.run(source).code == 0
    sqlite(source, "INSERT INTO t VALUES (2, 9999999999, 'longer', 12345.6, 1.5)")
    refused = program.run(source, "--catch-up")
    assert refused.code == 1
    advised = [
        re.search(r"TYPE ([a-z]+)", found["resolve"]) for found in refused.report["findings"]
    ]
    wider = [match[1] for match in advised if match]
    assert wider == ["bigint", "varchar", "numeric", "numeric"], refused.out
    for column, kind in zip("nsum", wider, strict=True):
        ask(program.url, f"ALTER TABLE t ALTER {column} TYPE {kind}")
    caught_up = program.run(source, "--catch-up")
    assert (caught_up.code, caught_up.verdict) == (0, "caught up"), caught_up.out
    assert program.verify(source).verdict == "equal"
    ask(program.url, "ALTER TABLE t ALTER s TYPE text")  # its CHECK has other words now
    assert "gone since the load: CHECK" in program.verify(source).text
