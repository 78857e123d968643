"""What a schema means: the same rows are refused, found and computed on both sides."""

import sqlite3
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from migrate_db.structure import expressions

from .program import Program, Result, ask, sqlite
from .test_shapes import arrives, uncarried


def refused(url: str, statement: str, error: type[Exception] = psycopg.IntegrityError) -> None:
    with pytest.raises(error):
        ask(url, statement)


def indexes(url: str, table: str) -> str:
    rows = ask(url, f"SELECT indexdef FROM pg_indexes WHERE tablename = '{table}' ORDER BY 1")
    return "\n".join(row[0] for row in rows)


def test_nocase_refuses_what_it_refused(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE word (w TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);
        CREATE TABLE person (id INTEGER PRIMARY KEY, mail TEXT COLLATE NOCASE
            CONSTRAINT one_mail UNIQUE, nick TEXT, tag TEXT COLLATE RTRIM UNIQUE);
        CREATE UNIQUE INDEX by_nick ON person (nick COLLATE NOCASE) WHERE nick <> '';
        CREATE INDEX finds ON person (nick COLLATE NOCASE DESC);
        CREATE TABLE letter (id INTEGER PRIMARY KEY, sender TEXT REFERENCES person (mail));
        INSERT INTO word VALUES ('Ä', 1), ('ä', 2), ('a', 3);
        INSERT INTO person VALUES (1, 'A@x', 'Bob', 't'), (2, 'b@x', '', NULL), (3, 'É', '', NULL),
            (4, 'é', '', NULL);
        INSERT INTO letter VALUES (1, 'A@x');
        """,
    )
    assert uncarried(result) == []
    assert any("person.mail: COLLATE NOCASE" in note for note in result.report["notes"])
    for values in ("10, 'a@X', NULL, NULL", "10, NULL, 'BOB', NULL", "10, NULL, NULL, 't  '"):
        refused(program.url, f"INSERT INTO person VALUES ({values})")
    refused(program.url, "INSERT INTO word VALUES ('A', 1)")
    refused(program.url, "INSERT INTO letter VALUES (2, 'nobody')")
    ask(program.url, "INSERT INTO word VALUES ('Ö', 1), ('ö', 1)")
    assert "one_mail" in indexes(program.url, "person")
    assert "finds ON public.person USING btree (lower(nick) DESC)" in indexes(program.url, "person")


def test_texts_are_ordered_by_bytes_in_checks(program: Program, tmp_path: Path) -> None:
    """In most languages 'B' comes after 'a'; in SQLite before."""
    result = arrives(
        program,
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (a < 'a'),"
        " b TEXT COLLATE NOCASE CHECK (b >= 'm' AND b <> 'ZZ'), g TEXT CHECK (g GLOB '[A-Z]?*.x'),"
        " l TEXT CHECK (l LIKE 'a\\%'), d DATE CHECK (d < '2000-01-02'),"
        " c INTEGER_OR_TEXT CHECK (c <> 'y'), j text CHECK (json_valid(j) OR j IS NULL),"
        " ty INTEGER CHECK (typeof(ty) = 'integer'));"
        "INSERT INTO t VALUES (1, 'B', 'M', 'Aé.x', 'A\\%', '2000-01-01', 12, '{}', 1), (2, 'B', 'M', 'Aé.x',"
        " 'A\\%', '2000-01-01', 'xy', NULL, 1)",
    )
    assert uncarried(result) == []
    ask(program.url, "INSERT INTO t (id, a, b, g, l, ty) VALUES (3, 'Z', 'z', 'ZZ.x', 'A\\b', 1)")
    for change in (
        "a = 'b'",
        "b = 'L'",
        "b = 'zZ'",
        "g = 'aé.x'",
        "g = 'A.y'",
        "l = 'b'",
        "l = 'a'",
    ):
        refused(program.url, f"UPDATE t SET {change} WHERE id = 2")


def test_generated_columns(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, f REAL, s TEXT, o TEXT,
            product INTEGER AS (a * b), quotient INTEGER AS (a / b) STORED, rest AS (a % b),
            half REAL AS (f / 2.0 + a) STORED, full TEXT NOT NULL AS (coalesce(s, '') || '-' || a),
            low TEXT AS (lower(s)), size INTEGER AS (length(s)), sign INTEGER AS (a > b AND a <> 7),
            kind TEXT AS (CASE WHEN a > 3 THEN 'big' WHEN a IS NULL THEN 'none' ELSE 'small' END),
            part TEXT AS (substr(s, 2, 3)), twice INTEGER AS (product * 2), day TEXT AS (date(o)),
            ver TEXT AS (printf('%d', a)) );
        INSERT INTO t (id, a, b, f, s, o) VALUES (1, 7, 2, 0.1, 'ÄBCDÉ', 'x'), (2, -7, 2, 1e300, '', ''),
            (3, 3, 0, -0.0, NULL, ''), (4, 2000000000, 3, 5.5, 'it''s', '2024-01-01'), (5, 0, 1, 1, 'A', 'z');
        CREATE INDEX by_low ON t (low); CREATE UNIQUE INDEX u ON t (product, id);
        """,
    )
    assert uncarried(result) == []
    kept = [row[0] for row in ask(program.url, "SELECT column_name FROM information_schema.columns"
            " WHERE is_generated = 'ALWAYS' ORDER BY ordinal_position")]  # fmt: skip
    assert kept == [
        "product", "quotient", "rest", "half", "full", "low", "size", "sign", "kind", "part",
    ]  # fmt: skip
    for plain in ("twice", "day", "ver"):
        assert any(f"t.{plain}: a generated column, carried" in n for n in result.report["notes"])
    source = tmp_path / "shape.db"
    sqlite(source, "UPDATE t SET a = 9, s = 'Z' WHERE id = 5; INSERT INTO t (id, a) VALUES (9, 1)")
    assert program.run(source, "--catch-up").verdict == "caught up"
    ask(program.url, "UPDATE t SET a = 8 WHERE id = 5")
    verified = program.verify(source)
    assert verified.code == 3 and "product" in verified.out


@pytest.mark.parametrize(
    "expression",
    ["upper('x') || a", "a * 3 / 1", "printf('%d', a) + 0"],
    ids=["refused", "wrong", "plain"],
)
def test_what_postgresql_does_not_compute_the_same_is_carried_as_it_is(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expression: str
) -> None:
    right = expressions.generated
    monkeypatch.setattr(
        expressions,
        "generated",
        lambda *a: right(*a).replace("'refused'", "now()").replace("* 3", "* 4"),
    )
    result = arrives(
        program, tmp_path,
        f"CREATE TABLE t (a INTEGER, g AS ({expression}), h INTEGER AS (a + 1)); INSERT INTO t (a) VALUES (5)",
    )  # fmt: skip
    assert any(
        "t.g: a generated column, carried as plain values" in n for n in result.report["notes"]
    )
    assert len([n for n in result.report["notes"] if "t.h: a generated" in n]) == 1


def test_indexes_on_expressions(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT, a INTEGER, gone INTEGER, d DATE, b BOOLEAN);
        CREATE UNIQUE INDEX one ON t (lower(mail)) WHERE gone IS NULL AND a IN (1, 2);
        CREATE INDEX two ON t (lower(mail), a + 1 DESC, coalesce(mail, 'x'));
        CREATE INDEX three ON t (a) WHERE d >= '2024-01-01' AND NOT b;
        CREATE INDEX four ON t (strftime('%Y', d));
        CREATE UNIQUE INDEX five ON t (ifnull(gone, 0), id) WHERE mail LIKE 'x%' OR mail IS NOT NULL;
        INSERT INTO t VALUES (1, 'A', 1, NULL, '2024-05-05', 0), (2, 'a', 3, 1, NULL, 1);
        """,
    )
    assert uncarried(result) == [("index", "t.four")]
    text = indexes(program.url, "t")
    for part in ("lower(mail), (((a)::bigint + 1)) DESC, COALESCE(mail, 'x'::text)",
                 "WHERE ((d >= '2024-01-01'::date) AND (NOT b))"):  # fmt: skip
        assert part in text, text
    refused(program.url, "INSERT INTO t (id, mail, a) VALUES (3, 'a', 2)")
    ask(program.url, "INSERT INTO t (id, mail, a, gone) VALUES (3, 'A', 2, 1)")


def test_names_of_constraints_and_when_they_are_checked(program: Program, tmp_path: Path) -> None:
    long = "x" * 70
    result = arrives(
        program,
        tmp_path,
        f"""
        CREATE TABLE p (id INTEGER CONSTRAINT pk PRIMARY KEY, a INTEGER CONSTRAINT u UNIQUE,
            CONSTRAINT c CHECK (a > 0), CONSTRAINT c CHECK (a < 100));
        CREATE TABLE k (id INTEGER CONSTRAINT pk PRIMARY KEY, a INTEGER CONSTRAINT u UNIQUE,
            p INTEGER CONSTRAINT fk REFERENCES p ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
            q INTEGER DEFAULT 1 REFERENCES p (a) ON UPDATE SET DEFAULT, r INTEGER,
            CONSTRAINT {long} CHECK (r <> 1), CONSTRAINT {long}y CHECK (r <> 2),
            CONSTRAINT fk FOREIGN KEY (r) REFERENCES p ON DELETE SET NULL NOT DEFERRABLE);
        INSERT INTO p VALUES (1, 1); INSERT INTO k VALUES (1, 1, 1, 1, NULL);
        """,
    )
    assert uncarried(result) == []
    found = dict(ask(program.url, "SELECT conrelid::regclass || '.' || conname,"
                     " pg_get_constraintdef(oid) FROM pg_constraint"
                     " WHERE connamespace = 'public'::regnamespace"))  # fmt: skip
    assert {"p.pk", "p.u", "p.c", "k.fk", "k.k_q_fkey"} <= set(found)
    assert found["k.fk"].endswith("ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED")
    assert found["k.k_q_fkey"].endswith("ON UPDATE SET DEFAULT")
    assert len(found) == 11, found
    assert sum("the name is" in note for note in result.report["notes"]) == 6
    with psycopg.connect(program.url) as server:
        server.execute("INSERT INTO k (id, p) VALUES (5, 5)")
        server.execute("INSERT INTO p VALUES (5, 5)")


def test_names_that_are_taken_in_the_target(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE by_x (id int); CREATE VIEW ctid__ AS SELECT 1")
    result = arrives(
        program, tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, ctid TEXT, ctid_ TEXT); CREATE INDEX by_x ON t (ctid);"
        "INSERT INTO t VALUES (1, 'a', 'b')",
    )  # fmt: skip
    assert uncarried(result) == []
    assert any("index by_x of t: the name is taken" in note for note in result.report["notes"])
    assert ask(program.url, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'") == [(2,)]


def test_defaults_of_every_kind(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, hex INTEGER DEFAULT 0x1F, sum INTEGER DEFAULT (1 + 2),
            neg REAL DEFAULT -1.5, e REAL DEFAULT 1e3, txt TEXT DEFAULT ('a' || 'b'), n TEXT DEFAULT 5,
            dq TEXT DEFAULT "d'q", word TEXT DEFAULT bare, bl BLOB DEFAULT x'00ff', yes BOOLEAN DEFAULT TRUE,
            off BOOLEAN DEFAULT '0', nil TEXT DEFAULT NULL, dec NUMERIC(10,2) DEFAULT 9.5,
            day DATE DEFAULT CURRENT_DATE, clock TIME DEFAULT CURRENT_TIME, at DATETIME DEFAULT (datetime('now')),
            at2 TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')), unix INTEGER DEFAULT (strftime('%s', 'now')),
            unix2 INTEGER DEFAULT (unixepoch()), ms BIGINT DEFAULT (strftime('%s', 'now') * 1000),
            j JSON DEFAULT '{}', tday TEXT DEFAULT CURRENT_DATE,
            past DATETIME DEFAULT '2024-01-01 00:00:00', past_day DATE DEFAULT '1970-01-01',
            uid TEXT DEFAULT (strftime('%J', 'now')), loc TEXT DEFAULT (datetime('now', 'localtime')),
            wrong INTEGER DEFAULT 'none');
        INSERT INTO t (id, day, clock, wrong) VALUES (1, '2024-01-01', '10:00:00', 1);
        """,
    )
    assert uncarried(result) == [("default", "t.uid"), ("default", "t.loc"), ("default", "t.wrong")]
    (row,) = ask(program.url, "INSERT INTO t (id) VALUES (9) RETURNING hex, sum, neg, e, txt, n, dq, word, bl,"
                 " yes, off, nil, dec::text, j::text, past::text, past_day::text,"
                 " day = timezone('utc', now())::date, clock = date_trunc('second', timezone('utc', now()))::time,"
                 " at = timezone('utc', now()), at2, unix, unix2, tday, ms")  # fmt: skip
    assert row[:19] == (31, 3, -1.5, 1000.0, "ab", "5", "d'q", "bare", b"\x00\xff", True, False, None,
                        "9.50", "{}", "2024-01-01 00:00:00", "1970-01-01", True, True, True)  # fmt: skip
    assert row[19][10] == "T" and row[19][-1] == "Z" and row[22] == row[19][:10]
    assert abs(row[20] - row[21]) < 2 and row[20] > 1_700_000_000
    assert abs(row[23] / 1000 - row[20]) < 2


def test_a_default_in_words_where_rows_hold_numbers(program: Program, tmp_path: Path) -> None:
    """As pgAdmin declares them: SQLite stores the word, which the app takes for a boolean."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, off BOOLEAN NOT NULL DEFAULT 'false', t BOOL DEFAULT \"True\","
        " n BOOLEAN DEFAULT ('n'), bad BOOLEAN DEFAULT 'maybe');"
        "INSERT INTO t VALUES (1, 0, 0, 1, 1), (2, 1, 1, 0, 0)",
    )
    done = program.run(source)
    assert (done.code, uncarried(done)) == (0, [("default", "t.bad")])
    told = [note for note in done.report["notes"] if "its default" in note]
    assert [note.partition(";")[0] for note in told] == ['t.t: its default "True" becomes true']
    added = ask(program.url, "INSERT INTO t (id) VALUES (3) RETURNING off, t, n")
    assert added == [(False, True, False)]
    sqlite(source, "INSERT INTO t (id, bad) VALUES (3, 0)")
    done = program.run(source, "--catch-up", "--given-up")
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT off, t, n FROM t WHERE id = 3") == added


UUID4 = (
    "lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2))) || '-4' || substr(lower(hex(randomblob(2))),2)"
    " || '-' || substr('89ab',abs(random()) % 4 + 1, 1) || substr(lower(hex(randomblob(2))),2) || '-'"
    " || lower(hex(randomblob(6)))"
)


@pytest.mark.parametrize(
    ("declared", "default", "shape"),
    [
        ("TEXT", UUID4, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("UUID", UUID4, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("CHAR(36)", UUID4, r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("TEXT", "'r' || lower(hex(randomblob(7)))", "r[0-9a-f]{14}"),
        ("TEXT", "hex(randomblob(32))", "[0-9A-F]{64}"),
        ("UUID", UUID4.replace("substr('89ab',abs(random()) % 4 + 1, 1)", "'a'"), r"[0-9a-f-]{36}"),
        (
            "TEXT",
            "'k''_' || hex(randomblob(3)) || '-' || substr(lower(hex(randomblob(2))), 2)",
            "k'_[0-9A-F]{6}-[0-9a-f]{3}",
        ),
        ("BIGINT", "abs(random())", "[0-9]{10,19}"),
        ("BLOB", "randomblob(16)", r"\\x[0-9a-f]{32}"),
        ("INTEGER", "cast((julianday('now') - 2440587.5)*86400000 as integer)", "1[0-9]{12}"),
        ("INTEGER", "cast(unixepoch('subsec') * 1000 as integer)", "1[0-9]{12}"),
        ("INTEGER", "unixepoch('subsec') * 1000", "1[0-9]{12}"),
    ],
)
def test_defaults_that_are_another_one_each_time(
    program: Program, tmp_path: Path, declared: str, default: str, shape: str
) -> None:
    """As Prefect, PocketBase and Drizzle write them: of the same form, and never the same."""
    # no row is inserted in SQLite: an older one doesn't know 'subsec'
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared} DEFAULT ({default}));"
        "CREATE TABLE filled (n); INSERT INTO filled VALUES (1)",
    )
    result = program.run(source)
    assert (result.code, uncarried(result)) == (0, [])
    ask(program.url, "INSERT INTO t (id) SELECT generate_series(1, 20)")
    quoted = shape.replace("'", "''")
    matching, distinct = ask(
        program.url,
        f"SELECT count(*) FILTER (WHERE v::text ~ '^{quoted}$'), count(DISTINCT v) FROM t",
    )[0]
    assert matching == 20
    assert distinct == (1 if declared == "INTEGER" else 20)


@pytest.mark.parametrize(
    ("declared", "default"),
    [
        ("REAL", "strftime('%s', 'now')"),
        ("REAL", "julianday('now')"),
        ("NUMERIC", "unixepoch('now')"),
        ("TEXT", "strftime('%s', CURRENT_TIMESTAMP)"),
        ("INTEGER", "CAST(strftime('%s', 'now') AS INTEGER) * 1000"),
        ("INTEGER", "strftime('%Y%m', 'now')"),
        ("TEXT", "datetime('now', '+7 days', '-1 hour')"),
        ("DATE", "date('now', '+30 day')"),
        ("TEXT", "printf('%05d', 42) || json_array() || upper('x') || hex('a')"),
        ("INTEGER", "NOT 0"),
        ("DATETIME", "datetime('2024-02-29')"),
    ],
)
def test_defaults_are_what_sqlite_makes_of_them(
    program: Program, tmp_path: Path, declared: str, default: str
) -> None:
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared} DEFAULT ({default}));"
        "INSERT INTO t (id) VALUES (1)",
    )
    result = program.run(source)
    assert (result.code, uncarried(result)) == (0, [])
    ours = ask(program.url, "SELECT v FROM t")[0][0]
    theirs = ask(program.url, "INSERT INTO t (id) VALUES (2) RETURNING v")[0][0]
    if isinstance(ours, str) and "-" in ours:  # some seconds passed
        passed = datetime.fromisoformat(theirs) - datetime.fromisoformat(ours)
        assert timedelta() <= passed < timedelta(minutes=1)
    elif isinstance(ours, (int, float, Decimal)):
        assert 0 <= theirs / ours - 1 < 1e-7
    else:
        assert ours == theirs or int(theirs) - int(ours) < 60


def test_defaults_that_are_named(program: Program, tmp_path: Path) -> None:
    """A gigabyte isn't worked out, and a text of 36 letters need not be a UUID."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB DEFAULT (zeroblob(900000000)),"
        " u UUID DEFAULT ('k_' || lower(hex(randomblob(17)))));"
        "INSERT INTO t VALUES (1, x'00', '6f9619ff-8b86-4d01-b42d-00c04fc964ff')",
    )
    result = program.run(source)
    assert (result.code, uncarried(result)) == (0, [("default", "t.v"), ("default", "t.u")])


def test_defaults_that_count_what_becomes_moments(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, s INTEGER NOT NULL DEFAULT (unixepoch()),"
        " w INTEGER DEFAULT (strftime('%s', 'now')), m INTEGER DEFAULT (unixepoch() * 1000),"
        " j REAL DEFAULT (julianday('now')), other INTEGER DEFAULT (unixepoch()))",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text(
        "allow_empty: true\ntables: {t: {columns: {s: {epoch: s}, w: {epoch: s, type: timestamp},"
        " m: {epoch: ms}, j: {epoch: julian}, other: {epoch: ms}}}}"
    )
    result = program.run(source, "--mapping", mapping)
    assert (result.code, uncarried(result)) == (0, [("default", "t.other")]), result.out
    ask(program.url, "INSERT INTO t DEFAULT VALUES")
    now = "now() - {} BETWEEN '0' AND '1 minute'"
    columns = ("s", "w AT TIME ZONE 'UTC'", "m", "j")
    tests = ", ".join(now.format(column) for column in columns)
    assert ask(program.url, f"SELECT {tests} FROM t") == [(True,) * len(columns)]


def test_a_unique_that_is_lost_is_told_as_one(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, j TEXT, a TEXT); INSERT INTO t VALUES (1, '{}', 'x');"
        " CREATE UNIQUE INDEX u ON t (json_extract(j, '$.k'), a);",
    )
    (lack,) = program.run(source).report["uncarried"]
    assert lack["name"] == "t.u"
    assert lack["reason"].startswith("UNIQUE (an expression, a) holds no more: ")


def test_conflict_clauses_are_named(program: Program, tmp_path: Path) -> None:
    result: Result = arrives(
        program, tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE ON CONFLICT REPLACE);"
        "INSERT INTO t VALUES (1, 'x')",
    )  # fmt: skip
    assert any("UNIQUE (a) ON CONFLICT REPLACE" in note for note in result.report["notes"])


def test_what_virtual_tables_hold_is_carried(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program,
        tmp_path,
        """
        CREATE TABLE doc (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO doc VALUES (1, 'é');
        CREATE VIRTUAL TABLE own5 USING fts5(title, body UNINDEXED, tokenize = 'porter ascii');
        INSERT INTO own5 (rowid, title, body) VALUES (5, 'x y', 1), (-3, NULL, 'é🧠');
        CREATE VIRTUAL TABLE own4 USING fts4(a, rowid); INSERT INTO own4 (a) VALUES ('text');
        CREATE VIRTUAL TABLE outside USING fts5(body, content='doc', content_rowid=id);
        CREATE VIRTUAL TABLE none USING fts5(body, content='');
        CREATE VIRTUAL TABLE tree USING rtree(id, x0, x1, +label TEXT);
        INSERT INTO tree VALUES (7, 0.1, 2, 'hi');
        CREATE VIRTUAL TABLE own3 USING fts3(a, b); INSERT INTO own3 VALUES ('one', 'two');
        PRAGMA writable_schema = 1;
        UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE own3 USING fts3(a, b, tokenize=mozporter)'
            WHERE name = 'own3';
        INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('table', 'idx', 'idx', 0,
            'CREATE VIRTUAL TABLE idx USING VirtualSpatialIndex()');
        """,
    )
    assert ask(program.url, "SELECT * FROM own5 ORDER BY 1") == [(-3, None, "é🧠"), (5, "x y", "1")]
    assert ask(program.url, "SELECT a FROM own4") == [("text",)]
    assert ask(program.url, "SELECT id, x1, label FROM tree") == [(7, 2.0, "hi")]
    assert ask(program.url, "SELECT * FROM own3_content") == [(1, "one", "two")]
    reasons = {u["name"]: u["reason"] for u in result.report["uncarried"]}
    for name, part in (("own5", "tsvector"), ("outside", "in table doc"), ("none", "holds no texts"),
                       ("tree", "GiST"), ("own3", "own3_content"), ("idx", "PostGIS")):  # fmt: skip
        assert part in reasons[name], reasons
    assert reasons["own5_data"] == "internal to virtual table own5"
    tables = {row[0] for row in ask(program.url, "SELECT tablename FROM pg_tables"
                                    " WHERE schemaname = 'public'")}  # fmt: skip
    assert tables == {"doc", "own5", "own4", "tree", "own3_content"}


def test_a_collation_that_only_the_app_has(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "c.db"
    with sqlite3.connect(source) as connection:
        connection.create_collation("LOCALIZED", lambda a, b: (a < b) - (a > b))
        connection.executescript(
            """
            CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT COLLATE LOCALIZED UNIQUE, m TEXT);
            CREATE TABLE w (k TEXT COLLATE LOCALIZED PRIMARY KEY, x NOT NULL CHECK (x > 0)) WITHOUT ROWID;
            CREATE INDEX by_m ON t (m COLLATE "localized"); CREATE INDEX by_n ON t (n DESC);
            INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'B', 'é');
            INSERT INTO w VALUES ('a', 1), ('B', 2), ('é', 3);
            """
        )
    connection.close()
    result = program.run(source)
    assert result.code == 0, result.out
    # their plain keys are carried, what else the app takes for the same is not
    assert [name for _, name in uncarried(result)] == [
        "t.sqlite_autoindex_t_1", "w.sqlite_autoindex_w_1",
    ]  # fmt: skip
    assert sum("the app's own" in note for note in result.report["notes"]) == 2
    assert program.verify(source).verdict == "equal"
    ask(program.url, "UPDATE w SET x = 9 WHERE k = 'B'")
    assert "w [k='B']" in program.verify(source).text


def test_a_function_that_only_the_app_has(program: Program, tmp_path: Path) -> None:
    """In an index, a CHECK, a column that is stored and two that are not."""
    source = tmp_path / "f.db"
    with sqlite3.connect(source) as connection:
        connection.create_function("ours", 1, lambda value: value, deterministic=True)
        connection.executescript(
            """
            CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (ours(a) <> 'no'), b TEXT UNIQUE,
                kept TEXT AS (ours(a)) STORED, lost TEXT AS (ours(a)), too AS (lost || 'x'));
            CREATE INDEX by_a ON t (ours(a)); CREATE INDEX some ON t (a) WHERE ours(b) > 1;
            CREATE INDEX by_too ON t (too); CREATE VIEW v AS SELECT lost FROM t;
            INSERT INTO t (id, a, b) VALUES (1, 'a', 'x'), (2, 'b', 'y');
            """
        )
    connection.close()
    result = program.run(source)
    assert result.code == 0, result.out
    assert sorted(uncarried(result)) == [
        ("check", "t.CHECK"), ("column", "t.lost"), ("column", "t.too"), ("index", "t.by_a"),
        ("index", "t.by_too"), ("index", "t.some"), ("view", "v"),
    ]  # fmt: skip
    reasons = {u["name"]: u["reason"] for u in result.report["uncarried"]}
    assert "ours() is a function that only the app has" in reasons["t.too"]
    assert ask(program.url, "SELECT id, kept FROM t ORDER BY id") == [(1, "a"), (2, "b")]
    assert program.verify(source).verdict == "equal"


def test_nocase_among_texts_and_numbers(program: Program, tmp_path: Path) -> None:
    """A number has no case; the texts beside it do, and are equal in any."""
    result = arrives(
        program, tmp_path,
        """CREATE TABLE t (id INTEGER PRIMARY KEY, n STRING COLLATE NOCASE UNIQUE, k INTEGER, u);
        CREATE UNIQUE INDEX by_u ON t (u COLLATE NOCASE);
        INSERT INTO t VALUES (1, 'Abc', 1, 'x'), (2, 12, 'two', 3), (3, 'b', 2, 'y');
        CREATE VIEW same AS SELECT id FROM t WHERE n = 'ABC';
        CREATE VIEW pairs AS SELECT a.id FROM t a JOIN t b ON a.n = b.n;
        CREATE VIEW various AS SELECT DISTINCT n FROM t;
        CREATE VIEW both AS SELECT k FROM t UNION SELECT CAST(id AS TEXT) FROM t;
        CREATE VIEW untyped AS SELECT u, count(*) AS c FROM t GROUP BY u;""",
    )  # fmt: skip
    assert sorted(name for _, name in uncarried(result)) == ["both", "pairs", "untyped", "various"]
    assert all("PostgreSQL, " not in u["reason"] for u in result.report["uncarried"])
    assert any("t.n: COLLATE NOCASE" in note for note in result.report["notes"])
    assert ask(program.url, "SELECT id FROM same") == [(1,)]
    for column in ("n", "u"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            ask(program.url, f"INSERT INTO t ({column}) SELECT upper({column}) FROM t WHERE id = 3")


def test_a_column_that_fails_in_some_rows(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "j.db",
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
        INSERT INTO t VALUES (1, '{"x": 1}'), (2, 'none');
        ALTER TABLE t ADD COLUMN x AS (json_extract(a, '$.x'));
        ALTER TABLE t ADD COLUMN n INT AS (length(a));
        """,
    )
    result = program.run(source)
    assert (result.code, uncarried(result)) == (0, [("column", "t.x")]), result.out
    assert "malformed JSON" in result.report["uncarried"][0]["reason"]
    assert ask(program.url, "SELECT n FROM t ORDER BY id") == [(8,), (4,)]


def test_a_schema_that_is_not_there(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id > 0), u TEXT UNIQUE);"
                    "CREATE VIEW v AS SELECT u FROM t; INSERT INTO t VALUES (1, 'x')")  # fmt: skip
    words = ("--schema", 'My "own"')
    assert program.run(source, *words, "--rehearse").verdict == "rehearsed"
    assert ask(program.url, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'My%'") == [(0,)]
    result = program.run(source, *words)
    assert result.code == 0, result.out
    assert any("it was not there, it is made" in note for note in result.report["notes"])
    assert ask(program.url, 'SELECT u FROM "My ""own""".v') == [("x",)]
    assert program.run(source).code == 0  # into public, too
    for schema in ('"My ""own"""', "public"):
        ask(program.url, f"ALTER TABLE {schema}.t DROP CONSTRAINT t_u_key")
        assert (
            "gone since the load: UNIQUE (u)"
            in program.verify(source, *(words if "My" in schema else ())).text
        )


def test_check_names_what_cannot_be_carried(program: Program, tmp_path: Path) -> None:
    source = _with_a_broken_check(tmp_path / "s.db")
    result = program.check(source)
    assert (result.code, result.verdict) == (0, "ready"), result.out
    kinds = [kind for kind, _ in uncarried(result)]
    # the number of a row has a default, too, which SQLite never uses
    assert sorted(kinds) == ["check", "default", "default", "trigger", "view"]
    done = program.run(source)
    assert done.code == 0
    assert any("violated" in u["reason"] for u in done.report["uncarried"])


def _with_a_broken_check(path: Path) -> Path:
    """SQLite lets rows in that break a CHECK, if it is asked to."""
    return sqlite(
        path,
        """
        PRAGMA ignore_check_constraints = ON;
        CREATE TABLE t (id INTEGER PRIMARY KEY DEFAULT 5, x TEXT DEFAULT (hex(random())),
            n INTEGER CHECK (n > 0), d TEXT CHECK (julianday(d) IS NOT NULL));
        INSERT INTO t VALUES (1, 'x', -5, '2024-01-01');
        CREATE VIEW v AS SELECT group_concat(x) FROM t;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;
        """,
    )


def test_numbers_from_any_sequence(program: Program, tmp_path: Path) -> None:
    """One that two tables share, one with steps of its own, one that has come to its end."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x); CREATE TABLE b (id INTEGER PRIMARY KEY, x);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, x); INSERT INTO a VALUES (5, 1);"
        "INSERT INTO b VALUES (70, 1); INSERT INTO c VALUES (9, 1)",
    )
    for statement in (
        "CREATE SEQUENCE shared", "CREATE TABLE a (id int PRIMARY KEY DEFAULT nextval('shared'), x int)",
        "CREATE TABLE b (id bigint PRIMARY KEY DEFAULT nextval('shared'), x int)",
        "CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY (INCREMENT BY 10) PRIMARY KEY, x int)",
    ):  # fmt: skip
        ask(program.url, statement)
    assert program.run(source).code == 0
    for table, number in (("a", 71), ("b", 72), ("c", 10), ("c", 20)):
        assert ask(program.url, f"INSERT INTO {table} (x) VALUES (2) RETURNING id") == [(number,)]
    ask(
        program.url,
        "DELETE FROM a WHERE x = 2; DELETE FROM b WHERE x = 2; DELETE FROM c WHERE x = 2",
    )
    ask(program.url, "ALTER SEQUENCE shared RESTART WITH 6")
    verified = program.verify(source)
    assert verified.code == 3 and "sequence of b.id: the next number 6 is in use" in verified.text
    ask(program.url, "TRUNCATE a, b, c; ALTER SEQUENCE shared AS int")
    sqlite(source, "UPDATE a SET id = 2147483647")
    refused_run = program.run(source)
    assert refused_run.code == 1 and "ends at 2147483647" in refused_run.error
    assert ask(program.url, "SELECT count(*) FROM a") == [(0,)]


def test_names_that_are_empty(program: Program, tmp_path: Path) -> None:
    result = arrives(
        program, tmp_path,
        'CREATE TABLE "" ("" INTEGER, unnamed TEXT, " " TEXT UNIQUE); INSERT INTO "" VALUES (1, 2, 3);',
    )  # fmt: skip
    assert uncarried(result) == []
    assert sum("empty, it becomes" in note for note in result.report["notes"]) == 2


def test_a_mapping_changes_what_a_schema_can_mean(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        """
        CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, gone TEXT CHECK (gone <> ''));
        CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT, code TEXT REFERENCES p (code), at INTEGER,
            size INTEGER AS (length(n)), later INTEGER AS (at + 1), CHECK (at > 0));
        CREATE INDEX by_gone ON p (gone); CREATE UNIQUE INDEX by_n ON t (lower(n), at);
        CREATE VIEW v AS SELECT id, gone FROM p; CREATE VIEW w AS SELECT id, n, code FROM t;
        INSERT INTO p VALUES (1, 'a', 'x'); INSERT INTO t (id, n, code, at) VALUES (1, '', 'a', 86400);
        """,
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text(
        "tables:\n  p: {columns: {gone: {exclude: true}}}\n"
        "  t: {columns: {id: {type: text}, n: {empty: 'null', rename: name}, at: {epoch: s}}}\n"
    )
    words = ("--mapping", mapping)
    result = program.run(source, *words)
    assert result.code == 0, result.out
    assert program.verify(source, *words).verdict == "equal"
    assert sorted(uncarried(result)) == [
        ("check", "p.CHECK"), ("check", "t.CHECK"), ("column", "p.gone"), ("index", "p.by_gone"),
        ("numbering", "t.id"), ("view", "v"),
    ]  # fmt: skip
    for column, why in (("size", "values of n are converted"), ("later", "at + 1")):
        assert any(f"t.{column}: " in note and why in note for note in result.report["notes"])
    assert any("view w: its rows were not compared" in note for note in result.report["notes"])
