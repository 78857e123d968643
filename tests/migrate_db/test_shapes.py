"""Schemas of every shape: carried, or named in the report; never dropped in silence."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from migrate_db.planning import profile

from .program import Program, Result, ask, sqlite


def arrives(program: Program, path: Path, script: str, *rows: Any) -> Result:
    """Migrate, verify, run again: equal each time."""
    source = sqlite(path / "shape.db", script, *rows)
    result = program.run(source)
    assert (result.code, result.verdict) == (0, "migrated"), result.out
    assert program.verify(source).verdict == "equal"
    assert program.run(source).verdict == "already migrated"
    return result


def uncarried(result: Result) -> list[tuple[str, str]]:
    return [(u["kind"], u["name"]) for u in result.report["uncarried"]]


def test_keys_of_every_kind(program: Program, tmp_path: Path) -> None:
    arrives(
        program,
        tmp_path,
        """
        CREATE TABLE bag (a INTEGER, b TEXT, c BLOB);
        INSERT INTO bag VALUES (1, 'x', NULL), (1, 'x', NULL), (NULL, NULL, NULL), (1, 'x', X'');
        CREATE TABLE one_column (x TEXT);
        INSERT INTO one_column VALUES (NULL), (''), ('\\.'), (NULL), (char(10)), (char(2)), (char(2) || 'N'), (char(1));
        CREATE TABLE pair (b INTEGER, a TEXT, n INTEGER, PRIMARY KEY (a, b));
        INSERT INTO pair VALUES (1, 'é', 1), (2, 'é', 2), (1, 'z', 3), (1, 'Z', 4), (1, '', 5);
        CREATE TABLE numbers (a INTEGER, b INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID;
        INSERT INTO numbers VALUES (-1, 5), (2, -5), (10, 5), (9, 5);
        CREATE TABLE words (w TEXT PRIMARY KEY COLLATE NOCASE, x REAL);
        INSERT INTO words VALUES ('b', 1.5), ('A', 2), ('ö', 3), ('🧠', 4), ('a b', 5), ('', 6);
        CREATE TABLE descending (id INTEGER PRIMARY KEY DESC, x); INSERT INTO descending VALUES (3, 1);
        CREATE TABLE float_key (f REAL PRIMARY KEY, x); INSERT INTO float_key VALUES (-1.5, 1), (1e300, 2);
        CREATE TABLE blob_key (k BLOB PRIMARY KEY); INSERT INTO blob_key VALUES (X'00'), (X'ff'), (X'');
        CREATE TABLE empty (id INTEGER PRIMARY KEY, x TEXT NOT NULL DEFAULT 'd');
        CREATE TABLE negative (id INTEGER PRIMARY KEY); INSERT INTO negative VALUES (-7), (0);
        CREATE TABLE strict (id INTEGER PRIMARY KEY, t TEXT, a ANY) STRICT;
        INSERT INTO strict VALUES (1, 'x', 7);
        """,
    )
    with psycopg.connect(program.url, autocommit=True) as server:
        server.execute("INSERT INTO empty DEFAULT VALUES")
        assert server.execute("SELECT * FROM empty").fetchall() == [(1, "d")]
        for table in ("pair", "numbers", "words", "descending", "float_key", "blob_key"):
            with pytest.raises(psycopg.errors.UniqueViolation):
                server.execute(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1".encode())


def test_relations_of_every_kind(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE z_parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
        CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES z_parent ON DELETE SET NULL,
            code TEXT REFERENCES Z_PARENT (CODE) ON UPDATE CASCADE);
        CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree ON DELETE CASCADE);
        CREATE TABLE chicken (id INTEGER PRIMARY KEY, egg INTEGER REFERENCES egg);
        CREATE TABLE egg (id INTEGER PRIMARY KEY, chicken INTEGER REFERENCES chicken);
        CREATE TABLE grid (x INTEGER, y INTEGER, PRIMARY KEY (x, y));
        CREATE TABLE piece (id INTEGER PRIMARY KEY, y INTEGER, x INTEGER,
            FOREIGN KEY (x, y) REFERENCES grid);
        INSERT INTO z_parent VALUES (1, 'a'), (2, 'b');
        INSERT INTO child VALUES (1, 1, 'b'), (2, NULL, NULL);
        INSERT INTO tree VALUES (1, 2), (2, NULL), (3, 1), (4, 4);
        INSERT INTO chicken VALUES (1, 1); INSERT INTO egg VALUES (1, 1);
        INSERT INTO grid VALUES (1, 2); INSERT INTO piece VALUES (1, 2, 1), (2, 9, NULL);
        """,
    )
    assert uncarried(result) == []
    order = [table["name"] for table in result.report["tables"]]
    assert order.index("z_parent") < order.index("child")
    assert order.index("grid") < order.index("piece")
    keys = ask(program.url, "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                            " WHERE contype = 'f' ORDER BY 1")  # fmt: skip
    assert keys == [
        ("FOREIGN KEY (chicken) REFERENCES chicken(id)",),
        ("FOREIGN KEY (code) REFERENCES z_parent(code) ON UPDATE CASCADE",),
        ("FOREIGN KEY (egg) REFERENCES egg(id)",),
        ("FOREIGN KEY (p) REFERENCES z_parent(id) ON DELETE SET NULL",),
        ("FOREIGN KEY (up) REFERENCES tree(id) ON DELETE CASCADE",),
        ("FOREIGN KEY (x, y) REFERENCES grid(x, y)",),
    ]


def test_relations_that_postgresql_would_not_make(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE parent (id INTEGER PRIMARY KEY, not_unique INTEGER);
        CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER REFERENCES parent (not_unique));
        CREATE TABLE b (id INTEGER PRIMARY KEY, x INTEGER REFERENCES nowhere);
        CREATE TABLE c (id INTEGER PRIMARY KEY, x INTEGER REFERENCES parent (no_column));
        INSERT INTO parent VALUES (1, 1); INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, NULL);
        """,
    )
    assert sorted(uncarried(result)) == [
        ("foreign key", "a(x)"), ("foreign key", "b(x)"), ("foreign key", "c(x)"),
    ]  # fmt: skip


def test_an_orphan_hides_behind_no_other_key(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        """
        CREATE TABLE parent (id INTEGER PRIMARY KEY, not_unique INTEGER);
        CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER REFERENCES parent (not_unique),
            p INTEGER REFERENCES parent);
        INSERT INTO parent VALUES (1, 1); INSERT INTO a VALUES (1, 1, 77);
        """,
    )
    result = program.run(source)
    assert result.code == 1, result.out
    assert ask(program.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


ODD = [
    "select", "User", "two words", 'qu"ote', "it's", "ünï", "🧠", "100%", "a%sb", "semi;colon",
    "a.b", "back\\slash", "oid", "x" * 70, "x" * 70 + "2", "ö" * 40, "{c}", "$1", "pg_class2", "new\nline",
]  # fmt: skip


def test_an_index_on_what_postgresql_would_take_for_the_column(
    program: Program, tmp_path: Path
) -> None:
    result = arrives(
        program, tmp_path,
        "CREATE TABLE t (x TEXT, y TEXT); CREATE UNIQUE INDEX tx ON t (CAST(x AS TEXT));"
        "CREATE INDEX ty ON t (lower(y)); INSERT INTO t VALUES ('a', 'B')",
    )  # fmt: skip
    assert uncarried(result) == [("index", "t.tx")]


def test_letters_that_sqlite_tells_apart(program: Program, tmp_path: Path) -> None:
    """It folds A to Z alone: Ä and ä are two names."""
    result = arrives(
        program, tmp_path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, "Ä" INTEGER NOT NULL, "ä" TEXT COLLATE NOCASE, "É" REAL,
            "é" AS ("Ä" + 1));
        CREATE TABLE "Ü" (a INTEGER PRIMARY KEY); CREATE TABLE "ü" (b TEXT PRIMARY KEY, t REFERENCES "Ü");
        INSERT INTO t VALUES (1, 5, 'x', 1.5); INSERT INTO "Ü" VALUES (1); INSERT INTO "ü" VALUES ('q', 1);
        CREATE VIEW "Ö" AS SELECT a FROM "Ü"; CREATE VIEW "ö" AS SELECT "ä", "Ä", b FROM t, "ü";
        """,
    )  # fmt: skip
    assert not result.report["uncarried"]
    assert ask(program.url, 'SELECT "Ä", "ä", "É", "é" FROM t') == [(5, "x", 1.5, 6)]
    assert ask(program.url, 'SELECT * FROM "ö"') == [("x", 5, "q")]
    assert ask(program.url, "SELECT confrelid::regclass::text FROM pg_constraint"
                            " WHERE contype = 'f'") == [('"Ü"',)]  # fmt: skip


def test_one_generated_column_that_postgresql_would_not_compute(
    program: Program, tmp_path: Path
) -> None:
    arrives(
        program, tmp_path,
        """
        CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER AS (x + 1) STORED);
        CREATE TABLE b (id INTEGER PRIMARY KEY, d DATE, s INTEGER, year TEXT AS (strftime('%Y', d)),
            at TEXT AS (datetime(s, 'unixepoch')) STORED);
        INSERT INTO a (x) VALUES (1); INSERT INTO b (d, s) VALUES ('2024-01-02', 0);
        """,
    )  # fmt: skip
    generated = "SELECT attname FROM pg_attribute WHERE attgenerated = 's'"
    assert ask(program.url, generated) == [("y",)]
    assert ask(program.url, "SELECT year, at FROM b") == [("2024", "1970-01-01 00:00:00")]


def test_names_of_every_kind(program: Program, tmp_path: Path) -> None:
    def q(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    script = ""
    for number, name in enumerate(ODD):
        columns = ", ".join(f"{q(n)} TEXT" for n in ODD)
        script += f"CREATE TABLE {q(name)} (id INTEGER PRIMARY KEY, {columns});"
        script += f"CREATE INDEX {q(name + ' index')} ON {q(name)} ({q(ODD[number - 1])});"
        parts = f"{q(ODD[number - 1])} COLLATE NOCASE, {q(ODD[number - 2])}"
        script += f"CREATE UNIQUE INDEX {q(name + ' unique')} ON {q(name)} ({parts});"
        marks = ", ".join("'v'" for _ in ODD)
        script += f"INSERT INTO {q(name)} VALUES (1, {marks});"
    source = sqlite(tmp_path / "odd.db", script)
    result = program.run(source)
    assert (result.code, result.report["uncarried"]) == (0, []), result.text[-3000:]
    assert program.verify(source).verdict == "equal"
    sqlite(
        source, f"UPDATE {q(ODD[3])} SET {q(ODD[4])} = 'new' WHERE id = 1; DELETE FROM {q('100%')}"
    )
    assert program.run(source, "--catch-up").verdict == "caught up"


@pytest.mark.parametrize("name", ["ctid", "xmin", "tableoid", "CTID"])
def test_names_that_postgresql_keeps_for_itself(
    program: Program, tmp_path: Path, name: str
) -> None:
    result = arrives(
        program, tmp_path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {name} TEXT); INSERT INTO t VALUES (1, 'x')",
    )  # fmt: skip
    assert name == "CTID" or any(name in note for note in result.report["notes"])


def test_names_that_collide_with_made_ones(program: Program, tmp_path: Path) -> None:
    arrives(
        program,
        tmp_path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
        CREATE INDEX t_pkey ON t (x); CREATE INDEX t_x_key ON t (x);
        CREATE TABLE t_id_seq (id INTEGER PRIMARY KEY);
        INSERT INTO t VALUES (1, 'a'); INSERT INTO t_id_seq VALUES (1);
        """,
    )


def test_constraints_defaults_and_indexes(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE t (
            id INTEGER PRIMARY KEY, n INTEGER DEFAULT 5 CHECK (n > 0 AND n <> 13),
            quoted INTEGER DEFAULT '7', half INTEGER DEFAULT 1.5, neg INTEGER DEFAULT -3,
            s TEXT NOT NULL DEFAULT 'it''s', dq TEXT DEFAULT "word", e TEXT DEFAULT '',
            b BOOLEAN DEFAULT 1 CHECK (b IN (0, 1)), f FLOAT DEFAULT 0.5, bl BLOB DEFAULT X'00',
            now DATETIME DEFAULT CURRENT_TIMESTAMP, r INTEGER DEFAULT (strftime('%s', 'now', 'localtime')),
            kind VARCHAR(9) CHECK (kind IN ('a', 'b')), up TEXT CHECK (upper(up) = up),
            gen INTEGER GENERATED ALWAYS AS (n * 2) STORED, UNIQUE (s, n)
        );
        CREATE UNIQUE INDEX partly ON t (s) WHERE n > 30;
        CREATE INDEX by_expression ON t (lower(s)); CREATE INDEX down ON t (n DESC, s);
        CREATE VIEW v AS SELECT group_concat(s) FROM t; CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;
        CREATE VIRTUAL TABLE fts USING fts5(body); INSERT INTO fts VALUES ('some words');
        INSERT INTO t (id, half, up, s) VALUES (1, 1, 'UP', 'other');
        """,
    )
    named = uncarried(result)
    for kind, name in (
        ("default", "t.half"), ("default", "t.r"), ("view", "v"), ("trigger", "g"),
        ("virtual table", "fts"), ("shadow table", "fts_data"),
    ):  # fmt: skip
        assert (kind, name) in named, named
    assert not any(kind == "index" for kind, _ in named)
    assert any("gen" in note for note in result.report["notes"])
    row = ask(
        program.url,
        "INSERT INTO t (up) VALUES ('X') RETURNING id, n, quoted, half, neg, s, dq, e, b, f,"
        " now > '2024-01-01' AND now <= timezone('utc', clock_timestamp())",
    )[0]
    assert row == (2, 5, 7, None, -3, "it's", "word", "", True, 0.5, True)
    indexes = ask(program.url, "SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY 1")
    text = str(indexes)
    assert "WHERE (n > 30)" in text and "(n DESC, s)" in text and "(s, n)" in text
    for bad in ("n = 13", "kind = 'c'", "s = NULL", "up = 'x'"):
        with pytest.raises(psycopg.errors.IntegrityError):
            ask(program.url, f"UPDATE t SET {bad} WHERE id = 1")


def test_an_empty_column_without_a_type_is_what_its_default_is(
    program: Program, tmp_path: Path
) -> None:
    result = arrives(
        program, tmp_path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, n DEFAULT 0, r DEFAULT -0.5, s DEFAULT '0',
            odd WHATEVER DEFAULT 7, x, full NOT NULL DEFAULT 0, half DEFAULT 0.5);
        INSERT INTO t VALUES (1, NULL, NULL, NULL, NULL, NULL, 'a text', 3);
        """,
    )  # fmt: skip
    assert uncarried(result) == [("default", "t.full"), ("default", "t.half")]
    types = [f"{column}: {t}" for column, t in result.report["tables"][0]["columns"].items()]
    assert types == ["id: integer", "n: bigint", "r: double precision", "s: text", "odd: bigint",
                     "x: text", "full: text", "half: bigint"]  # fmt: skip
    row = ask(program.url, "INSERT INTO t (\"full\") VALUES ('') RETURNING n, r, s, odd")
    assert row == [(0, -0.5, "0", 7)]


def test_a_key_without_a_type_and_without_values(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program, tmp_path,
        """
        CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
        CREATE TABLE c (a REFERENCES p, b REFERENCES p (code), d INTEGER REFERENCES p (code));
        CREATE TABLE untyped (k UNIQUE); CREATE TABLE e (k INTEGER REFERENCES untyped (k));
        INSERT INTO p VALUES (1, 'x'); INSERT INTO c VALUES (NULL, 'x', NULL);
        """,
    )  # fmt: skip
    assert not uncarried(result)
    columns = {table["name"]: table["columns"] for table in result.report["tables"]}
    assert columns["c"] == {"a": "integer", "b": "text", "d": "text"}
    assert columns["untyped"] == columns["e"] == {"k": "integer"}


def test_keys_that_share_a_parent_agree_all(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program, tmp_path,
        """
        CREATE TABLE p (id BIGINT NOT NULL PRIMARY KEY, up BIGINT REFERENCES p);
        CREATE TABLE first (p BIGINT REFERENCES p); CREATE TABLE second (p TEXT REFERENCES p);
        INSERT INTO p VALUES (1, NULL), (2, 1); INSERT INTO first VALUES (1);
        INSERT INTO second VALUES ('2');
        """,
    )  # fmt: skip
    assert not uncarried(result)
    assert all(set(t["columns"].values()) == {"text"} for t in result.report["tables"])


def test_json_that_rows_are_found_by(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program, tmp_path,
        "CREATE TABLE t (k JSON PRIMARY KEY, j JSON); INSERT INTO t VALUES ('{}', '[1]'), ('[]', '')",
    )  # fmt: skip
    assert any("t.k:" in note and "can't be indexed" in note for note in result.report["notes"])


def test_an_index_that_postgresql_would_not_make(program: Program, tmp_path: Path) -> None:
    """A B-tree entry has at most 2,704 bytes."""
    result = arrives(
        program, tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); CREATE INDEX long ON t (x);"
        "INSERT INTO t VALUES (1, hex(randomblob(9000)))",
    )  # fmt: skip
    assert ("index", "t.long") in uncarried(result)


def test_many_columns_and_long_expressions(program: Program, tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(600)]
    long = " + ".join(["id"] * 600)
    result = arrives(
        program, tmp_path,
        f"""CREATE TABLE w (id INTEGER PRIMARY KEY, {" TEXT, ".join(names)} TEXT);
        INSERT INTO w (id, c0, c599) VALUES (1, 'é', 'ü');
        CREATE VIEW v AS SELECT {long} AS s FROM w; CREATE INDEX i ON w ({long});
        CREATE TABLE t (id INTEGER PRIMARY KEY, s AS ({long}), CHECK ({long} > 0));
        INSERT INTO t VALUES (1);""",
    )  # fmt: skip
    assert sorted(uncarried(result)) == [("check", "t.CHECK"), ("index", "w.i"), ("view", "v")]
    assert ask(program.url, "SELECT s FROM t") == [(600,)]


def test_a_key_that_postgresql_would_not_make(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program, tmp_path,
        'CREATE TABLE "a.b" (k TEXT PRIMARY KEY, u TEXT UNIQUE); CREATE TABLE c (k REFERENCES "a.b");'
        'INSERT INTO "a.b" VALUES (hex(randomblob(9000)), hex(randomblob(9000)))',
    )  # fmt: skip
    assert sorted(uncarried(result)) == [
        ("foreign key", "c(k)"), ("primary key", "a.b"), ("unique", "a.b.sqlite_autoindex_a.b_2"),
    ]  # fmt: skip


def test_more_columns_than_an_index_takes(program: Program, tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(33)]
    declared, listed = " INTEGER NOT NULL, ".join(names) + " INTEGER NOT NULL", ", ".join(names)
    result = arrives(
        program, tmp_path,
        f"CREATE TABLE k ({declared}, PRIMARY KEY ({listed})); CREATE INDEX ki ON k ({listed});"
        f"CREATE TABLE u ({declared}, UNIQUE ({listed}));"
        f"INSERT INTO k VALUES ({', '.join('1' * 33)}); INSERT INTO u SELECT * FROM k",
    )  # fmt: skip
    assert sorted(uncarried(result)) == [
        ("index", "k.ki"), ("primary key", "k"), ("unique", "u.sqlite_autoindex_u_1"),
    ]  # fmt: skip


def test_a_row_that_is_too_wide(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers fill the page; in the other table texts do, each moved out of its row."""
    monkeypatch.setattr(profile, "LARGE", 9)
    monkeypatch.setattr(profile, "_SAMPLE", 2)
    numbers = ", ".join(f"c{n} INTEGER" for n in range(1100))
    texts = ", ".join(f"c{n} TEXT" for n in range(500))
    source = sqlite(
        tmp_path / "w.db",
        f"CREATE TABLE n (id INTEGER PRIMARY KEY, {numbers});"
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {texts});"
        f"INSERT INTO n VALUES (0, {', '.join([str(2**40)] * 1100)});"
        f"INSERT INTO t VALUES (0, {', '.join(['hex(randomblob(20))'] * 500)});"
        f"WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < 20)"
        " INSERT INTO n (id, c0) SELECT i, i FROM k;"
        "INSERT INTO t (id, c7) VALUES (1, 'x')",
    )
    refused = program.run(source)  # the larger one is taken as declared first
    assert sorted(refused.findings) == [("n", "id=0", ""), ("t", "id=0", "")]
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    done = program.run(source, "--mapping", proposed, "--quarantine-file", tmp_path / "q.db")
    assert (done.code, done.verdict) == (3, "migrated, 2 rows quarantined"), done.out
    assert ask(program.url, "SELECT count(*), sum(c0) FROM n") == [(20, 210)]


def test_a_row_that_only_gaps_make_too_wide(program: Program, tmp_path: Path) -> None:
    declared = ", ".join(f"b{n} BOOLEAN, n{n} BIGINT" for n in range(600))
    values = ", ".join([f"1, {2**40}"] * 600)
    source = sqlite(tmp_path / "w.db", f"CREATE TABLE w ({declared}); INSERT INTO w VALUES ({values})"
                    "; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")  # fmt: skip
    refused = program.run(source)
    assert refused.code == 1 and "exclude: true" in refused.error and "COPY w" in refused.error
    mapping = tmp_path / "map.yml"
    mapping.write_text("tables: {w: {exclude: true}}")
    assert program.run(source, "--mapping", mapping).code == 0


def test_numbers_go_on_past_the_highest(program: Program, tmp_path: Path) -> None:
    arrives(
        program,
        tmp_path,
        """
        CREATE TABLE at_the_edge (id INTEGER PRIMARY KEY, x);
        INSERT INTO at_the_edge VALUES (2147483647, 1);
        CREATE TABLE deleted (id INTEGER PRIMARY KEY AUTOINCREMENT, x);
        INSERT INTO deleted VALUES (3000000000, 1); DELETE FROM deleted; INSERT INTO deleted (x) VALUES (1);
        DELETE FROM deleted;
        """,
    )
    for table, following in (("at_the_edge", 2**31), ("deleted", 3_000_000_002)):
        assert ask(program.url, f"INSERT INTO {table} (x) VALUES (1) RETURNING id") == [
            (following,)
        ]


def test_the_last_number_of_all(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (9223372036854775807)",
    )
    result = program.run(source)
    assert result.code in (0, 1)
    assert "please report" not in result.text and "9223372036854775807" in result.text
    assert "new rows need" not in result.text, "there are none beyond"


def test_values_decide_where_the_type_lies(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, v VARCHAR(3), d DATETIME, b BOOLEAN,"
        " n NUMERIC(4,2), j JSON, dt DATE)",
        (
            "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (1, 2**40, "longer", "2024-01-01T10:00", 2, 123.456, "5", "today"),
                (2, 1, "x", "2024-01-01", 1, 0.1, '{"a": 1}', None),
                (3, None, "é", None, None, 5, "not JSON", "2024-01-01"),
            ],
        ),
    )
    done = program.run(source)
    assert done.code == 0, done.out
    types = done.report["tables"][0]["columns"]
    assert types == {
        "id": "integer", "i": "bigint", "v": "text", "d": "timestamp", "b": "smallint",
        "n": "numeric", "j": "text", "dt": "text",
    }  # fmt: skip
    for column in ("i", "v", "b", "n", "j", "dt"):
        assert any(f"t.{column}:" in note for note in done.report["notes"]), column


def test_a_utf16_file(program: Program, tmp_path: Path) -> None:
    arrives(
        program, tmp_path,
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (k TEXT PRIMARY KEY, d DATETIME, j JSON);"
        "INSERT INTO t VALUES ('é', '2024-01-01T10:00', '{\"a\": \"🧠\"}'), ('z', NULL, '[]'),"
        " ('Ā', NULL, NULL), ('🧠', NULL, NULL), ('\uffee', NULL, NULL)",
    )  # fmt: skip
    assert ask(program.url, "SELECT count(*) FROM t WHERE k = '🧠'") == [(1,)]


def test_existing_columns_in_another_order_and_more(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE T (Id INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, twice INTEGER);"
        "INSERT INTO T VALUES (1, 'x', 2), (2, 'y', 4), (9, 'z', 18); DELETE FROM T WHERE Id = 9",
    )
    ask(
        program.url,
        "CREATE TABLE \"T\" (more text DEFAULT 'd', name text, id serial PRIMARY KEY,"
        " twice int GENERATED ALWAYS AS (id * 2) STORED)",
    )
    result = program.run(source)
    assert result.code == 0, result.out
    assert any("twice" in note for note in result.report["notes"])
    assert ask(program.url, 'SELECT * FROM "T" ORDER BY id') == [("d", "x", 1, 2), ("d", "y", 2, 4)]
    assert ask(program.url, "INSERT INTO \"T\" (name) VALUES ('n') RETURNING id") == [(10,)]


def test_a_column_that_the_target_computes_otherwise(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "t.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, twice INTEGER);"
                    "INSERT INTO t VALUES (1, 2), (2, 5)")  # fmt: skip
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY,"
                     " twice int GENERATED ALWAYS AS (id * 2) STORED)")  # fmt: skip
    refused = program.run(source)
    assert refused.code == 1 and "t.twice" in refused.error and "exclude: true" in refused.error
    assert ask(program.url, "SELECT count(*) FROM t") == [(0,)]
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {twice: {exclude: true}}}}")
    assert program.run(source, "--mapping", mapping).code == 0
    assert ask(program.url, "SELECT twice FROM t ORDER BY id") == [(2,), (4,)]


def test_triggers_of_the_target_change_nothing(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "t.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);"
                    "INSERT INTO t VALUES (1, 'as it is')")  # fmt: skip
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, x text)")
    ask(program.url, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.x := 'changed'; RETURN NEW; END$$")  # fmt: skip
    ask(
        program.url,
        "CREATE TRIGGER g BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )
    assert program.run(source).code == 0
    assert ask(program.url, "SELECT x FROM t") == [("as it is",)]
    ask(program.url, "INSERT INTO t VALUES (2, '')")
    assert ask(program.url, "SELECT x FROM t WHERE id = 2") == [("changed",)]


def test_many_tables(program: Program, tmp_path: Path) -> None:
    script = "CREATE TABLE t0 (id INTEGER PRIMARY KEY);" + "".join(
        f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t{n - 1});"
        for n in range(1, 120)
    )
    arrives(program, tmp_path, script + "INSERT INTO t0 VALUES (1); INSERT INTO t1 VALUES (1, 1)")


def test_what_counts_seconds_has_room_beyond_2038(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, size INTEGER, most INTEGER);"
        "INSERT INTO t VALUES (1, 1731536000, 2000000000, 2147483647), (2, 0, -1, -2147483648)",
    )
    result = program.run(source)
    assert result.code == 0, result.out
    assert ask(
        program.url,
        "SELECT array_agg(format_type(atttypid, NULL) ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attnum > 1",
    ) == [(["bigint", "bigint", "integer"],)]
    assert sum("integer ends at 2,147,483,647" in note for note in result.report["notes"]) == 2
