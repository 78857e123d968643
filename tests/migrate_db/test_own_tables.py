"""Tables that the app's own models made: their types rule, their rules stay, and what they lack is told."""

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ..postgres import PostgresContainer
from .home import Home
from .program import Program, ask, fetch, sqlite

SOURCE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (7, 'c');"


def column(
    program: Program, directory: Path, held: str, declared: str, values: Sequence[object]
) -> Path:
    """A column ``v`` of the app's own table ``t``, and a source with values for it."""
    ask(program.url, f"CREATE TABLE t (id serial PRIMARY KEY, v {held})")
    return sqlite(
        directory / "s.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})",
        ("INSERT INTO t (v) VALUES (?)", [(value,) for value in values]),
    )  # fmt: skip


def notes(report: dict[str, list[str]], word: str) -> list[str]:
    return [note for note in report["notes"] if word in note]


@pytest.mark.parametrize(
    "table",
    [
        "CREATE DOMAIN pk AS bigint; CREATE TABLE t (id pk PRIMARY KEY DEFAULT nextval('n'), v text)",
        "CREATE TABLE t (id numeric PRIMARY KEY DEFAULT nextval('n'), v text)",
        "CREATE TABLE t (id bigint PRIMARY KEY DEFAULT nextval('n'::text), v text)",
    ],
)
def test_the_app_can_insert(program: Program, tmp_path: Path, table: str) -> None:
    """However a column asks its sequence."""
    ask(program.url, f"CREATE SEQUENCE n; {table}")
    assert program.run(sqlite(tmp_path / "s.db", SOURCE)).code == 0
    assert ask(program.url, "INSERT INTO t (v) VALUES ('new') RETURNING id") == [(8,)]


@pytest.mark.parametrize(
    ("made", "following"),
    [
        ("t_seq", 8),
        ("t_id_seq", 8),
        ('"SEQ_T" INCREMENT BY 50', 57),  # Hibernate takes the 49 below, too
        ("t_seq MAXVALUE 7", 1),
        ("other_seq", 1),
    ],
)
def test_a_sequence_that_no_column_asks_goes_on_if_it_is_called_so(
    program: Program, tmp_path: Path, made: str, following: int
) -> None:
    """The app's code asks it: SQLAlchemy's Sequence, Hibernate's."""
    ask(program.url, f"CREATE SEQUENCE {made}; CREATE TABLE t (id bigint PRIMARY KEY, v text)")
    done = program.run(sqlite(tmp_path / "s.db", SOURCE))
    assert done.code == 0
    (told,) = notes(done.report, "no column asks it")
    assert ("goes on at" in told) == (following > 1) and ("setval" in told) == (following == 1)
    name = made.partition(" ")[0]
    assert ask(program.url, f"SELECT nextval('{name}')") == [(following,)]
    sqlite(tmp_path / "s.db", "INSERT INTO t (id) VALUES (300)")
    assert program.run(tmp_path / "s.db", "--catch-up").code == 0
    assert (ask(program.url, f"SELECT nextval('{name}')")[0][0] > 300) == (following > 1)


def test_equal_but_without_its_keys_is_told(program: Program, tmp_path: Path) -> None:
    """Somebody else filled it."""
    ask(
        program.url,
        "CREATE TABLE t (id bigint, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (7, 'c')",
    )
    done = program.run(sqlite(tmp_path / "s.db", SOURCE))
    assert (done.code, done.verdict) == (0, "already migrated")
    assert notes(done.report, "no PRIMARY KEY") and notes(done.report, "no number for each new row")


def test_a_table_in_other_capitals_is_the_same(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE users (id serial PRIMARY KEY, v text)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE Users (id INTEGER PRIMARY KEY, V TEXT); INSERT INTO Users VALUES (3, 'x')",
    )
    done = program.run(source)
    assert done.code == 0
    assert notes(done.report, "it becomes users")
    assert ask(program.url, "SELECT id, v FROM users") == [(3, "x")]
    assert program.verify(source).code == 0


def test_what_the_app_would_find_instead_is_told(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE SCHEMA app; CREATE TABLE app.t (id int, v text)")
    with psycopg.connect(program.url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = app, public").format(database)
        )
    done = program.run(sqlite(tmp_path / "s.db", SOURCE))
    assert done.code == 0
    assert notes(done.report, "finds the one in app")


def test_rows_of_children_are_nobodys_to_delete(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "s.db", SOURCE)
    assert program.run(source).code == 0
    ask(program.url, "CREATE TABLE t_old () INHERITS (t); INSERT INTO t_old VALUES (500, 'old')")
    for way in (["--catch-up"], ["--replace", "--keep-dump", tmp_path]):
        done = program.run(source, *way)
        assert done.code == 1
        assert "t_old inherits from t" in done.out
    assert ask(program.url, "SELECT count(*) FROM t") == [(4,)]


def test_a_view_where_a_table_is_to_be(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE VIEW t AS SELECT 1 AS id")
    source = sqlite(tmp_path / "s.db", SOURCE)
    assert "view t" in program.run(source).error
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {rename: t2}}")
    assert program.run(source, "--mapping", mapping).code == 0


def test_comments_and_triggers_stay_as_they_were(program: Program, tmp_path: Path) -> None:
    ask(
        program.url,
        """
        CREATE TABLE p (id serial PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY, v text, p int CONSTRAINT why REFERENCES p) PARTITION BY RANGE (id);
        COMMENT ON CONSTRAINT why ON t IS 'because';
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (3);
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (3) TO (100);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 'changed'; RETURN NEW; END $$;
        CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER own BEFORE INSERT ON t2 FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE t1 DISABLE TRIGGER x;
        """,
    )
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT,"
        " p INTEGER REFERENCES p); INSERT INTO p VALUES (1); INSERT INTO t VALUES (1, 'a', 1), (7, 'c', NULL)",
    )
    states = (
        "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal"
        " ORDER BY 1, 2"
    )
    before = ask(program.url, states)
    assert program.run(source).code == 0
    assert ask(program.url, states) == before
    assert ask(
        program.url, "SELECT count(*) FROM pg_description WHERE description = 'because'"
    ) == [(1,)]
    assert ask(program.url, "SELECT v FROM t ORDER BY id") == [("a",), ("c",)]


@pytest.mark.parametrize(
    ("held", "declared", "values", "expected"),
    [
        ("interval", "bigint", [86_400_000_001, -1, None], ["1 day 00:00:00.000001", "-00:00:00.000001", None]),
        ("interval", "DATETIME", ["1970-01-02 03:04:05.000600", "1969-12-31 23:59:59"],
         ["1 day 03:04:05.0006", "-00:00:01"]),
        ("interval day to second", "INTERVAL", [1.0423726852662036, 2, -0.25, 36500.000011574075],
         ["1 day 01:01:01.000007", "2 days", "-06:00:00", "36500 days 00:00:01"]),
        ("interval", "TEXT", ["1 day 02:00:00"], ["1 day 02:00:00"]),
        ("interval", "SECONDS", [90.0, 5400.25, -1, 259200], ["00:01:30", "01:30:00.25", "-00:00:01", "3 days"]),
        ("inet", "TEXT", ["192.168.0.1", "10.0.0.0/8", "2001:db8::1"], ["192.168.0.1/32", "10.0.0.0/8",
                                                                        "2001:db8::1/128"]),
        ("varchar(5)[]", "TEXT", ["{aaa,bbb}"], ["{aaa,bbb}"]),
        ("time", "time", ["2000-01-01 12:34:56", "2000-01-01 01:02:03.001000"], ["12:34:56", "01:02:03.001"]),
        ("time(3)", "time(3)", ["2000-01-01 12:34:56.120000", None], ["12:34:56.12", None]),
        ("date", "DATETIME", ["2024-01-31 00:00:00.000000", "2024-02-01T00:00:00", "2024-02-02"],
         ["2024-01-31", "2024-02-01", "2024-02-02"]),
        ("date", "DATE", [20240131, 20240201, None], ["2024-01-31", "2024-02-01", None]),
        ("date", "TEXT(8)", ["20240131", "20240229", None], ["2024-01-31", "2024-02-29", None]),
        ("uuid", "TEXT", ["0F8FAD5B-D9CB-469F-A165-70867728950E"], ["0f8fad5b-d9cb-469f-a165-70867728950e"]),
        ("uuid", "TEXT", ["{0f8fad5b-d9cb-469f-a165-70867728950e}"], ["0f8fad5b-d9cb-469f-a165-70867728950e"]),
        ("text[]", "JSON", ['["a", "\\u00e9\\"\\\\,{}\\n\\u0001", null, "", "NULL"]', "[]"],
         ['{a,"é\\"\\\\,{}\n\x01",NULL,"","NULL"}', "{}"]),
        ("int[]", "INT[]", ["[1,-2]", "[[1,2],[3,4]]", None], ["{1,-2}", "{{1,2},{3,4}}", None]),
        ("double precision[]", "REAL[]", ["[1.5,0.1,2.0,1e22]", "[]"], ["{1.5,0.1,2,1e+22}", "{}"]),
        ("numeric[]", "JSON", ["[1.50, 2.0]", "[100]"], ["{1.5,2}", "{100}"]),
        ("boolean[]", "JSON", ["[true, false]", "[]"], ["{t,f}", "{}"]),
        ("date[]", "JSON", ['["2024-01-31"]', "[null]"], ["{2024-01-31}", "{NULL}"]),
        ("boolean", "BOOLEAN", ["t", 0, "FALSE", "yes", 1], ["true", "false", "false", "true", "true"]),
        ("timestamptz", "DATETIME", ["2024-01-01 10:00:00.120 +02:00", "2024-01-01 10:00:00.000 +00:00"],
         ["2024-01-01 08:00:00.12+00", "2024-01-01 10:00:00+00"]),
        ("timestamptz", "datetime", ["2024-01-01 00:00:00 +0000 UTC", "2024-07-01 13:14:15.5 +0200 CEST m=+0.000000001",
                                     "2024-07-01 13:14:15 +0530 +0530", "2024-07-01T01:02:03Z"],
         ["2024-01-01 00:00:00+00", "2024-07-01 11:14:15.5+00", "2024-07-01 07:44:15+00", "2024-07-01 01:02:03+00"]),
    ],
)  # fmt: skip
def test_types_of_models(
    program: Program,
    tmp_path: Path,
    held: str,
    declared: str,
    values: list[object],
    expected: list[str | None],
) -> None:
    """As Django, SQLAlchemy, Pony, Rails, Sequelize and Go write them to SQLite and declare them in PostgreSQL."""
    source = column(program, tmp_path, held, declared, values)
    done = program.run(source)
    assert done.code == 0, done.out
    with psycopg.connect(program.url) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute("SELECT v::text FROM t ORDER BY id").fetchall()
    assert [row[0] for row in rows] == expected
    other = next(
        (id for id, text in enumerate(expected, 1) if text not in (None, expected[0])), None
    )
    if other is not None:
        ask(program.url, f"UPDATE t SET v = (SELECT v FROM t WHERE id = {other}) WHERE id = 1")
        assert program.verify(source).code == 3


@pytest.mark.parametrize(
    ("odd", "code", "kept"), [(0, 0, 4), (-1, 0, 4), (86_400, 3, 0), ("soon", 0, 3)]
)
def test_no_proposal_makes_nulls_of_a_column(
    program: Program, tmp_path: Path, odd: object, code: int, kept: int
) -> None:
    """What means never is no reason to forget all others; what nobody understands stays behind, and is seen."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, at timestamp)")
    values = [1_700_000_000, 1_700_000_060, 1_600_000_000, odd]
    source = sqlite(tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, at)",
                    ("INSERT INTO t (at) VALUES (?)", [(value,) for value in values]))  # fmt: skip
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping, "--quarantine-file", tmp_path / "q.db")
    assert (done.code, ask(program.url, "SELECT count(at) FROM t")) == (code, [(kept,)]), done.out


@pytest.mark.parametrize(
    ("unit", "expected"), [("s", "2 days 02:00:00"), ("ms", "00:03:00"), ("us", "00:00:00.18")]
)
def test_nobody_guesses_what_the_numbers_of_a_span_count(
    program: Program, tmp_path: Path, unit: str, expected: str
) -> None:
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v interval)")
    kept, back, mapping = tmp_path / "kept.db", tmp_path / "back.db", tmp_path / "m.yml"
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t (v) VALUES (180000)",
    )
    (finding,) = program.run(source).report["findings"]
    assert finding["resolve"].startswith("`epoch: s` (or `ms`, `us`) for t.v in --mapping")
    program("plan", source, "--write-mapping", mapping)
    assert "misfit: null" not in mapping.read_text().partition("\ntables:")[2]
    mapping.write_text(f"tables: {{t: {{columns: {{v: {{epoch: {unit}}}}}}}}}")
    done = program.run(source, "--mapping", mapping, "--keep-snapshot", kept)
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT v::text FROM t") == [(expected,)]
    ask(program.url, "INSERT INTO t (v) SELECT v * 2 FROM t")
    assert program("close", None).code == 0
    assert program("reverse", kept, "--into", back).code == 0
    assert fetch(back, "SELECT v, typeof(v) FROM t") == [(180000, "integer"), (360000, "integer")]


@pytest.mark.parametrize(
    ("held", "value"),
    [("inet", "192.168.0.1/32"), ("text[]", '["a", 1]'), ("text[]", '[{}]'),
     ("text[]", '["\\u0000"]'), ("text[]", '["\\ud800"]'), ("text[]", "[" * 900 + "]" * 900), ("int[]", '["1"]'),
     ("int[]", "[1.5]"), ("int[]", "[[1], [2, 3]]"), ("text[]", "null"),
     ("date[]", '["2024-02-30"]'), ("float8[]", "[1e999]"), ("int4range", "[1,5]"), ("money", "12.5"),
     ("interval", "soon"), ("date", "2024-01-31 00:00:01"),
     ("time", "2000-01-02 10:00:00"), ("time(3)", "2000-01-01 10:00:00.1234"), ("name", "x" * 70),
     ("time with time zone", "10:00:00.000000")],
)  # fmt: skip
def test_only_the_server_knows_what_fits(
    program: Program, tmp_path: Path, held: str, value: str
) -> None:
    ask(program.url, f"CREATE TABLE t (id serial PRIMARY KEY, v {held})")
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, NULL)",
        ("INSERT INTO t VALUES (2, ?)", [(value,)]),
    )  # fmt: skip
    done = program.run(source)
    assert done.code == 1
    assert done.findings == [("t", "id=2", "v")]
    aside = tmp_path / "rows.db"
    assert program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside).code == 3
    assert fetch(aside, "SELECT id, v FROM t") == [(2, value)]


def test_the_server_is_asked_about_each_letter(program: Program, tmp_path: Path) -> None:
    """Texts that only the file finds the same are two for the server."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v macaddr)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE);"
        "INSERT INTO t VALUES (1, '08:00:2b:01:02:aa'), (2, '08:00:2B:01:02:AA'), (3, '08:00:2b:01:02:aa')",
    )
    assert program.run(source).findings == [("t", "id=2", "v")]


def test_the_server_is_asked_about_many_values(program: Program, tmp_path: Path) -> None:
    """Each one that it refuses is found among those that it is asked about together."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v inet)")
    values = {n: f"10.{n // 250}.{n % 250}.1" for n in range(1, 3001)}
    bad = {n: f"{values[n]}/{'32' if n % 2 else 'x'}" for n in (1, 2, 500, 1501, 1502, 1503, 3000)}
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        ("INSERT INTO t VALUES (?, ?)", [*(values | bad).items()]),
    )  # fmt: skip
    done = program.run(source)
    assert done.findings == [("t", f"id={n}", "v") for n in bad]
    aside = tmp_path / "rows.db"
    assert program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside).code == 3
    assert fetch(aside, "SELECT id, v FROM t ORDER BY id") == [*bad.items()]


def test_texts_that_are_the_same_in_capitals(program: Program, tmp_path: Path) -> None:
    ask(
        program.url,
        "CREATE EXTENSION citext; CREATE TABLE t (id serial PRIMARY KEY, v citext UNIQUE)",
    )
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'A'), (3, 'b'), (4, NULL), (5, NULL), (6, 'B')",
    )
    done = program.run(source)
    assert done.code == 1
    assert sorted(done.findings) == [("t", "id=2", "v"), ("t", "id=6", "v")]


def test_counts_of_moments_are_proposed_as_moments(program: Program, tmp_path: Path) -> None:
    """As Prisma and Knex write them, and other tools beside them; NULL would lose them."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, at timestamp(3) NOT NULL)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME NOT NULL);"
        "INSERT INTO t VALUES (1, 1704067200123), (2, '2024-01-01 00:00:00')",
    )
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT at::text FROM t ORDER BY id") == [
        ("2024-01-01 00:00:00.123",),
        ("2024-01-01 00:00:00",),
    ]


@pytest.mark.parametrize(
    ("held", "declared", "values", "expected"),
    [
        ("real", "REAL", [1.1, 0.5, -3e38, 16777217.0], ["1.1", "0.5", "-3e+38", "1.6777216e+07"]),
        ("real", "NUMERIC", [20, 16777217, 0.3], ["20", "1.6777216e+07", "0.3"]),
        ("numeric(10,2)", "", [1.265, 10.000000000000002, -0.004, -0.0, 7, 0, 0.1],
         ["1.27", "10.00", "0.00", "0.00", "7.00", "0.00", "0.10"]),
    ],
)  # fmt: skip
def test_numbers_with_more_digits_than_the_type_keeps(
    program: Program, tmp_path: Path, held: str, declared: str, values: list[float], expected: list[str]
) -> None:  # fmt: skip
    """As Peewee and Knex declare floats, and as SQLite multiplies Django's decimals."""
    source = column(program, tmp_path, f"{held} NOT NULL", f"{declared} NOT NULL", values)
    refused = program.run(source)
    assert refused.code == 1
    assert "`round: type`" in refused.out
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    assert done.report["converted"][0]["values"] == len(refused.findings)
    assert [row[0] for row in ask(program.url, "SELECT v::text FROM t ORDER BY id")] == expected
    ask(program.url, "UPDATE t SET v = 0.25 WHERE id = 1")
    assert program.verify(source).code == 3


@pytest.mark.parametrize(
    ("held", "values", "expected"),
    [
        ("timestamp", ["2023-01-01 10:00:00.123456789", "2023-01-01T10:00:00.5"],
         ["2023-01-01 10:00:00.123456", "2023-01-01 10:00:00.5"]),
        ("timestamptz", ["2023-01-01T23:59:59.999999999Z", "2023-01-01 10:00:00.1234567+02:00"],
         ["2023-01-01 23:59:59.999999+00", "2023-01-01 08:00:00.123456+00"]),
        ("timestamptz", ["2023-01-01 10:00:00.1234567+02:00"], ["2023-01-01 08:00:00.123456+00"]),
        ("timestamptz", ["2023-01-01 10:00:00.123456789 +0200 CEST m=+0.000000001"],
         ["2023-01-01 08:00:00.123456+00"]),
        ("timestamp", ["2023-01-01T10:00:00.1234567"], ["2023-01-01 10:00:00.123456"]),
        ("timestamp(3)", ["2023-01-01 10:00:00.123456"], ["2023-01-01 10:00:00.123"]),
        ("timestamp(0)", ["2023-01-01 10:00:00.999"], ["2023-01-01 10:00:00"]),
        ("time", ["10:00:00.123456789"], ["10:00:00.123456"]),
        ("time", ["2000-01-01 10:00:00.1234567", "2000-01-01 10:00:00"], ["10:00:00.123456", "10:00:00"]),
    ],
)  # fmt: skip
def test_times_with_more_digits_than_the_type_keeps(
    program: Program, tmp_path: Path, held: str, values: list[str], expected: list[str]
) -> None:
    """As Go, Rust and .NET write them."""
    source = column(program, tmp_path, f"{held} NOT NULL", "DATETIME NOT NULL", values)
    assert "`round: type`" in program.run(source).out
    mapping, kept, back = tmp_path / "m.yml", tmp_path / "kept.db", tmp_path / "back.db"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping, "--keep-snapshot", kept)
    assert done.code == 0, done.out
    shown = "v::text" if held != "timestamptz" else "(v AT TIME ZONE 'UTC')::text || '+00'"
    assert [row[0] for row in ask(program.url, f"SELECT {shown} FROM t ORDER BY id")] == expected
    assert program.verify(source).verdict == "equal"
    program("close", None)
    assert program("reverse", kept, "--into", back).code == 0
    assert [row[0] for row in fetch(back, "SELECT v FROM t")] == values, "nobody changed them"


@pytest.mark.parametrize(
    ("held", "values", "expected"),
    [
        ("timestamptz(0)", [1700000000000, 1700000001000],
         ["2023-11-14 22:13:20+00", "2023-11-14 22:13:21+00"]),
        ("timestamptz(3)", [1700000000123], ["2023-11-14 22:13:20.123+00"]),
        ("timestamptz(0)", ["2023-11-14 22:13:20"], ["2023-11-14 22:13:20+00"]),
        ("timestamptz(6)", ["2023-11-14T22:13:20.123456"], ["2023-11-14 22:13:20.123456+00"]),
        ("timestamp(0)", [1700000000999, 1700000001000], ["2023-11-14 22:13:20", "2023-11-14 22:13:21"]),
        ("timestamptz(0)", [1700000000999], ["2023-11-14 22:13:20+00"]),
        ("timestamptz(0)", ["2023-11-14 22:13:20.999", "2023-11-14T22:13:21"],
         ["2023-11-14 22:13:20+00", "2023-11-14 22:13:21+00"]),
    ],
)  # fmt: skip
def test_wishes_for_times_with_a_precision(
    program: Program, tmp_path: Path, held: str, values: list[object], expected: list[str]
) -> None:
    """As MikroORM, Laravel and Prisma make them; only what doesn't fit the precision is cut."""
    source = column(program, tmp_path, f"{held} NOT NULL", "DATETIME NOT NULL", values)
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    proposed = mapping.read_text().partition("tables:")[2]
    assert ("round: type" in proposed) == ("999" in str(values)), proposed
    done = program.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    with psycopg.connect(program.url, options="-c timezone=UTC") as connection:
        rows = connection.execute("SELECT v::text FROM t ORDER BY id").fetchall()
    assert [row[0] for row in rows] == expected
    assert program.verify(source).verdict == "equal"


@pytest.mark.parametrize(
    ("values", "wishes", "expected", "next_day"),
    [
        ([946684800000, 86400000, 0, None, -2208988800000, 253402214400000], "epoch: ms",
         ["2000-01-01", "1970-01-02", "1970-01-01", None, "1900-01-01", "9999-12-31"], 1738540800000),
        ([1738540800, 86400], "epoch: s", ["2025-02-03", "1970-01-02"], None),
        ([2451544.5, 2451545.5], "epoch: julian", ["2000-01-01", "2000-01-02"], 2460709.5),
        # a midnight in Berlin is none
        ([946684800000, 978307200000, 946681200000], "epoch: ms, misfit: null",
         ["2000-01-01", "2001-01-01", None], None),
    ],
)  # fmt: skip
def test_numbers_that_are_midnights_become_days(
    program: Program, tmp_path: Path, values: list[object], wishes: str,
    expected: list[str | None], next_day: float | None
) -> None:  # fmt: skip
    """As Java writes a java.sql.Date."""
    source = column(program, tmp_path, "date", "DATE", values)
    mapping, kept, back = tmp_path / "m.yml", tmp_path / "kept.db", tmp_path / "back.db"
    program("plan", source, "--write-mapping", mapping)
    assert f"v: {{type: date, {wishes}}}" in mapping.read_text(), mapping.read_text()
    done = program.run(source, "--mapping", mapping, "--keep-snapshot", kept)
    assert done.code == 0, done.out
    assert [row[0] for row in ask(program.url, "SELECT v::text FROM t ORDER BY id")] == expected
    if next_day is not None:
        ask(program.url, "INSERT INTO t (id, v) VALUES (99, '2025-02-03')")
        program("close", None)
        assert program("reverse", kept, "--into", back).code == 0
        assert fetch(back, "SELECT v FROM t") == [*((value,) for value in values), (next_day,)]


@pytest.mark.parametrize(
    "values",
    [
        [946681200000, 978303600000],  # midnights in Berlin
        [86400000],  # a day in milliseconds, or a thousand in seconds
        [946684800, 86400],  # since 1970, or since 2001
        [20240131, 20230101, 20217600, 7],  # the third is a midnight, too
        [0],
    ],
)
def test_numbers_that_may_be_other_days_are_not_taken_for_days(
    program: Program, tmp_path: Path, values: list[int]
) -> None:
    source = column(program, tmp_path, "date", "DATE", values)
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    assert "epoch" not in mapping.read_text().partition("tables:")[2]


def test_a_number_that_is_no_midnight_is_no_day(program: Program, tmp_path: Path) -> None:
    """Not even if its digits look like one."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v date)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATE); INSERT INTO t VALUES (1, 20240131)",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {v: {epoch: s}}}}")
    assert program.run(source, "--mapping", mapping).findings == [("t", "id=1", "v")]


def test_moments_of_go_without_a_zone(program: Program, tmp_path: Path) -> None:
    """They are UTC if a wish says so; what only looks like one is a finding."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v timestamp)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v datetime);"
        "INSERT INTO t VALUES (1, '2024-01-01 00:00:00 +0000 UTC'), (2, '2024-07-01 13:14:15.5 +0200 CEST')",
    )
    assert "`zone: utc`" in program.run(source).out
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {v: {zone: utc}}}}")
    assert program.run(source, "--mapping", mapping).code == 0
    assert ask(program.url, "SELECT v::text FROM t ORDER BY id") == [
        ("2024-01-01 00:00:00",),
        ("2024-07-01 11:14:15.5",),
    ]
    sqlite(
        source,
        "INSERT INTO t VALUES (3, '2024-01-01 00:00:00 +0000 Note'), (4, '2024-02-30 00:00:00 +0000 UTC'),"
        " (5, '2024-01-01 00:00:00 UTC'), (6, '2024-01-01 00:00:00 +0000 UTC m=')",
    )
    found = program.check(source, "--mapping", mapping).findings
    assert [key for _, key, _ in found] == ["id=3", "id=4", "id=5", "id=6"]


def test_a_type_that_is_called_like_times(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TYPE timeslot AS ENUM ('early'); CREATE TABLE t (id int PRIMARY KEY, v timeslot,"
                     " w timestamp[])")  # fmt: skip
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT); INSERT INTO t VALUES (1, 'late', 'never')",
    )
    assert program.run(source).findings == [("t", "id=1", "v"), ("t", "id=1", "w")]


def test_nanoseconds_without_a_zone(program: Program, tmp_path: Path) -> None:
    """Both wishes help, each with its part."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v timestamptz)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME);"
        "INSERT INTO t VALUES (1, '2023-11-14 22:13:20.123456789')",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {v: {zone: utc, round: type}}}}")
    assert program.run(source, "--mapping", mapping).code == 0
    assert ask(program.url, "SELECT (v AT TIME ZONE 'UTC')::text FROM t") == [
        ("2023-11-14 22:13:20.123456",)
    ]


def test_a_number_that_no_rounding_makes_fit(program: Program, tmp_path: Path) -> None:
    """Neither one too large or too small nor a text."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, r real, n numeric(4,2))")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, n NUMERIC);"
        "INSERT INTO t VALUES (1, 1e300, 99.995), (2, 1e-300, 'x')",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {r: {round: type}, n: {round: type}}}}")
    done = program.run(source, "--mapping", mapping)
    assert done.code == 1
    found = [("t", f"id={row}", column) for column in "nr" for row in (1, 2)]
    assert sorted(done.findings) == sorted(found)
    assert "more digits" not in done.out


@pytest.mark.parametrize(
    ("held", "declared", "values", "expected"),
    [
        ("bytea", "BLOB", [b"\xff", "x", "é\0", 5], [b"\xff", b"x", "é\0".encode(), b"5"]),
        ("text", "TEXT", ["a", "é".encode()], ["a", "é"]),
        ("text", "TEXT", ["a", b"\xff"], ["a", None]),
        ("text", "BLOB", ["a", b"b", "ü".encode(), b"\xff", b"c\0", "d\0"], ["a", "b", "ü", None, None, "d"]),
        ("json", "BLOB", ["[]", b"{}", b"{", b"\xff"], [[], {}, None, None]),
        ("uuid", "TEXT", ["0f8fad5b-d9cb-469f-a165-70867728950e", b"\xff"],
         ["0f8fad5b-d9cb-469f-a165-70867728950e", None]),
    ],
)  # fmt: skip
def test_texts_among_bytes(
    program: Program, tmp_path: Path, held: str, declared: str, values: list[object], expected: list[object]
) -> None:  # fmt: skip
    """As Rails writes binaries; and the other way round. NULL only where nothing else is left."""
    source = column(program, tmp_path, held, declared, values)
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    rows = ask(program.url, "SELECT v FROM t ORDER BY id")
    assert [str(row[0]) if held == "uuid" and row[0] else row[0] for row in rows] == expected
    assert ("become NULL" in mapping.read_text()) == (None in expected)


def test_no_null_is_proposed_where_none_may_be(program: Program, tmp_path: Path) -> None:
    """The rows are named for what they hold, not for the NULL that it became."""
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL, w integer)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL, w TEXT);"
        "INSERT INTO t VALUES (1, 'x', 'x'), (2, '', '')",
    )
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping, "--quarantine-file", tmp_path / "q.db")
    assert done.code == 3
    reasons = {finding["value"]: finding["reason"] for finding in done.report["findings"]}
    assert reasons == dict.fromkeys(["x", ""], "text that does not fit integer")
    assert fetch(tmp_path / "q.db", "SELECT * FROM t") == [(1, "x", "x"), (2, "", "")]
    assert "      v: {type: integer}" in mapping.read_text()


def test_a_duplicate_row_of_a_table_without_its_key(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE t (id int, v text)")
    source = sqlite(tmp_path / "s.db", SOURCE)
    assert program.run(source).code == 0
    ask(program.url, "INSERT INTO t VALUES (1, 'a')")
    assert program.verify(source).code == 3
    assert program.run(source, "--catch-up", "--given-up").code == 0
    assert ask(program.url, "SELECT count(*) FROM t") == [(3,)]


def test_nobody_writes_what_the_dump_has_not(
    program: Program, tmp_path: Path, postgres_container: PostgresContainer
) -> None:
    """What an app commits while the target is replaced is in the dump, or in the target."""
    source = sqlite(tmp_path / "s.db", SOURCE)
    assert program.run(source).code == 0
    tools = "docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE " + postgres_container.name
    committed: list[int] = []
    begun, stop = threading.Event(), threading.Event()

    def write() -> None:
        with psycopg.connect(program.url, autocommit=True) as connection:
            while not stop.is_set():
                number = 1000 + len(committed)
                connection.execute("INSERT INTO t VALUES (%s, 'app')", (number,))
                committed.append(number)
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(timeout=30)
        done = program.run(source, "--replace", "--keep-dump", tmp_path, "--server-tools", tools)
    finally:
        stop.set()
        writer.join()
    assert done.code in (0, 5), (
        done.out
    )  # the last one may have waited for the lock, and come after it
    kept = {row[0] for row in ask(program.url, "SELECT id FROM t WHERE id >= 1000")}
    with Path(done.report["kept_dump"]).open("rb") as dump:
        text = subprocess.run(
            ["docker", "exec", "-i", postgres_container.name, "pg_restore", "--data-only", "--file=-"],
            stdin=dump, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    dumped = {int(line.split("\t")[0]) for line in text.splitlines() if line.endswith("\tapp")}
    assert dumped
    assert set(committed) <= kept | dumped


def test_a_login_that_acts_as_another_role_is_not_held(
    program: Program, tmp_path: Path, admin_url: str
) -> None:
    """Settings go by the name of the login: it could go on writing."""
    source = sqlite(tmp_path / "s.db", SOURCE)
    with psycopg.connect(admin_url, autocommit=True) as admin, psycopg.connect(program.url) as own:
        login, role = f"login_{own.info.backend_pid}", own.info.user
        name, owner = sql.Identifier(login), sql.Identifier(role)
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE {}").format(name, owner))
        admin.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(name, owner))
        url = f"postgresql://{login}:x@{own.info.host}:{own.info.port}/{own.info.dbname}"
        try:
            done = program.run(source, "--hold", url=url)
            assert done.code == 1
            assert f"acts as {role}" in done.error
            assert program.run(source, url=url).code == 0
            assert "acts as" in program("close", None, url=url).error
        finally:
            own.rollback()
            admin.execute(sql.SQL("DROP ROLE {}").format(name))


def test_the_way_back_in_the_columns_own_words(program: Program, tmp_path: Path) -> None:
    """A table without the source's key, too, and a column that had no value yet."""
    ask(
        program.url,
        "CREATE TABLE t (id int, b boolean, d interval, v text); CREATE TABLE k (id int, at int, v text,"
        " PRIMARY KEY (id, at))",
    )
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b BOOLEAN, d DATETIME, v TEXT);"
        "INSERT INTO t VALUES (1, 'true', NULL, 'x'), (2, 'no', NULL, 'y'), (3, 'on', NULL, 'z'),"
        " (4, 'true', NULL, '');"
        "CREATE TABLE k (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, v TEXT);"
        "INSERT INTO k VALUES (1, 1, 'a'), (2, 2, 'b')",
    )
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    assert program.run(source, "--hold", "--keep-snapshot", kept).code == 0
    program("open", None)
    ask(
        program.url,
        "UPDATE t SET b = false, d = '1 day 02:00:00' WHERE id = 1; INSERT INTO t VALUES (9, true, NULL, 'new');"
        "UPDATE k SET v = 'changed' WHERE id = 1; INSERT INTO k VALUES (3, 3, 'new'); DELETE FROM k WHERE id = 2",
    )
    program("close", None)
    done = program("reverse", kept, "--into", back)
    assert done.code == 0, done.out
    assert fetch(back, "SELECT id, b, substr(d, 1, 19), v FROM t") == [
        (1, "no", "1970-01-02 02:00:00", "x"), (2, "no", None, "y"), (3, "on", None, "z"), (4, "true", None, ""),
        (9, "true", None, "new"),
    ]  # fmt: skip
    assert fetch(back, "SELECT * FROM k") == [(1, 1, "changed"), (3, 3, "new")]


def test_the_way_back_of_times_of_day(program: Program, tmp_path: Path) -> None:
    """As Rails writes them."""
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v time(6))")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v time(6)); INSERT INTO t VALUES"
        " (1, '2000-01-01 12:34:56'), (2, '2000-01-01 01:02:03.001000'), (3, '2000-01-01 01:02:04')",
    )
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    assert program.run(source, "--hold", "--keep-snapshot", kept).code == 0
    program("open", None)
    ask(
        program.url, "UPDATE t SET v = '10:00' WHERE id = 1; INSERT INTO t VALUES (4, '23:59:59.5')"
    )
    program("close", None)
    assert program("reverse", kept, "--into", back).code == 0
    assert fetch(back, "SELECT v FROM t ORDER BY id") == [
        ("2000-01-01 10:00:00",), ("2000-01-01 01:02:03.001000",), ("2000-01-01 01:02:04",),
        ("2000-01-01 23:59:59.500000",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "made", ["", "CREATE TABLE t (id int PRIMARY KEY, v timestamptz NOT NULL)"]
)
def test_times_of_clocks_somewhere(program: Program, tmp_path: Path, made: str) -> None:
    """As Django writes them without USE_TZ; what clocks show twice is winter, what they never show comes before it."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME NOT NULL); INSERT INTO t VALUES"
        " (1, '2024-01-01 12:00:00'), (2, '2024-07-01 12:00:00.250000'), (3, '2024-10-27 02:30:00'),"
        " (4, '2024-07-01 12:00:00Z')",
    )
    ask(program.url, made or "SELECT 1")
    kept, back, mapping = tmp_path / "kept.db", tmp_path / "back.db", tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {v: {zone: Europe/Nowhere}}}}")
    refused = program.run(source, "--mapping", mapping)
    assert (refused.code, "Europe/Berlin" in refused.error) == (2, True)
    wish = "zone: Europe/Berlin" if made else "zone: Europe/Berlin, type: timestamptz"
    mapping.write_text(f"tables: {{t: {{columns: {{v: {{{wish}}}}}}}}}")
    done = program.run(source, "--mapping", mapping, "--hold", "--keep-snapshot", kept)
    assert done.code == 0, done.out
    in_utc = "SELECT v AT TIME ZONE 'UTC' FROM t WHERE id < 5 ORDER BY id"
    assert [str(moment) for (moment,) in ask(program.url, in_utc)] == [
        "2024-01-01 11:00:00", "2024-07-01 10:00:00.250000", "2024-10-27 01:30:00", "2024-07-01 12:00:00",
    ]  # fmt: skip
    assert program.verify(source).code == 0
    program("open", None)
    ask(
        program.url,
        "UPDATE t SET v = '2024-08-01 00:30+02' WHERE id = 1; INSERT INTO t VALUES (5, '2024-12-31 23:30Z')",
    )
    program("close", None)
    assert program("reverse", kept, "--into", back).code == 0
    assert fetch(back, "SELECT v FROM t ORDER BY id") == [
        ("2024-08-01 00:30:00",), ("2024-07-01 12:00:00.250000",), ("2024-10-27 02:30:00",),
        ("2024-07-01 12:00:00Z",), ("2025-01-01 00:30:00",),
    ]  # fmt: skip


def test_times_of_day_in_utc(program: Program, tmp_path: Path) -> None:
    """As SQLAlchemy writes them to SQLite, where no zone is kept."""
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v time with time zone NOT NULL)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TIME NOT NULL);"
        "INSERT INTO t VALUES (1, '10:00:00.000000'), (2, '01:02:03.000400'), (3, '12:00:00+02')",
    )
    kept, back, mapping = tmp_path / "kept.db", tmp_path / "back.db", tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    assert "zone: utc" in mapping.read_text()
    done = program.run(source, "--mapping", mapping, "--hold", "--keep-snapshot", kept)
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT v::text FROM t ORDER BY id") == [
        ("10:00:00+00",), ("01:02:03.0004+00",), ("12:00:00+02",)
    ]  # fmt: skip
    program("open", None)
    ask(program.url, "UPDATE t SET v = '11:00Z' WHERE id = 1; INSERT INTO t VALUES (4, '11:30+01')")
    program("close", None)
    assert program("reverse", kept, "--into", back).code == 0
    assert fetch(back, "SELECT v FROM t ORDER BY id") == [
        ("11:00:00.000000",), ("01:02:03.000400",), ("12:00:00+02",), ("11:30:00+01",)
    ]  # fmt: skip


def test_the_way_back_of_lists(program: Program, tmp_path: Path) -> None:
    """In a file whose texts are UTF-16, too; an array that doesn't count from 1 is no list."""
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v text[])")
    source = sqlite(
        tmp_path / "s.db",
        "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (id INTEGER PRIMARY KEY, v JSON);"
        """INSERT INTO t VALUES (1, '["a","\\u00e9"]'), (2, '["b"]'), (3, NULL)""",
    )
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    assert program.run(source, "--hold", "--keep-snapshot", kept).code == 0
    program("open", None)
    ask(program.url, "UPDATE t SET v = '{it''s,NULL}' WHERE id = 2; INSERT INTO t VALUES (4, '{}')")
    program("close", None)
    assert program("reverse", kept, "--into", back).code == 0
    assert fetch(back, "SELECT v FROM t ORDER BY id") == [
        ('["a","\\u00e9"]',), ('["it\'s", null]',), (None,), ("[]",)
    ]  # fmt: skip
    ask(program.url, "UPDATE t SET v = '[0:0]={b}' WHERE id = 2")
    assert program("reverse", kept, "--into", tmp_path / "other.db").code != 0


def test_a_type_that_reads_by_another_style(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE t (id serial PRIMARY KEY, v interval)")
    with psycopg.connect(program.url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET IntervalStyle = iso_8601").format(database)
        )
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '1 day')",
    )
    assert program.run(source).code == 0


@pytest.mark.parametrize("way", ["quarantine", "null"])
def test_what_only_sqlite_could_hold_is_in_the_file_that_comes_back(
    program: Program, tmp_path: Path, way: str
) -> None:
    """A value that the server never took was not changed there, and its row not removed."""
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v int[])")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '[x]'), (3, '{1}')",
    )
    kept, back, mapping = tmp_path / "kept.db", tmp_path / "back.db", tmp_path / "m.yml"
    if way == "null":
        mapping.write_text("tables: {t: {columns: {v: {misfit: null}}}}")
        words: tuple[object, ...] = ("--mapping", mapping)
    else:
        words = ("--on-finding", "quarantine", "--quarantine-file", tmp_path / "rows.db")
    assert program.run(source, *words, "--hold", "--keep-snapshot", kept).code in (0, 3)
    program("open", None)
    ask(program.url, "INSERT INTO t VALUES (9, '{2,3}')")
    program("close", None)
    done = program("reverse", kept, "--into", back)
    assert done.code in (0, 3), done.out
    assert fetch(back, "SELECT * FROM t") == [(1, "[x]"), (3, "{1}"), (9, "{2,3}")]


def test_a_column_that_an_empty_table_lacks_is_told(program: Program, tmp_path: Path) -> None:
    ask(
        program.url,
        "CREATE TABLE t (id serial PRIMARY KEY); CREATE TABLE u (id serial PRIMARY KEY)",
    )
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b INTEGER); CREATE TABLE u (id INTEGER PRIMARY KEY);"
        "INSERT INTO u VALUES (1)",
    )
    done = program.run(source)
    assert done.code == 0
    assert notes(done.report, "t.b: the target's table t has no such column")


def test_a_value_that_the_target_cannot_compute(program: Program, tmp_path: Path) -> None:
    """It computes the column whatever a mapping says of it, so neither NULL nor a type is proposed."""
    computed = "d bigint GENERATED ALWAYS AS (a * 2) STORED"
    ask(program.url, f"CREATE TABLE t (id int PRIMARY KEY, a bigint, {computed})")
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a BIGINT, {computed});"
        "INSERT INTO t (id, a) VALUES (1, 4), (2, 9223372036854775807)",
    )
    refused = program.run(source)
    assert refused.findings == [("t", "id=2", "d")]
    resolve = refused.report["findings"][0]["resolve"]
    assert "misfit" not in resolve and "ALTER TABLE" not in resolve and "quarantine" in resolve
    proposed = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", proposed)
    done = program.run(source, "--mapping", proposed, "--quarantine-file", tmp_path / "rows.db")
    assert done.code == 3, done.out
    assert ask(program.url, "SELECT * FROM t") == [(1, 4, 8)]


def test_what_jsonb_forgets_is_told(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v jsonb, empty jsonb)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v JSON, empty JSON);"
        """INSERT INTO t VALUES (1, '{"a":1,"a":2}', NULL), (2, '[-0, 1E+2]', NULL)""",
    )
    (told,) = notes(program.run(source).report, "jsonb")
    assert told.startswith("t.v: ") and "the last of equal ones" in told and "sign of 0" in told
    assert "numbers without exponents" in told
    assert ask(program.url, "SELECT v::text FROM t ORDER BY id") == [('{"a": 2}',), ("[0, 100]",)]


def test_json_that_is_nested_deeply(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v jsonb)")
    deep = ["[" * 800 + "]" * 800, '{"a": [' * 400 + "{}" + "]}" * 400]
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v JSON)",
        ("INSERT INTO t (v) VALUES (?)", [(text,) for text in deep]),
    )  # fmt: skip
    done = program.run(source)
    assert done.code == 0, done.out
    assert [row[0] for row in ask(program.url, "SELECT v::text FROM t ORDER BY id")] == deep


def test_nothing_is_said_of_times_that_are_not_there(program: Program, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, never timestamptz)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, never DATETIME);"
        "INSERT INTO t VALUES (1, '2024-01-01 10:00:00Z', NULL)",
    )
    assert notes(program.run(source).report, "UTC") == ["t.at: all times say they are UTC"]


def test_a_column_that_only_the_target_requires(program: Program, tmp_path: Path) -> None:
    """Neither a mapping nor a quarantine fills it, so neither is proposed."""
    ask(program.url, 'CREATE TABLE t (id int PRIMARY KEY, v varchar(9), "on" boolean NOT NULL)')
    source = sqlite(tmp_path / "s.db", SOURCE + "UPDATE t SET v = 'a' || char(0) WHERE id = 1")
    proposed = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", proposed)
    text = proposed.read_text()
    assert "\non_finding" not in text and "nul: strip" in text
    assert "# no mapping helps: the target's column on is NOT NULL" in text
    refused = program.run(source, "--mapping", proposed)
    assert (refused.code, refused.findings) == (1, [("t", "", "on")])
    resolve = refused.report["findings"][0]["resolve"]
    assert resolve.startswith('ALTER TABLE "t" ALTER COLUMN "on" SET DEFAULT')
    assert "change the target as it is said above, which no mapping can do" in refused.error
    checked = program.check(source, "--mapping", proposed, url=program.url).text
    assert "next:  change the target" in checked and "--write-mapping" not in checked
    both = program.check(source, url=program.url).text
    assert "resolves all but those that no mapping helps with" in both
    assert "but for those that no mapping helps with" in program.run(source).error
    ask(program.url, resolve.partition("…")[0] + "true")
    assert program.run(source, "--mapping", proposed).code == 0
    assert ask(program.url, 'SELECT DISTINCT "on" FROM t') == [(True,)]


def test_types_that_the_two_databases_of_an_app_do_not_share(
    program: Program, tmp_path: Path
) -> None:
    """.NET has decimals and spans as texts in SQLite, and others write what they like."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (code TEXT PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, price TEXT NOT NULL,"
        " total TEXT, ratio TEXT, code TEXT REFERENCES p, zip INTEGER, phone INTEGER, took TEXT NOT NULL);"
        "INSERT INTO p VALUES ('9'), ('10'), ('-3'), ('100');"
        "INSERT INTO t VALUES (1, '12.50', '123456789012345678901.5', '0.1', '10', 10115, 491234567, '00:30:00'),"
        " (2, '3', 7, 2, '9', 2, 5, '-1.02:03:04.5000000'), (3, '-0.05', NULL, NULL, NULL, NULL, NULL, '1.00:00:00')",
    )
    ask(
        program.url,
        "CREATE TABLE p (code integer PRIMARY KEY); CREATE TABLE t (id integer PRIMARY KEY,"
        " price numeric(18,2) NOT NULL, total numeric, ratio double precision, code integer REFERENCES p,"
        " zip char(5), phone varchar(9), took interval NOT NULL)",
    )
    home = Home(program, source)
    assert ask(program.url, "SELECT price::text, total::text, ratio, code, zip, phone, took::text FROM t") == [
        ("12.50", "123456789012345678901.5", 0.1, 10, "10115", "491234567", "00:30:00"),
        ("3.00", "7", 2.0, 9, "2    ", "5", "-1 days -02:03:04.5"),
        ("-0.05", None, None, None, None, None, "1 day"),
    ]  # fmt: skip
    assert program.verify(source).verdict == "equal"
    sqlite(source, "DELETE FROM p WHERE code = '100'; INSERT INTO p VALUES ('11')")
    ask(program.url, "UPDATE t SET price = 99999.9, took = '50 hours', code = -3 WHERE id = 3")
    home.returned()
    assert fetch(home.into, "SELECT price, total, code, took FROM t") == [
        ("12.50", "123456789012345678901.5", "10", "00:30:00"),
        ("3", "7", "9", "-1.02:03:04.5000000"), ("99999.9", None, "-3", "2.02:00:00"),
    ]  # fmt: skip


def test_a_text_that_is_no_number_stays_a_finding(program: Program, tmp_path: Path) -> None:
    """And of two that become one, a key takes the first."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (n TEXT, u UNIQUE); INSERT INTO t VALUES ('007', 1), ('1e3', '1'), ('+1', NULL), (' 1', 2),"
        " ('2147483648', 3), ('-0', 4), ('', 5)",
    )
    ask(program.url, "CREATE TABLE t (n integer, u integer UNIQUE)")
    refused = program.run(source)
    assert [column for _, _, column in refused.findings].count("n") == 7
    assert [f["reason"] for f in refused.report["findings"] if f["column"] == "u"], refused.out


def test_an_infinity_is_no_json(program: Program, tmp_path: Path) -> None:
    """PostgreSQL would take it for a number of a thousand digits."""
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v jsonb)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v JSON); INSERT INTO t VALUES (1, 9e999), (2, '[1]')",
    )
    refused = program.run(source)
    assert (refused.code, refused.findings) == (1, [("t", "id=1", "v")]), refused.out
