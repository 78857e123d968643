"""Rules of the tables that the app's own models made: they stay, and what is advised against them works."""

from pathlib import Path

import pytest

from .program import Program, ask, fetch, sqlite
from .test_own_tables import SOURCE, notes


@pytest.mark.parametrize(
    ("declared", "own", "named"),
    [
        ("INT DEFAULT 1", "int DEFAULT 7", "DEFAULT 1 (but 7)"),
        ("TEXT DEFAULT 'new'", "text DEFAULT 'old'", "DEFAULT 'new' (but 'old'::text)"),
        ("TEXT DEFAULT ''", "varchar(9) DEFAULT 'a::b'", "DEFAULT '' (but 'a::b'::character varying)"),
        ("INT DEFAULT 0", "bigint DEFAULT (-1)", "DEFAULT 0 (but '-1'::integer)"),
        ("BOOLEAN DEFAULT 0", "boolean DEFAULT true", "DEFAULT 0 (but true)"),
        ("TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "timestamp DEFAULT '2020-01-01'",
         "DEFAULT CURRENT_TIMESTAMP (but '2020-01-01 00:00:00'::timestamp without time zone)"),
        ("TIMESTAMP DEFAULT '2020-01-01 00:00:00'", "timestamp DEFAULT now()",
         "DEFAULT '2020-01-01 00:00:00' (but now())"),
        ("INT DEFAULT '1'", "int DEFAULT 1", ""),
        ("INT DEFAULT 1", "bigint DEFAULT 1.0", ""),
        ("VARCHAR(9) DEFAULT 'new'", "varchar(9) DEFAULT 'new'", ""),
        ("TEXT DEFAULT 'it''s \\'", "varchar DEFAULT 'it''s \\'", ""),
        ("BOOLEAN DEFAULT 1", "boolean DEFAULT true", ""),
        ("NUMERIC DEFAULT 1.50", "numeric(9,4) DEFAULT 1.5", ""),
        ("BLOB DEFAULT x'00FF'", "bytea DEFAULT '\\x00ff'", ""),
        ("TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "timestamp DEFAULT now()", ""),
        ("TEXT DEFAULT 'a'", "text DEFAULT lower('B')", ""),  # PostgreSQL alone knows
        ("TEXT DEFAULT 'x'", "int DEFAULT 1", ""),  # it could never hold it
    ],
)  # fmt: skip
def test_a_default_of_another_value_is_told(
    program: Program, tmp_path: Path, declared: str, own: str, named: str
) -> None:
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared}); INSERT INTO t (c) VALUES (NULL)",
    )
    ask(program.url, f"CREATE TABLE t (id serial PRIMARY KEY, c {own})")
    for done in (program.run(source), program.verify(source)):
        assert done.code == 0, done.out
        told = [f"t.c: the target's table has no {named}, the source has"] if named else []
        assert notes(done.report, "t.c: ") == told


OWN_RULES = [  # what a mapping must not propose stands last
    ("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT); INSERT INTO t (a, b) VALUES (1, 1), (1, 2), (1, 1)",
     "CREATE TABLE t (id serial PRIMARY KEY, a int, b int, UNIQUE (a, b))", "unique: index"),
    ("CREATE TABLE t (a TEXT PRIMARY KEY); INSERT INTO t VALUES ('k'), ('K')",
     "CREATE EXTENSION citext; CREATE TABLE t (a citext PRIMARY KEY)", "primary_key: index"),
    ("CREATE TABLE t (a INT, b TEXT, PRIMARY KEY (a)); INSERT INTO t VALUES (1, 'x'), (NULL, 'z')",
     "CREATE TABLE t (a int PRIMARY KEY, b text)", "primary_key: unique"),
    ("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, p INT NOT NULL REFERENCES p);"
     "INSERT INTO p VALUES (1); INSERT INTO t (p) VALUES (1), (2)",
     "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id serial PRIMARY KEY, p int NOT NULL REFERENCES p)",
     "orphans"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "own", "refused"), OWN_RULES)
def test_no_wish_is_advised_against_a_rule_that_is_there(
    program: Program, tmp_path: Path, script: str, own: str, refused: str
) -> None:
    """A mapping changes no table of the app's own: its rows are corrected there, or stay behind."""
    source, mapping = sqlite(tmp_path / "s.db", script), tmp_path / "m.yml"
    ask(program.url, own)
    planned = program("plan", source, "--write-mapping", mapping)
    assert refused not in str(planned.report["findings"])
    assert refused not in mapping.read_text().partition("\ntables:")[2]
    done = program.run(source, "--mapping", mapping, "--quarantine-file", tmp_path / "q.db")
    assert (done.code, done.report["quarantined_rows"]) == (3, 1), done.out


@pytest.mark.parametrize(
    ("script", "own", "wish", "place"),
    [
        (*OWN_RULES[0][:2], "unique: index", ("t", "id=3", "a")),
        (*OWN_RULES[1][:2], "primary_key: index, unique: index", ("t", "rowid=2", "a")),
        (*OWN_RULES[2][:2], "primary_key: unique", ("t", "rowid=2", "a")),
        (*OWN_RULES[3][:2], "columns: {p: {orphans: keep}}", ("t", "id=2", "p")),
    ],
)
def test_a_wish_against_a_rule_that_is_there_is_refused_before_the_load(
    program: Program, tmp_path: Path, script: str, own: str, wish: str, place: tuple[str, str, str]
) -> None:
    source, mapping = sqlite(tmp_path / "s.db", script), tmp_path / "m.yml"
    ask(program.url, own)
    mapping.write_text(f"tables: {{t: {{{wish}}}}}")
    done = program.run(source, "--mapping", mapping)
    assert (done.code, done.findings) == (1, [place])
    assert "as you asked" not in done.out


def test_orphans_of_a_key_that_is_there_point_nowhere(program: Program, tmp_path: Path) -> None:
    source, mapping = tmp_path / "s.db", tmp_path / "m.yml"
    sqlite(source, OWN_RULES[3][0].replace("NOT NULL", ""))
    ask(program.url, OWN_RULES[3][1].replace("NOT NULL", ""))
    planned = program("plan", source, "--write-mapping", mapping)
    (finding,) = planned.report["findings"]
    assert "`orphans: null`" in finding["resolve"] and "keep" not in finding["resolve"]
    assert program.run(source, "--mapping", mapping).code == 0
    assert ask(program.url, "SELECT p FROM t ORDER BY id") == [(1,), (None,)]


@pytest.mark.parametrize(
    "own",
    [
        "",
        "CREATE TABLE p (tenant int, id int, PRIMARY KEY (tenant, id)); CREATE TABLE t (id int PRIMARY KEY,"
        " tenant int NOT NULL, p int, FOREIGN KEY (tenant, p) REFERENCES p)",
    ],
)
def test_a_key_of_several_columns_is_cut_where_it_may_be(
    program: Program, tmp_path: Path, own: str
) -> None:
    """Each tenant's rows by themselves: the tenant is NOT NULL, what it points at need not be."""
    ask(program.url, own or "SELECT 1")
    source, mapping = tmp_path / "s.db", tmp_path / "m.yml"
    sqlite(
        source,
        "CREATE TABLE p (tenant INT, id INT, PRIMARY KEY (tenant, id)); CREATE TABLE t (id INTEGER PRIMARY KEY,"
        " tenant INT NOT NULL, p INT, FOREIGN KEY (tenant, p) REFERENCES p);"
        "INSERT INTO p VALUES (1, 1); INSERT INTO t VALUES (1, 1, 1), (2, 1, 2), (3, 2, NULL)",
    )
    refused = program.run(source)
    assert refused.findings == [("t", "id=2", "p")], refused.out
    mapping.write_text("tables: {t: {columns: {p: {orphans: 'null'}}}}")
    assert program.run(source, "--mapping", mapping).code == 0
    assert ask(program.url, "SELECT tenant, p FROM t ORDER BY id") == [(1, 1), (1, None), (2, None)]


def test_what_the_target_does_not_mind_is_carried(program: Program, tmp_path: Path) -> None:
    """Rules that only the source has, and that its own rows break."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (a INT, b TEXT UNIQUE, p INT REFERENCES p,"
        " PRIMARY KEY (a)); INSERT INTO t VALUES (NULL, 'k', NULL), (1, 'K', 9)",
    )
    ask(
        program.url,
        "CREATE EXTENSION citext; CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (a int, b citext, p int)",
    )
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping)
    assert (done.code, done.verdict) == (0, "migrated"), done.out
    assert ask(program.url, 'SELECT a, p FROM t ORDER BY b COLLATE "C", a') == [
        (1, 9),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("held", "values", "advised"),
    [
        ("text", [b"good", b"\xff"], "`mixed: text` (and `misfit: null` for what is not UTF-8) for t.v in --mapping"),
        ("text NOT NULL", [b"good", b"\xff"], "`mixed: text` for t.v in --mapping"),
        ("bytea", ["x"], "`mixed: bytes` for t.v in --mapping"),
        ("integer NOT NULL", ["x"], "correct it in the app"),
        ("smallint NOT NULL", [1 << 20], "correct it in the app, or `ALTER TABLE … ALTER … TYPE bigint` in the"
         " target, which keeps it"),
    ],
)  # fmt: skip
def test_advice_goes_with_the_type_that_is_there(
    program: Program, tmp_path: Path, held: str, values: list[object], advised: str
) -> None:
    ask(program.url, f"CREATE TABLE t (id serial PRIMARY KEY, v {held})")
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)",
        ("INSERT INTO t (v) VALUES (?)", [(value,) for value in values]),
    )  # fmt: skip
    done, mapping = program.run(source), tmp_path / "m.yml"
    assert {f["resolve"] for f in done.report["findings"]} == {
        f"{advised}, or --on-finding quarantine"
    }
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping, "--quarantine-file", tmp_path / "q.db")
    assert (done.code == 3) == ("NOT NULL" in held), done.out
    assert ("on_finding" in mapping.read_text().partition("# a table")[2]) == ("NOT NULL" in held)


BREAKS_CHECKS = (
    "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT); "
    "INSERT INTO p VALUES (1, 'ok'), (2, 'No'), (3, NULL), (4, 'NO');"
    "CREATE TABLE k (id INTEGER PRIMARY KEY, p INT REFERENCES p); INSERT INTO k VALUES (1, 1), (2, 2), (3, 4);"
    "CREATE TABLE t (a INT, b INT, c INT, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO t VALUES (1, 1, 5), (1, 2, 0)"
)
HAS_CHECKS = (
    "CREATE TABLE p (id int PRIMARY KEY, name text, CONSTRAINT low CHECK (name = lower(name)), CHECK (id < 4));"
    "CREATE TABLE k (id int PRIMARY KEY, p int REFERENCES p);"
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN small AS positive CHECK (VALUE < 9);"
    "CREATE TABLE t (a int, b int, c small, PRIMARY KEY (a, b))"
)


@pytest.mark.parametrize("command", ["check", "run"])
def test_all_rows_that_break_a_check_are_named(
    program: Program, tmp_path: Path, command: str
) -> None:
    """COPY stops at the first one, and at a domain's before that."""
    ask(program.url, HAS_CHECKS)
    refused = program(command, sqlite(tmp_path / "s.db", BREAKS_CHECKS))
    assert (refused.code, sorted(refused.findings)) == (
        1,
        [("p", "id=2", "name"), ("p", "id=4", "id"), ("p", "id=4", "name"), ("t", "a=1 b=2", "c")],
    )
    reasons = {finding["reason"] for finding in refused.report["findings"]}
    assert reasons == {
        "contradicts CHECK (name = lower(name)) of the target's own table (low)",
        "contradicts CHECK (id < 4) of the target's own table (p_id_check)",
        "contradicts CHECK (VALUE > 0) of the target's own type positive (positive_check)",
    }
    assert ask(program.url, "SELECT count(*) FROM p") == [(0,)]


def test_rows_that_break_a_check_stay_behind_with_their_children(
    program: Program, tmp_path: Path
) -> None:
    ask(program.url, HAS_CHECKS)
    source = sqlite(tmp_path / "s.db", BREAKS_CHECKS)
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    aside = ("--quarantine-file", tmp_path / "q.db")
    done = program.run(source, "--mapping", mapping, *aside, "--hold", "--keep-snapshot", kept)
    assert (done.code, done.report["quarantined_rows"]) == (3, 5), done.out
    assert ask(program.url, "SELECT (SELECT array_agg(id ORDER BY id) FROM p), (SELECT array_agg(id) FROM k),"
                            " (SELECT array_agg(c::int) FROM t)") == [([1, 3], [1], [5])]  # fmt: skip
    assert program.verify(source).code == 3  # with the mapping that is remembered
    program("open", None)
    ask(program.url, "UPDATE p SET name = 'new' WHERE id = 3")
    program("close", None)
    led = program("reverse", kept, "--into", back)
    assert led.code in (0, 3), led.out
    assert fetch(back, "SELECT name FROM p ORDER BY id") == [("ok",), ("No",), ("new",), ("NO",)]


@pytest.mark.parametrize(
    ("own", "rows", "broken"),
    [
        # types, collations and escapes as the table has them
        ("v varchar(9) COLLATE \"C\" CHECK (v < 'a')", ["B", "b"], [2]),
        ("v text CHECK (v <> E'\\x01\\\\')", ["\x01\\", "\x01"], [1]),
        ("v jsonb CHECK (jsonb_typeof(v) = 'object')", ["{}", "[]", None], [2]),
        ("v int[] CHECK (cardinality(v) < 2)", ["{1}", "{1,2}"], [2]),
        ("v bytea CHECK (length(v) = 1)", [b"\\", b"ab"], [2]),
        ("v timestamptz CHECK (v > '2000-01-01 00:00:00+00')",
         ["1999-12-31 23:59:59+00:00", "2000-01-01 01:00:00+00:00"], [1]),
        # what the source doesn't have is the default, what nobody foresees is left to the load
        ("v int, w int DEFAULT 5 CHECK (w > v)", [4, 6], [2]),
        ("v int, w int GENERATED ALWAYS AS (v * 2) STORED CHECK (w > 9)", [5, 6], []),
        ("v int CHECK (v > 0), w int DEFAULT 5 CHECK (w > 4)", [0, 1], [1]),
        ("v int, w positive, CHECK (v < 6 AND w IS NOT NULL)", [5, 6], [2]),
        ("v int, w int DEFAULT number() CHECK (w <> v)", [1, 2], []),
        # a rule that can't be worked out for a row
        ("v int CHECK (10 / v > 0)", [1, 0, 11], [2, 3]),
        ("v float8, CHECK ((sqrt(v) <> 1.5) OR (v < 9))", [1.0, -1.0, 2.25, 10.5], [2]),
        ("v text); CREATE INDEX ON t ((v::int)", ["1", "x", None], [2]),
        ("v int); CREATE UNIQUE INDEX ON t (v) WHERE (10 / v > 0", [1, 0, 2, 2], [2, 4]),
        ("v text CHECK (v <> 'x')); CREATE UNIQUE INDEX ON t ((to_tsvector('simple', v))", ["x", "y"], [1]),
        # what doesn't fit the type is that alone
        ("v int CHECK (v > 0)", ["x", 0, 1], [1, 2]),
    ],
)  # fmt: skip
def test_a_check_is_asked_of_what_would_be_loaded(
    program: Program, tmp_path: Path, own: str, rows: list[object], broken: list[int]
) -> None:
    ask(
        program.url,
        "CREATE DOMAIN positive AS int DEFAULT 5; CREATE SEQUENCE untouched;"
        "CREATE FUNCTION number() RETURNS int LANGUAGE sql AS 'SELECT 9 + nextval(''untouched'')::int'",
    )
    ask(program.url, f"CREATE TABLE t (id serial PRIMARY KEY, {own})")
    source = sqlite(tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
                    ("INSERT INTO t (v) VALUES (?)", [(row,) for row in rows]))  # fmt: skip
    seen = program("check", source)
    assert seen.findings == [("t", f"id={number}", "v") for number in broken], seen.out
    assert ask(program.url, "SELECT is_called FROM untouched") == [(False,)]
    done = program.run(source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db")
    assert (done.code, done.report["quarantined_rows"]) == (3 if broken else 0, len(broken))
    assert ask(program.url, "SELECT nextval('t_id_seq')") == [(len(rows) + 1,)]


EACH_TYPE = {
    "double precision": 0.1, "real": 0.5, "numeric(9,2)": 1.25, "numeric": "12.50", "bigint": 1 << 40, "boolean": "yes",
    "date": "2024-01-02", "timestamp": "2024-01-02 03:04:05", "timestamptz": "2024-01-02 03:04:05+02:00",
    "time": "03:04:05", "uuid": b"0123456789abcdef", "bytea": b"\x00\x01", "jsonb": '{"a": 1}', "json": "[1]",
    "interval": "1 day", "inet": "10.0.0.1", "int4range": "[1,3)", "text[]": '["a","b"]', "int[]": "{1,2}",
    "mood": "sad", "citext": "X", "varchar(5)": 42, "char(3)": "ab", "bit(3)": "101", "name": "\x02 \\ \n",
}  # fmt: skip


def test_a_check_is_asked_of_values_of_each_type(program: Program, tmp_path: Path) -> None:
    """Each by itself, also in a row with another that doesn't fit."""
    columns = [f"c{n}" for n in range(len(EACH_TYPE))]
    own = ", ".join(
        f"{c} {kind} CHECK ({c} IS NULL)" for c, kind in zip(columns, EACH_TYPE, strict=True)
    )
    ask(program.url, "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad')")
    ask(program.url, f"CREATE TABLE t (id int PRIMARY KEY, {own}, x int CHECK (x IS NULL))")
    source = sqlite(
        tmp_path / "s.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(columns)}, x)",
        (f"INSERT INTO t VALUES (1, {'?, ' * len(columns)} 'no number')", [tuple(EACH_TYPE.values())]),
    )  # fmt: skip
    findings = program("check", source).report["findings"]
    broken = {f["column"]: f["reason"] for f in findings if "contradicts CHECK" in f["reason"]}
    assert sorted(broken) == sorted(columns)
    assert [f["reason"] for f in findings if f["column"] == "x"] == [
        "text that does not fit integer"
    ]


@pytest.mark.parametrize(
    ("unique", "rows", "second"),
    [
        (
            "(lower(v))",
            ["\u00c4", "\u00e4", "A", None, None],
            [2],
        ),  # SQLite's lower() leaves the first as it is
        ("(v) WHERE w > 0", ["a", "a", "b", "c", "b"], [5]),
        ("(v) NULLS NOT DISTINCT", ["a", None, "b", None], [4]),
        ("((v::numeric))", ["1.0", "2", "1.00", "1", "-1"], [3, 4]),  # as the type compares
        ("((trim(v)) COLLATE nd)", ["a", "A", "b"], [2]),  # as the index does
        (
            "((v::jsonb)) WHERE v < 'x'; ALTER TABLE t ADD EXCLUDE USING hash (w WITH =)",
            ["{}", "[]", "[ ]", "z"],
            [3],
        ),
        ("(v); ALTER TABLE t ALTER v TYPE citext", ["\u00c4", "\u00e4", "a", "A"], [2, 4]),
        (
            "(id); ALTER TABLE t ALTER v TYPE jsonb USING v::jsonb, ADD UNIQUE (v)",
            ['{"a": 1}', "[]", '{"a": 1.0}'],
            [3],
        ),
        ("((10 / w)) WHERE big(w)", ["a", "b", "c"], [3]),  # what isn't to be worked out isn't
        ("(v, (w % 2))", ["a", "a", "a"], [3]),
        (
            "(v) WHERE w >= 0; ALTER TABLE t ADD CHECK (id > 1)",
            ["a", "a", "b", "a"],
            [1, 4],
        ),  # what stays is alike to none
    ],
)
def test_rows_that_are_alike_to_a_unique_expression_are_named(
    program: Program, tmp_path: Path, unique: str, rows: list[object], second: list[int]
) -> None:
    ask(
        program.url,
        "CREATE EXTENSION citext; CREATE FUNCTION big(n int) RETURNS bool LANGUAGE plpgsql IMMUTABLE"
        " AS 'BEGIN RETURN n > 0; END';"
        "CREATE COLLATION nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v text, w int);"
                     f"CREATE UNIQUE INDEX one ON t {unique}")  # fmt: skip
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w INT)",
        ("INSERT INTO t (v, w) VALUES (?, ?)", [(row, n // 2) for n, row in enumerate(rows, 1)]),
    )  # fmt: skip
    seen = program("check", source)
    assert [key for _, key, _ in seen.findings] == [f"id={number}" for number in second], seen.out
    done = program.run(source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db")
    assert (done.code, done.report["quarantined_rows"]) == (3, len(second))


def test_a_row_that_stays_behind_keeps_no_other_from_coming(
    program: Program, tmp_path: Path
) -> None:
    """By a CHECK, by its type, by a NULL: what would be alike to it comes instead."""
    ask(
        program.url,
        "CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE, n int NOT NULL CHECK (n > 0))",
    )
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT); INSERT INTO t VALUES (1, 'a', 0), (2, 'a', 1),"
        " (3, 'b', 'no number'), (4, 'b', 1), (5, 'c', NULL), (6, 'c', 1), (7, 'c', 2)",
    )
    done = program.run(source, "--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db")
    assert done.findings == [
        ("t", "id=3", "n"),
        ("t", "id=5", "n"),
        ("t", "id=1", "n"),
        ("t", "id=7", "v"),
    ]
    assert ask(program.url, "SELECT id FROM t ORDER BY id") == [(2,), (4,), (6,)]


def test_a_key_that_is_full_or_empty(program: Program, tmp_path: Path) -> None:
    """MATCH FULL, which SQLite hasn't; of a table whose name is one of ours."""
    ask(program.url, "CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE r (id int PRIMARY KEY, a int,"
                     " b int, FOREIGN KEY (a, b) REFERENCES p MATCH FULL)")  # fmt: skip
    source, mapping = tmp_path / "s.db", tmp_path / "m.yml"
    sqlite(
        source,
        "CREATE TABLE p (a INT, b INT, PRIMARY KEY (a, b)); CREATE TABLE r (id INTEGER PRIMARY KEY, a INT, b INT,"
        " FOREIGN KEY (a, b) REFERENCES p); INSERT INTO p VALUES (1, 1);"
        "INSERT INTO r VALUES (1, 1, 1), (2, 1, NULL), (3, NULL, NULL), (4, 7, 7)",
    )
    seen = program("plan", source, "--write-mapping", mapping)
    assert sorted(seen.findings) == [("r", "id=2", "a"), ("r", "id=4", "a")]
    assert "orphans" not in mapping.read_text().partition("\ntables:")[2]
    done = program.run(source, "--mapping", mapping, "--quarantine-file", tmp_path / "q.db")
    assert done.code == 3, done.out
    assert ask(program.url, "SELECT id FROM r ORDER BY id") == [(1,), (3,)]


def test_a_check_that_asks_other_rows_is_left_to_the_load(program: Program, tmp_path: Path) -> None:
    """They are not there yet."""
    ask(program.url, "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (p int);"
                     "CREATE FUNCTION there(n int) RETURNS bool LANGUAGE sql AS"
                     " 'SELECT EXISTS (SELECT FROM public.p WHERE id = n)';"
                     "ALTER TABLE t ADD CHECK (there(p))")  # fmt: skip
    script = (
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (p INT); INSERT INTO p VALUES (1);"
    )
    good = sqlite(tmp_path / "s.db", script + "INSERT INTO t VALUES (1)")
    assert program("check", good).code == 0
    bad = sqlite(tmp_path / "bad.db", script + "INSERT INTO t VALUES (1), (2)")
    refused = program.run(bad)
    assert (refused.code, "violates check constraint" in refused.error) == (1, True)
    assert program.run(good).code == 0


def test_a_check_that_came_later_is_about_what_it_holds_for(
    program: Program, tmp_path: Path
) -> None:
    """One that is NOT VALID says nothing of the rows that are there; a row that came since may break another."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v text)")
    source = sqlite(tmp_path / "s.db", SOURCE)
    assert program.run(source).code == 0
    ask(program.url, "ALTER TABLE t ADD CHECK (length(v) > 99) NOT VALID, ADD CHECK (v <> 'new')")
    seen = program.verify(source)
    assert (seen.findings, "t_v_check of t is not validated" in seen.text) == ([], True)
    sqlite(source, "UPDATE t SET v = 'new' WHERE id = 2")
    refused = program.run(source, "--catch-up")
    assert (refused.code, refused.findings) == (1, [("t", "id=2", "v")])
    seen = program.verify(source)  # compares, and need not foresee
    assert (seen.findings, seen.report["proof"]["tables"][0]["different"]) == ([], 1)


def test_many_rows_that_break_a_check_are_found_in_no_time(
    program: Program, tmp_path: Path
) -> None:
    """Also where the server can't work out one row among thousands."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v int CHECK (100 / (v - 7) <> 50))")
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)",
        ("INSERT INTO t (v) VALUES (?)", [(n % 5000,) for n in range(20000)]),
    )  # fmt: skip
    seen = program("check", source)
    assert seen.findings == [("t", f"id={n + 1}", "v") for n in range(20000) if n % 5000 in (7, 9)]
