"""Any shape of table comes back: keys of every kind, triggers, indexes, and what is new."""

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .home import Home, stored
from .program import Program, ask, fetch, sqlite

SHAPES = """
CREATE TABLE plain (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n INTEGER NOT NULL DEFAULT 0);
CREATE TABLE without (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE composed (a DATETIME, b TEXT COLLATE NOCASE, c TEXT, PRIMARY KEY (a, b));
CREATE TABLE keyless (a TEXT, b REAL);
CREATE TABLE strict (id INTEGER PRIMARY KEY, any ANY, n INT) STRICT;
CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree (id), name TEXT);
CREATE TABLE left_ (id INTEGER PRIMARY KEY, other INTEGER REFERENCES right_ (id));
CREATE TABLE right_ (id INTEGER PRIMARY KEY, other INTEGER REFERENCES left_ (id));
CREATE TABLE doubled (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 2));
CREATE TABLE replacing (id INTEGER PRIMARY KEY, u TEXT UNIQUE ON CONFLICT REPLACE);
CREATE TABLE unsorted (x INT PRIMARY KEY, y TEXT);
CREATE TABLE log (what TEXT);
CREATE INDEX plain_n ON plain (n DESC) WHERE n > 1;
CREATE VIEW many AS SELECT * FROM plain WHERE n > 1;
CREATE TRIGGER plain_added AFTER INSERT ON plain BEGIN INSERT INTO log VALUES ('added ' || new.id); END;
CREATE TRIGGER plain_changed AFTER UPDATE ON plain WHEN old.n <> new.n BEGIN
  INSERT INTO log VALUES ('changed'); UPDATE plain SET n = 99 WHERE id = new.id; END;
CREATE TRIGGER plain_removed BEFORE DELETE ON plain BEGIN SELECT RAISE(ABORT, 'never'); END;
INSERT INTO plain VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4);
INSERT INTO without VALUES ('x', 1, 'one'), ('x', 2, 'two'), ('y', 1, 'three');
INSERT INTO composed VALUES ('2024-01-01T00:00:00', 'A', 'one'), ('2024-01-02T00:00:00', 'b', 'two');
INSERT INTO keyless VALUES ('a', 1.5), ('a', 1.5), ('a', 1.5), ('b', 2.0), (NULL, NULL);
INSERT INTO strict VALUES (1, 'x', 1), (2, 'y', NULL);
INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'twig');
INSERT INTO left_ VALUES (1, 1); INSERT INTO right_ VALUES (1, 1);
INSERT INTO doubled (id, n) VALUES (1, 10), (2, 20);
INSERT INTO replacing VALUES (1, 'a'), (2, 'b');
INSERT INTO unsorted VALUES (7, 'seven'), (3, 'three'), (5, 'five');
PRAGMA user_version = 42; PRAGMA application_id = 4242;
"""


def schema(path: Path) -> list[tuple[Any, ...]]:
    return fetch(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_every_shape(program: Program, tmp_path: Path, encoding: str) -> None:
    source = tmp_path / "shapes.db"
    sqlite(source, f"PRAGMA encoding = '{encoding}'; PRAGMA auto_vacuum = 1; {SHAPES}")
    sqlite(source, "DELETE FROM log")
    home = Home(program, source)
    home.write(
        # two rows swap a unique value, a third takes one that was freed
        "UPDATE plain SET u = 'zzz' WHERE id = 1", "UPDATE plain SET u = 'a' WHERE id = 2",
        "UPDATE plain SET u = 'b', n = 7 WHERE id = 1", "DELETE FROM plain WHERE id = 4",
        "INSERT INTO plain (u, n) VALUES ('d', 2)",
        "DELETE FROM without WHERE a = 'x' AND b = 1", "UPDATE without SET c = 'ü' WHERE a = 'y'",
        "INSERT INTO without VALUES ('x', 3, NULL)",
        "UPDATE composed SET c = 'ONE' WHERE b = 'A'", "DELETE FROM composed WHERE b = 'b'",
        "INSERT INTO composed VALUES ('2024-01-02 00:00:00', 'B', 'three')",
        "DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = 'a')",
        "INSERT INTO keyless VALUES ('c', 3), ('b', 2), (NULL, NULL)",
        "UPDATE strict SET n = 2 WHERE id = 2", "INSERT INTO strict VALUES (3, 'z', 3)",
        "INSERT INTO tree VALUES (3, 1, 'branch'), (4, 3, 'leaf')",
        "UPDATE tree SET parent = 4 WHERE id = 2",
        "INSERT INTO left_ VALUES (2, NULL)", "INSERT INTO right_ VALUES (2, 2)",
        "UPDATE left_ SET other = 2 WHERE id = 2",
        "UPDATE doubled SET n = 11 WHERE id = 1", "INSERT INTO doubled (id, n) VALUES (3, 30)",
        "UPDATE replacing SET u = 'q' WHERE id = 1", "UPDATE replacing SET u = 'a' WHERE id = 2",
        "UPDATE unsorted SET y = 'SEVEN' WHERE x = 7", "DELETE FROM unsorted WHERE x = 3",
        "INSERT INTO unsorted VALUES (1, 'one')",
    )  # fmt: skip
    home.returned()
    assert schema(home.into) == schema(home.kept), "the schema is as it was, triggers included"
    for pragma in ("user_version", "application_id", "auto_vacuum", "encoding", "page_size"):
        assert fetch(home.into, f"PRAGMA {pragma}") == fetch(home.kept, f"PRAGMA {pragma}")
    found = {
        table: sorted(fetch(home.into, f"SELECT * FROM {table}"), key=repr)
        for table in (
            "plain",
            "without",
            "composed",
            "keyless",
            "strict",
            "tree",
            "log",
            "replacing",
        )
    }
    assert found == {
        "plain": [(1, "b", 7), (2, "a", 2), (3, "c", 3), (5, "d", 2)],
        "without": [("x", 2, "two"), ("x", 3, None), ("y", 1, "ü")],
        "composed": [("2024-01-01T00:00:00", "A", "ONE"), ("2024-01-02T00:00:00", "B", "three")],
        "keyless": sorted(
            [
                ("a", 1.5),
                ("a", 1.5),
                ("b", 2.0),
                ("b", 2.0),
                ("c", 3.0),
                (None, None),
                (None, None),
            ],
            key=repr,
        ),
        "strict": [(1, "x", 1), (2, "y", 2), (3, "z", 3)],
        "tree": [(1, None, "root"), (2, 4, "twig"), (3, 1, "branch"), (4, 3, "leaf")],
        "log": [],
        "replacing": [(1, "q"), (2, "a")],
    }
    assert fetch(home.into, "SELECT n, twice FROM doubled ORDER BY id") == [
        (11, 22), (20, 40), (30, 60),
    ]  # fmt: skip
    before, after = stored(home.kept, "unsorted"), stored(home.into, "unsorted")
    assert [(k, v) for k, v in after.items() if v[1] == 5] == [
        (k, v) for k, v in before.items() if v[1] == 5
    ], "a row keeps its place"
    proof = program.verify(home.into).report["proof"]
    assert all(t["equal"] == t["source_rows"] == t["target_rows"] for t in proof["tables"])
    with sqlite3.connect(home.into) as connection:  # the triggers work again
        connection.execute("INSERT INTO plain (u) VALUES ('new')")
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (1,)


def test_full_text(program: Program, tmp_path: Path) -> None:
    """An index beside its table is built anew; one that holds its texts itself gets them."""
    source = sqlite(
        tmp_path / "fts.db",
        """CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);
        CREATE VIRTUAL TABLE beside USING fts5 (body, content='notes', content_rowid='id');
        CREATE VIRTUAL TABLE itself USING fts5 (body);
        CREATE TRIGGER notes_ai AFTER INSERT ON notes BEGIN
          INSERT INTO beside (rowid, body) VALUES (new.id, new.body); END;
        CREATE TRIGGER notes_ad AFTER DELETE ON notes BEGIN
          INSERT INTO beside (beside, rowid, body) VALUES ('delete', old.id, old.body); END;
        INSERT INTO notes VALUES (1, 'red apple'), (2, 'green pear');
        INSERT INTO itself (body) VALUES ('one fish'), ('two fish');""",
    )
    home = Home(program, source)
    home.write(
        "UPDATE notes SET body = 'blue plum' WHERE id = 1",
        "INSERT INTO notes VALUES (3, 'red cherry')",
        "DELETE FROM itself WHERE body = 'one fish'",
        "INSERT INTO itself (body) VALUES ('three birds')",
    )
    done = home.returned()
    assert any("beside" in note and "rebuilt" in note for note in done.report["notes"])

    def match(table: str, word: str) -> list[tuple[Any, ...]]:
        return fetch(home.into, f"SELECT rowid FROM {table} WHERE {table} MATCH '{word}'")

    assert (match("beside", "apple"), match("beside", "plum"), match("beside", "red")) == (
        [], [(1,)], [(3,)],
    )  # fmt: skip
    assert [len(match("itself", word)) for word in ("fish", "birds")] == [1, 1]
    sqlite(home.into, "INSERT INTO beside (beside) VALUES ('integrity-check')")


def test_what_stayed_behind_stays(program: Program, tmp_path: Path) -> None:
    """Quarantined rows, tables that were left out, and columns."""
    source = sqlite(
        tmp_path / "some.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE, extra TEXT DEFAULT 'own', n INTEGER);
        CREATE TABLE old (x);
        INSERT INTO t (id, day, extra, n) VALUES (1, '2024-01-01', 'kept', 1), (2, '2024-01-02', 'k', 2),
          (4, '2024-01-02', 'k', 2);
        INSERT INTO old VALUES (1), ('one');""",
        ("INSERT INTO t VALUES (3, ?, 'b', ?)", [("no\0day", "bad")]),
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text(
        "tables:\n  old: {exclude: true}\n  t: {columns: {extra: {exclude: true},"
        " day: {type: date}}}\n"
    )
    words = (
        "--mapping",
        mapping,
        "--on-finding",
        "quarantine",
        "--quarantine-file",
        tmp_path / "q",
    )
    home = Home(program, source, *words)
    home.write("UPDATE t SET day = '2025-01-01' WHERE id = 2", "DELETE FROM t WHERE id = 4",
               "INSERT INTO t (id, day) VALUES (9, '2025-02-02')")  # fmt: skip
    home.returned()
    assert fetch(home.into, "SELECT * FROM t ORDER BY id") == [
        (1, "2024-01-01", "kept", 1), (2, "2025-01-01", "k", 2), (3, "no\0day", "b", "bad"),
        (9, "2025-02-02", "own", None),
    ]  # fmt: skip
    assert stored(home.into, "old") == stored(home.kept, "old")
    assert program("open", None).code == 0
    # what was corrected and put there takes its place
    home.write("INSERT INTO t (id, day) VALUES (3, '2025-02-02')")
    notes = home.returned().report["notes"]
    assert "t [id=3]: quarantined at the load, it gave way" in notes[0]
    assert len(notes) == 2 and notes[1].startswith("t: 1 rows that were quarantined"), notes
    assert fetch(home.into, "SELECT day, n FROM t WHERE id = 3") == [("2025-02-02", None)]


def test_what_stayed_behind_is_not_taken_for_removed(program: Program, tmp_path: Path) -> None:
    """What made the rows stay behind is no more: nobody can tell them from those that the app removed."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, n varchar(3), m text)")
    source = sqlite(
        tmp_path / "w.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9), m TEXT); CREATE TABLE u (a TEXT);"
        "INSERT INTO t VALUES (1, 'x', 'x'), (2, 'longer', 'x'), (3, 'z', char(0)); INSERT INTO u VALUES ('x')",
    )
    home = Home(program, source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q")
    assert home.refused("--leave-out", "t.m").findings == [("t", "", "")]
    assert program("open", None).code == 0
    home.write("ALTER TABLE t ALTER n TYPE varchar(9)", "UPDATE u SET a = 'y'")
    refused = home.refused()
    assert refused.findings == [("t", "", "")] and "--leave-out t" in refused.text
    home.returned("--leave-out", "t")
    assert fetch(home.into, "SELECT id FROM t") == [(1,), (2,), (3,)]
    assert fetch(home.into, "SELECT a FROM u") == [("y",)]
    assert program("open", None).code == 0
    home.write("ALTER TABLE t ALTER n TYPE varchar(3)")
    home.returned()
    assert fetch(home.into, "SELECT id FROM t") == [(1,), (2,), (3,)]


def test_rows_that_stayed_behind_and_have_no_key(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "k.db",
        "CREATE TABLE t (a TEXT, b INT); INSERT INTO t VALUES ('x', 1), ('y' || char(0), 2)",
    )
    home = Home(program, source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q")
    home.write("INSERT INTO t VALUES ('y', 2)")
    notes = home.returned().report["notes"]
    assert notes == ["t: 1 rows that were quarantined at the load are in the file as they were"]
    assert fetch(home.into, "SELECT a FROM t ORDER BY a") == [("x",), ("y",), ("y\0",)]


@pytest.mark.parametrize(
    ("unique", "shape", "mail"),
    [
        ("lower(mail))", "", "B"),
        ("mail COLLATE NOCASE)", "", "B"),
        ("mail) WHERE n IS NOT NULL", "WITHOUT ROWID", "b"),
    ],
)
def test_a_row_that_stayed_behind_gives_way_to_another(
    program: Program, tmp_path: Path, unique: str, shape: str, mail: str
) -> None:
    """What points at it goes, too; what pointed nowhere before stays."""
    source = sqlite(
        tmp_path / "g.db",
        f"""PRAGMA encoding = 'UTF-16le';
        CREATE TABLE t (id TEXT PRIMARY KEY, mail TEXT, n TEXT) {shape};
        CREATE UNIQUE INDEX own ON t ({unique};
        CREATE TABLE c (id INTEGER PRIMARY KEY, t TEXT REFERENCES t (id), up INT REFERENCES c (id));
        INSERT INTO t VALUES ('a', 'a', 'x'), ('b', 'b', 'p' || char(0)), ('d', 'd', 'p' || char(0));
        INSERT INTO c VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'a', 4), (4, 'a', 2), (5, 'd', NULL),
          (6, 'no', NULL);""",
    )
    words = ("--on-finding", "quarantine", "--quarantine-file", tmp_path / "q")
    home = Home(program, source, *words)
    home.write(f"INSERT INTO t VALUES ('e', '{mail}', 'new'), ('d', 'f', 'new')")
    look = program("reverse", home.kept, "--check-only")
    notes = home.returned().report["notes"]
    assert (look.verdict, look.report["notes"]) == ("reversible", notes)
    b, d, e = ("id='b'", "id='d'", "id='e'") if shape else ("rowid=2", "rowid=3", "rowid=5")
    for place, why in (
        (f"t [{b}]", f" [{e}]"), (f"t [{d}]", "the same id ["),
        ("c [id=2]", "with the row of t"), ("c [id=4]", "with the row of c"),
        ("c [id=3]", "with the row of c"),
        ("t: 2 rows", "not in the file"), ("c: 3 rows", "not in the file"), ("c: 2 rows", "as they were"),
    ):  # fmt: skip
        assert any(note.startswith(place) and why in note for note in notes), (place, notes)
    assert fetch(home.into, "SELECT id, n FROM t ORDER BY id") == [
        ("a", "x"), ("d", "new"), ("e", "new"),
    ]  # fmt: skip
    assert fetch(home.into, "SELECT id FROM c ORDER BY id") == [(1,), (5,), (6,)]


def test_a_column_that_differs_from_another_in_case(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "c.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')",
    )
    home = Home(program, source)
    home.write('ALTER TABLE t ADD "A" text', "UPDATE t SET \"A\" = 'only here'")
    assert home.refused().findings == [("t", "", "A")]
    assert program("open", None).code == 0
    home.returned("--leave-out", "t.A")


def test_an_index_that_only_the_app_can_keep(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "a.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.create_collation("OWN", lambda a, b: (a > b) - (a < b))
        connection.create_function("own", 1, str.lower, deterministic=True)
        connection.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE OWN);"
            "CREATE INDEX by_v ON t (v); CREATE INDEX by_own ON t (own(v)); CREATE INDEX plain ON t (v COLLATE BINARY);"
            "CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT COLLATE OWN UNIQUE);"
            "CREATE TABLE w (id INTEGER PRIMARY KEY, v TEXT COLLATE OWN); CREATE INDEX stays ON w (v);"
            "INSERT INTO t VALUES (1, 'b'), (2, 'a'); INSERT INTO u VALUES (1, 'x'); INSERT INTO w VALUES (1, 'y')"
        )
    home = Home(program, source)
    home.write("UPDATE t SET v = 'A' WHERE id = 1", "INSERT INTO t (v) VALUES ('c')")
    done = home.back()
    assert done.code == 0, done.out
    home.demand_clean()
    made = {lack["name"]: lack["reason"] for lack in done.report["uncarried"]}
    assert made.keys() == {"by_v", "by_own"} and "CREATE INDEX by_v ON t (v)" in made["by_v"]
    indexes = fetch(home.into, "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql > ''")
    assert sorted(indexes) == [("plain",), ("stays",)]
    with closing(sqlite3.connect(home.into)) as connection:
        rows = connection.execute("SELECT id, v FROM t NOT INDEXED").fetchall()
    assert rows == [(1, "A"), (2, "a"), (3, "c")]
    home.into.unlink()
    assert program("open", None).code == 0
    home.write("INSERT INTO u VALUES (2, 'z')")
    assert "--leave-out u" in home.refused().error


def test_what_an_rtree_would_round(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "r.db",
        "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 1, 2);"
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
    )
    home = Home(program, source)
    home.write("INSERT INTO r VALUES (2, 0.1, 0.25)")
    refused = home.refused()
    assert "r [id=2]: x0" in refused.error and "--leave-out r;" in refused.error
    nothing = home.back("--leave-out", "[rt]")
    assert nothing.code == 2 and "every table is left out" in nothing.error
    home.returned("--leave-out", "r")


def test_what_is_new_on_postgresql(program: Program, brainer: Path) -> None:
    home = Home(program, brainer)
    home.write(
        "ALTER TABLE courses ADD COLUMN stars integer NOT NULL DEFAULT 3",
        "ALTER TABLE courses ADD COLUMN tags text[]",
        'ALTER TABLE courses ADD COLUMN "seen At" timestamp DEFAULT now()',
        "CREATE INDEX courses_stars ON courses (stars)",
        "CREATE INDEX by_title ON courses (lower(title))",
        "CREATE VIEW named AS SELECT title FROM courses",
        "UPDATE courses SET stars = 5, tags = '{a,\"b c\"}' WHERE id = 1",
        """CREATE TABLE reviews (id serial PRIMARY KEY, course_id integer NOT NULL
             REFERENCES courses (id) ON DELETE CASCADE, mail varchar(20) UNIQUE, at timestamp
             DEFAULT now(), at_zone timestamptz, ok boolean NOT NULL DEFAULT true, score numeric(4,2),
             ref uuid, data jsonb DEFAULT '{}', span int4range, body bytea)""",
        "CREATE INDEX reviews_course ON reviews (course_id)",
        """INSERT INTO reviews (course_id, mail, at, at_zone, score, ref, data, span, body) VALUES
             (1, 'a@b', '2026-01-02', '2026-01-02 03:04:05+02', 1.25,
              '0f8fad5b-d9cb-469f-a165-70867728950e', '{"a": 1}', '[1,5)', '\\x00ff'),
             (1, 'c@d', NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
        "DELETE FROM reviews WHERE mail = 'c@d'",
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('abc')",
    )
    look = home.program("reverse", home.kept, "--check-only")
    assert (look.code, look.verdict) == (0, "reversible"), look.out
    done = home.returned()
    told = done.report["reversal"]
    assert told["added_tables"] == ["alembic_version", "reviews"]
    assert told["added_columns"] == ["courses.stars", "courses.tags", "courses.seen At"]
    assert told["tables"] == look.report["reversal"]["tables"]
    assert any("courses.tags: text[] becomes a text" in note for note in done.report["notes"])
    told_new = [note for note in done.report["notes"] if "not in the file" in note]
    assert [note.partition(" not in the file: ")[2] for note in told_new] == [
        "CREATE INDEX ON public.courses USING btree (lower((title)::text))",
        'default of "seen At": now()', "",
    ], told_new  # fmt: skip
    assert fetch(home.into, "SELECT stars, tags FROM courses ORDER BY id")[:2] == [
        (5, '{a,"b c"}'), (3, None),
    ]  # fmt: skip
    (row,) = fetch(home.into, "SELECT * FROM reviews")
    assert row == (
        1, 1, "a@b", "2026-01-02 00:00:00.000000", "2026-01-02 01:04:05.000000+00:00", 1, 1.25,
        "0f8fad5bd9cb469fa16570867728950e", '{"a": 1}', "[1,5)", b"\0\xff",
    )  # fmt: skip
    keys = fetch(home.into, "SELECT \"table\", \"from\", \"to\", on_delete FROM"
                 " pragma_foreign_key_list('reviews')")  # fmt: skip
    assert keys == [("courses", "course_id", "id", "CASCADE")]
    names = [row[0] for row in fetch(home.into, "SELECT name FROM pragma_index_list('reviews')")]
    assert "reviews_course" in names and len(names) == 2
    assert fetch(home.into, "SELECT seq FROM sqlite_sequence WHERE name = 'reviews'") == [(2,)]
    # and there again
    sqlite(home.into, "INSERT INTO reviews (course_id, mail) VALUES (1, 'e@f')")
    assert fetch(home.into, "SELECT max(id), ok FROM reviews") == [(3, 1)]
    again = program.run(home.into, "--catch-up", "--hold")
    assert again.code == 0, again.out
    assert program.verify(home.into).verdict == "equal"


def test_rules_that_are_new_on_postgresql(program: Program, tmp_path: Path) -> None:
    """Each is in the file, or named."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
    )
    home = Home(program, source)
    home.write(
        "CREATE DOMAIN positive AS integer DEFAULT 4 CHECK (value > 0)",
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        """ALTER TABLE t ADD st text NOT NULL DEFAULT 'new' CHECK (st <> ''), ADD p positive,
             ADD n serial, ADD g integer GENERATED ALWAYS AS IDENTITY, ADD m integer,
             ADD x integer REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED,
             ADD y integer REFERENCES parent (id), ADD UNIQUE (m) DEFERRABLE,
             ADD "z)" integer REFERENCES t (id)""",
        "CREATE INDEX partial ON t (m) WHERE m > 1", "CREATE INDEX down ON t (m DESC, x)",
        """CREATE TABLE u (id integer GENERATED ALWAYS AS IDENTITY (INCREMENT 10) PRIMARY KEY,
             n serial, k text COLLATE "C" CHECK (k <> ''), l varchar DEFAULT NULL,
             twice integer GENERATED ALWAYS AS (2 * 2) STORED,
             x integer REFERENCES u (id) DEFERRABLE, UNIQUE (k, l), UNIQUE (l) INCLUDE (k))""",
        "CREATE TABLE w (a integer PRIMARY KEY DEFAULT 7, b integer)",
        "CREATE TABLE heir () INHERITS (w)", "INSERT INTO heir VALUES (1)", "CREATE SEQUENCE s",
        """CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW
             EXECUTE FUNCTION suppress_redundant_updates_trigger()""",
    )  # fmt: skip
    notes = home.returned().report["notes"]
    new = ": new on PostgreSQL, and not in the file"
    assert sorted(notes) == sorted([
        f"t{new}: CHECK ((st <> ''::text))", f"t{new}: type of p: public.positive",
        f"t{new}: default of n: nextval('public.t_n_seq'::regclass)", f"t{new}: NOT NULL of n",
        f"t{new}: identity of g", f"t{new}: NOT NULL of g", f"t{new}: UNIQUE (m) DEFERRABLE",
        f"t{new}: FOREIGN KEY (y) REFERENCES public.parent(id)",
        f"t{new}: CREATE INDEX ON public.t USING btree (m) WHERE (m > 1)",
        "u.id: PostgreSQL counts by 10, the file by 1",
        f"u{new}: default of n: nextval('public.u_n_seq'::regclass)",
        f"u{new}: CHECK ((k <> ''::text))", f'u{new}: type of k: text COLLATE pg_catalog."C"',
        f"u{new}: expression of twice: (2 * 2)", f"u{new}: UNIQUE (l) INCLUDE (k)",
        f"w{new}: default of a: 7",
        "heir: it inherits from w, and its rows are in both",
        "sequence public.s: on PostgreSQL, and not in the file", f"trigger tr of t{new}",
    ])  # fmt: skip
    made = fetch(home.into, "SELECT sql FROM sqlite_schema WHERE name IN ('t', 'down', 'u')")
    assert [text for (text,) in made] == [
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, "st" TEXT NOT NULL DEFAULT 'new', "p" INTEGER,"""
        ' "n" INTEGER, "g" INTEGER, "m" INTEGER, "x" INTEGER REFERENCES "t" ("id") DEFERRABLE'
        ' INITIALLY DEFERRED, "y" INTEGER, "z)" INTEGER REFERENCES "t" ("id"))',
        'CREATE INDEX "down" ON "t" ("m" DESC, "x")',
        'CREATE TABLE "u" (\n  "id" INTEGER PRIMARY KEY AUTOINCREMENT,\n  "n" INTEGER NOT NULL,\n'
        '  "k" TEXT,\n  "l" VARCHAR,\n  "twice" INTEGER,\n  "x" INTEGER,\n  UNIQUE ("k", "l"),\n'
        '  FOREIGN KEY ("x") REFERENCES "u" ("id") DEFERRABLE\n)',
    ]  # fmt: skip


def test_rules_that_are_gone_on_postgresql(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL UNIQUE CHECK (a <> ''), b INT DEFAULT 5);
        CREATE TABLE c (id INTEGER PRIMARY KEY, t INT REFERENCES t (id));
        CREATE INDEX i ON t (b); CREATE VIEW v AS SELECT a FROM t; INSERT INTO t VALUES (1, 'x', 1);""",
    )
    home = Home(program, source)
    home.write(
        "ALTER TABLE t DROP CONSTRAINT t_a_check, DROP CONSTRAINT t_a_key, ALTER a DROP NOT NULL,"
        " ALTER b DROP DEFAULT, ALTER id DROP IDENTITY",
        "ALTER TABLE c DROP CONSTRAINT c_t_fkey", "DROP INDEX i", "DROP VIEW v",
    )  # fmt: skip
    notes = home.returned().report["notes"]
    assert all(note.endswith("; the file keeps it") for note in notes), notes
    assert notes.pop().startswith("view v: gone since the load: SELECT ")
    assert [note.removesuffix("; the file keeps it") for note in notes] == [
        "t: gone since the load: CHECK ((a <> ''::text))",
        "t: gone since the load: CREATE INDEX ON public.t USING btree (b)",
        "t: gone since the load: NOT NULL of a", "t: gone since the load: UNIQUE (a)",
        "t: gone since the load: a number of the app's own choice in id",
        "t: gone since the load: default of b: 5", "t: gone since the load: identity of id",
        "c: gone since the load: FOREIGN KEY (t) REFERENCES public.t(id)",
    ]  # fmt: skip
    assert schema(home.into) == schema(home.kept)


@pytest.mark.parametrize(
    ("kind", "declared", "value"),
    [
        ("real NOT NULL DEFAULT 0.1", "REAL NOT NULL DEFAULT 0.10000000149011612", 0.10000000149011612),
        ("numeric(8,2) DEFAULT 1.256", "NUMERIC(8,2) DEFAULT 1.26", 1.26),
        ("integer DEFAULT 2.5", "INTEGER DEFAULT 3", 3),
        ("positive DEFAULT 7", "INTEGER DEFAULT 7", 7),
        ("jsonb DEFAULT '{\"a\":1}'", "JSON DEFAULT '{\"a\": 1}'", '{"a": 1}'),
        ("text DEFAULT 'a''b'", "TEXT DEFAULT 'a''b'", "a'b"),
        ("interval DEFAULT '1 month'", "TEXT", "1 mon"),
        ("varchar(3)[] DEFAULT '{a,b}'", "TEXT", "{a,b}"),
    ],
)  # fmt: skip
def test_a_new_column(
    program: Program, tmp_path: Path, kind: str, declared: str, value: Any
) -> None:
    """Rows have what its default is in its type, in the file, too."""
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)"
    )
    home = Home(program, source)
    home.write(
        "CREATE DOMAIN positive AS integer CHECK (value > 0)",
        f"ALTER TABLE t ADD COLUMN f {kind}",
        f"CREATE TABLE u (f {kind})",
        "INSERT INTO u DEFAULT VALUES",
    )
    done = home.returned()
    assert fetch(home.into, "SELECT f FROM t UNION ALL SELECT f FROM u") == [(value,), (value,)]
    made = [text for (text,) in fetch(home.into, "SELECT sql FROM sqlite_schema")]
    assert made == [
        f'CREATE TABLE t (id INTEGER PRIMARY KEY, "f" {declared})',
        f'CREATE TABLE "u" (\n  "f" {declared}\n)',
    ]
    named = any("default of f" in note for note in done.report["notes"])
    assert named == ("DEFAULT" not in declared)


def test_a_name_that_shells_and_patterns_read_otherwise(program: Program, tmp_path: Path) -> None:
    """What is printed is passed as it stands."""
    name = "it's [a] b*"
    source = sqlite(
        tmp_path / "n.db",
        f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, "x[1]" TEXT); CREATE TABLE t (a TEXT);'
        f"""INSERT INTO "{name}" VALUES (1, 'x'); INSERT INTO t VALUES ('y')""",
    )
    home = Home(program, source, "--include", name, "--include", "t")
    home.write(f'ALTER TABLE "{name}" DROP COLUMN "x[1]"', "INSERT INTO t VALUES ('z')")
    (found,) = home.refused("--check-only").report["reversal"]["uncarried"]
    home.returned(*shlex.split("--leave-out" + found["resolve"].partition("--leave-out")[2]))
    assert fetch(home.into, f'SELECT * FROM "{name}"') == [(1, "x")]
    assert fetch(home.into, "SELECT a FROM t") == [("y",), ("z",)]


def test_what_is_gone_on_postgresql(program: Program, brainer: Path) -> None:
    home = Home(program, brainer)
    home.write(
        "ALTER TABLE exercises DROP COLUMN hint",
        "ALTER TABLE courses ALTER COLUMN price TYPE date USING '2024-01-01'",
        'CREATE TABLE "Courses" (id int)',
        "CREATE TABLE odd (m money)",
        "UPDATE exercises SET points = 9 WHERE id = 1",
    )
    refused = home.refused("--check-only")
    told = {(f["table"], f["column"]): f for f in refused.report["reversal"]["uncarried"]}
    assert "gone on PostgreSQL" in told["exercises", "hint"]["reason"]
    assert "--leave-out exercises.hint" in told["exercises", "hint"]["resolve"]
    assert "another type" in told["courses", "price"]["reason"]
    assert "doesn't tell A from a" in told["Courses", ""]["reason"]
    assert "money" in told["odd", ""]["reason"]
    words = [w for name in ("exercises.hint", "courses.price", "Courses", "odd")
             for w in ("--leave-out", name)]  # fmt: skip
    done = home.returned(*words)
    assert fetch(home.into, "SELECT points FROM exercises WHERE id = 1") == [(9,)]
    hints = "SELECT hint FROM exercises ORDER BY id"
    assert fetch(home.into, hints) == fetch(home.kept, hints)
    assert len(done.report["uncarried"]) == 2
    assert program("open", None).code == 0
    home.write("ALTER TABLE exercises ADD COLUMN hint text", "DROP TABLE parts CASCADE")
    refused = home.refused("--leave-out", "courses.price", "--leave-out", "[Co][od]*")
    assert [f["table"] for f in refused.report["findings"]] == ["parts"]
    assert fetch(home.kept, "SELECT count(*) FROM parts") != []


@pytest.mark.parametrize(("words", "told"), [("", "c rowid=4 -> p"), ("WITHOUT ROWID", "c -> p")])
def test_a_new_orphan_is_refused(program: Program, tmp_path: Path, words: str, told: str) -> None:
    """Those that were there before are no reason."""
    source = sqlite(
        tmp_path / "o.db",
        f"""CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id)) {words};
        INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1), (2, 77);""",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {c: {columns: {p: {orphans: keep}}}}\n")
    home = Home(program, source, "--mapping", mapping)
    home.write("INSERT INTO c VALUES (3, 1)")
    home.returned()
    assert program("open", None).code == 0
    home.write("ALTER TABLE c DROP CONSTRAINT c_p_fkey", "INSERT INTO c VALUES (4, 5)")
    refused = home.refused()
    assert "1 rows would point at rows that don't exist" in refused.error
    assert told in refused.error


def test_a_reference_that_was_cut(program: Program, tmp_path: Path) -> None:
    """The parent that was missing is there now: PostgreSQL's NULL counts."""
    source = sqlite(
        tmp_path / "o.db",
        """CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id));
        INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1), (2, 77), (3, 88);""",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {c: {columns: {p: {orphans: 'null'}}}}\n")
    home = Home(program, source, "--mapping", mapping)
    home.write("INSERT INTO p VALUES (77)", "INSERT INTO c VALUES (4, 77)")
    done = home.returned()
    assert fetch(home.into, "SELECT p FROM c ORDER BY id") == [(1,), (None,), (88,), (77,)]
    assert [t["added"] for t in done.report["reversal"]["tables"]] == [1, 1]


@pytest.mark.parametrize("how", ["STORED", "VIRTUAL"])
def test_a_column_that_only_sqlite_computes(program: Program, tmp_path: Path, how: str) -> None:
    """It follows what it is made of, and is no reason to let a quarantined row go, nor a key to find rows by."""
    source = sqlite(
        tmp_path / "g.db",
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, n INT,
          g TEXT AS (printf('%d!', n) || iif(n = 9, char(0), '')) {how});
        CREATE TABLE k (a TEXT NOT NULL, g TEXT AS (printf('%s!', a)) {how} NOT NULL UNIQUE);
        INSERT INTO t (id, n) VALUES (1, 5), (2, 6), (3, 9); INSERT INTO k (a) VALUES ('x'), ('y');""",
    )
    words = ("--on-finding", "quarantine", "--quarantine-file", tmp_path / "q")
    home = Home(program, source, *words)
    home.write(
        "UPDATE t SET n = 7 WHERE id = 1", "UPDATE t SET g = 'own' WHERE id = 2",
        "INSERT INTO t (id, n) VALUES (4, 8)", "UPDATE k SET a = 'z' WHERE a = 'x'",
    )  # fmt: skip
    look = program("reverse", home.kept, "--check-only")
    assert look.verdict == "reversible", look.out
    told = home.returned().report["uncarried"]
    assert [(u["kind"], u["name"]) for u in told] == [
        ("generated column", n) for n in ("t.g", "k.g")
    ]
    assert fetch(home.into, "SELECT id, g FROM t") == [(1, "7!"), (2, "6!"), (3, "9!\0"), (4, "8!")]
    assert fetch(home.into, "SELECT a, g FROM k ORDER BY a") == [("y", "y!"), ("z", "z!")]


def test_a_rule_that_only_sqlite_has(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "r.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (typeof(n) <> 'q' AND n < 10),
             m TEXT NOT NULL, u TEXT COLLATE NOCASE UNIQUE);
        INSERT INTO t VALUES (1, 1, 'a', 'a'), (2, 2, 'b', 'b');""",
    )
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, n integer, m text, u text)")
    home = Home(program, source)
    home.write(
        "INSERT INTO t VALUES (3, 11, 'c', 'c'), (4, 4, NULL, 'd'), (5, 5, 'e', 'e'), (6, 6, 'f', 'E')"
    )
    found = home.refused().report["reversal"]["uncarried"]
    assert [(f["key"], f["reason"].partition(": ")[2].partition(":")[0]) for f in found] == [
        ("id=3", "CHECK constraint failed"), ("id=4", "NOT NULL constraint failed"),
        ("id=6", "UNIQUE constraint failed"),
    ]  # fmt: skip
    home.write("DELETE FROM t WHERE id IN (3, 4, 6)", "INSERT INTO t VALUES (7, 7, 'g', 'B')")
    look = program("reverse", home.kept, "--check-only")
    refused = home.refused()
    assert (look.code, look.error) == (1, refused.error)
    assert "UNIQUE constraint failed: t.u" in refused.error and "t [id=7]" in refused.error
