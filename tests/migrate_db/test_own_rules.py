"""Rules of the tables that the app's own models made: they stay, and what is advised against them works."""

from pathlib import Path

import pytest

from .program import Program, ask, sqlite
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


def test_all_rows_that_break_a_check_are_named(program: Program, tmp_path: Path) -> None:
    """COPY stops at the first one; each has its key, and the target is as it was."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
        "CREATE TABLE k (id INTEGER PRIMARY KEY, p INT REFERENCES p, name TEXT);"
        "INSERT INTO k VALUES (1, 1, 'ok'), (2, 1, 'No'), (3, 1, NULL), (4, 1, 'NO');"
        "CREATE TABLE t (a INT, b INT, c INT, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 1, 5), (1, 2, 0)",
    )
    ask(
        program.url,
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE k (id serial PRIMARY KEY, p int REFERENCES p,"
        " name text, CONSTRAINT low CHECK (name = lower(name)), CHECK (id < 4));"
        "CREATE TABLE t (a int, b int, c int CHECK (c > 0), PRIMARY KEY (a, b))",
    )
    rules = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid > 16000 ORDER BY 1"
    before = ask(program.url, rules)
    refused = program.run(source)
    assert (refused.code, sorted(refused.findings)) == (
        1,
        [("k", "id=2", "name"), ("k", "id=4", "id"), ("k", "id=4", "name"), ("t", "a=1 b=2", "c")],
    )
    assert (
        "k: 2 rows contradict CHECK (name = lower(name)) of the target's own table (low)"
        in refused.error
    )
    assert "--write-mapping" not in refused.text
    assert ask(program.url, rules) == before
    assert ask(program.url, "SELECT count(*) FROM k") == [(0,)]


def test_a_rule_of_a_domain_is_told_by_the_server(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE DOMAIN low AS text CHECK (VALUE = lower(VALUE));"
                     "CREATE TABLE t (id serial PRIMARY KEY, v low)")  # fmt: skip
    refused = program.run(sqlite(tmp_path / "s.db", SOURCE + "UPDATE t SET v = 'B' WHERE id = 2"))
    assert refused.code == 1
    assert "value for domain low violates check constraint" in refused.error
