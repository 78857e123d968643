"""Commands in any order: nothing that one of them says makes another one forget what the app wrote."""

import hashlib
from pathlib import Path

import psycopg
import pytest
from migrate_db.postgresql import sessions

from ..postgres import PostgresContainer
from .home import Home
from .program import Program, ask, fetch, sqlite

TWO = """
    CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'y');
"""
WRITTEN = "INSERT INTO {} VALUES (2, 'written by the app')"
LIVED = "the app lived on this database"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return sqlite(tmp_path / "s.db", TWO)


def rows(program: Program, table: str) -> int:
    return int(ask(program.url, f"SELECT count(*) FROM {table}")[0][0])


def replacing(postgres_container: PostgresContainer, tmp_path: Path) -> list[object]:
    tools = f"docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE {postgres_container.name}"
    return ["--replace", "--keep-dump", tmp_path / "dumps", "--server-tools", tools]


@pytest.mark.parametrize(
    "part", [("--hold",), ("--catch-up", "--given-up")], ids=["equal", "given up"]
)
def test_a_run_of_a_part_says_nothing_of_the_rest(
    program: Program, source: Path, part: tuple[str, ...]
) -> None:
    home = Home(program, source)
    home.write(WRITTEN.format("a"), *([] if "--hold" in part else [WRITTEN.format("b")]))
    program("close", None)
    assert LIVED in program.run(source, "--catch-up").error
    assert program.run(source, "--include", "b", *part).code == 0
    assert rows(program, "b") == 1
    assert program("status", None).report["state"]["lived_since"]
    assert LIVED in program.run(source, "--catch-up").error
    assert rows(program, "a") == 2
    assert program.run(source, "--catch-up", "--given-up").verdict == "caught up"
    assert not program("status", None).report["state"]["lived_since"]


def test_a_part_that_is_replaced_where_the_app_lives(
    program: Program, source: Path, postgres_container: PostgresContainer, tmp_path: Path
) -> None:
    Home(program, source).write(WRITTEN.format("a"), WRITTEN.format("b"))
    done = program.run(source, "--include", "b", *replacing(postgres_container, tmp_path))
    assert done.code == 0, done.out
    assert (rows(program, "a"), rows(program, "b")) == (2, 1)
    assert program("status", None).verdict == "live"
    assert "the app lives on this database" in program.run(source, "--catch-up").error
    assert rows(program, "a") == 2


def test_what_was_left_out_was_not_led_back(program: Program, source: Path) -> None:
    home = Home(program, source)
    home.write(WRITTEN.format("a"), WRITTEN.format("b"))
    told = home.returned("--leave-out", "a")
    assert any("still wants --given-up" in note for note in told.report["notes"])
    assert LIVED in program.run(home.into, "--catch-up").error
    home.returned()
    assert "it may only read now, and " in program("status", None).text
    other = program.run(source, "--catch-up")
    assert LIVED in other.error and "this is another file" in other.error
    assert program.run(home.into, "--catch-up").code == 0
    assert (rows(program, "a"), rows(program, "b")) == (2, 2)


def test_each_schema_is_led_back_by_itself(program: Program, source: Path, tmp_path: Path) -> None:
    other = sqlite(tmp_path / "other.db", TWO)
    kept = tmp_path / "kept.db"
    assert program.run(source, "--keep-snapshot", kept).code == 0
    assert program.run(other, "--schema", "two").code == 0
    program("open", None)
    ask(program.url, f"{WRITTEN.format('a')}; {WRITTEN.format('two.a')}")
    program("close", None)
    back = program("reverse", kept, "--into", source)
    assert back.code == 0, back.out
    assert LIVED in program.run(other, "--schema", "two", "--catch-up").error
    assert rows(program, "two.a") == 2
    assert program.run(source, "--catch-up").code == 0


def test_what_was_written_without_open(program: Program, source: Path) -> None:
    """Nobody said that the app lives there; its rows do."""
    assert program.run(source).code == 0
    sqlite(source, "INSERT INTO b VALUES (5, 'of SQLite')")
    assert program.run(source, "--catch-up").code == 0
    ask(program.url, WRITTEN.format("a"))
    for _ in range(2):
        refused = program.run(source, "--catch-up")
        assert refused.code == 1 and "somebody wrote to this database" in refused.error
        assert "a: has rows that are newer" in refused.error, refused.error
        assert "b: has" not in refused.error
        program("close", None)
    assert rows(program, "a") == 2
    assert program.run(source, "--catch-up", "--given-up").verdict == "caught up"
    sqlite(source, "INSERT INTO a VALUES (3, 'of SQLite')")
    assert program.run(source, "--catch-up").verdict == "caught up"


def test_what_came_back_and_is_in_the_source_is_nobody_elses(
    program: Program, source: Path
) -> None:
    """Rows that the app wrote here stay as it wrote them, once they are in both."""
    home = Home(program, source)
    home.write(WRITTEN.format("a"))
    home.returned()
    sqlite(home.into, "INSERT INTO a VALUES (3, 'of SQLite')")
    assert program.run(home.into, "--catch-up").verdict == "caught up"
    sqlite(home.into, "INSERT INTO a VALUES (4, 'of SQLite')")
    assert program.run(home.into, "--catch-up").verdict == "caught up"
    assert rows(program, "a") == 4


def test_tables_of_two_moments(program: Program, source: Path, tmp_path: Path) -> None:
    """A row that SQLite got in between is not one that PostgreSQL lost."""
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    assert program.run(source).code == 0
    sqlite(source, "INSERT INTO a VALUES (9, 'of SQLite'); INSERT INTO b VALUES (9, 'of SQLite')")
    done = program.run(source, "--catch-up", "--include", "b", "--keep-snapshot", kept)
    assert done.code == 0, done.out
    refused = program("open", None)
    assert refused.code == 1 and "different states of the SQLite file" in refused.error
    program("close", None)
    refused = program("reverse", kept, "--into", back)
    assert refused.findings == [("a", "", "")] and not back.exists()
    assert program.run(source, "--catch-up", "--keep-snapshot", kept).verdict == "caught up"
    assert program("open", None).code == 0
    program("close", None)
    assert program("reverse", kept, "--into", back).code == 0
    assert fetch(back, "SELECT id FROM a") == [(1,), (9,)]


def test_parts_that_turn_out_equal_are_of_one_moment(program: Program, source: Path) -> None:
    assert program.run(source, "--include", "b").code == 0
    sqlite(source, "VACUUM; PRAGMA user_version = 3")
    assert program.run(source, "--include", "a").code == 0
    assert program("open", None).code == 1
    assert program.run(source, "--catch-up").verdict == "equal"
    assert program("open", None).code == 0


def test_opened_by_a_run_that_was_killed(
    program: Program, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.run(source, "--hold").code == 0
    with psycopg.connect(program.url) as app:  # while it is held
        app.execute("SELECT 1")
        app.commit()
        monkeypatch.setattr(sessions, "end_read_only", lambda *_: None)
        assert program("open", None).code == 0
        monkeypatch.undo()
        assert program("open", None).code == 0
        with pytest.raises(psycopg.OperationalError):
            app.execute("SELECT 1")
    with psycopg.connect(program.url) as app:
        app.execute(WRITTEN.format("a"))
        app.commit()
        assert program("open", None).code == 0
        app.execute("SELECT 1")


def test_the_file_that_is_replaced_has_what_nobody_else_has(program: Program, source: Path) -> None:
    home = Home(program, source)
    home.into = source
    home.write(WRITTEN.format("a"))
    home.returned()
    home.returned()
    assert not source.with_name("s.db.replaced").exists()
    sqlite(source, "INSERT INTO a VALUES (7, 'of SQLite, since')")
    said = "somebody wrote to it since; it is kept as "
    for name in ("s.db.replaced", "s.db.replaced1"):
        told = home.returned()
        place = source.with_name(name)
        assert any(note.endswith(f"{said}{place}") for note in told.report["notes"]), told.out
        assert fetch(place, "SELECT max(id) FROM a") == [(7,)]
        assert fetch(source, "SELECT id FROM a") == [(1,), (2,)]
        sqlite(source, "INSERT INTO a VALUES (7, 'again')")
    home.returned("--overwrite")
    assert not source.with_name("s.db.replaced2").exists()


def test_a_live_one_is_not_held_and_its_kept_file_stays(program: Program, source: Path) -> None:
    home = Home(program, source)
    before = home.kept.read_bytes()
    sqlite(source, "PRAGMA user_version = 7")
    for words in (["--hold"], ["--keep-snapshot", home.kept]):
        refused = program.run(source, *words)
        assert refused.code == 1 and "the app lives on this database" in refused.error
    assert home.kept.read_bytes() == before
    assert program.run(source).verdict == "already migrated"
    home.returned()


def test_names_of_either_side_are_left_out(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "s.db", TWO)
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {a: {rename: m_a}, b: {columns: {v: {rename: w}}}}")
    home = Home(program, source, "--mapping", mapping)
    home.write("UPDATE m_a SET v = 'app'", "INSERT INTO b VALUES (2, 'app')")
    for table, column in (("a", "b.v"), ("m_a", "b.w"), ("[m]_a", "b.[w]")):
        home.returned("--leave-out", table, "--leave-out", column)
        assert fetch(home.into, "SELECT name FROM sqlite_schema") == [("a",), ("b",)]
        assert fetch(home.into, "SELECT v FROM a") == [("x",)]
        assert fetch(home.into, "SELECT * FROM b") == [(1, "y"), (2, None)]
    unknown = home.back("--leave-out", "nosuch", "--leave-out", "a")
    assert unknown.code == 2 and "matches 'nosuch'" in unknown.error


def test_the_mapping_of_a_load_goes_on(
    program: Program, postgres_container: PostgresContainer, tmp_path: Path
) -> None:
    source = sqlite(tmp_path / "s.db", TWO + "INSERT INTO a VALUES (2, '')")
    mapping, more = tmp_path / "m.yml", tmp_path / "more.yml"
    mapping.write_text("tables: {a: {columns: {v: {empty: null}}}, b: {exclude: true}}")
    assert program.run(source, "--mapping", mapping).code == 0
    sqlite(source, "INSERT INTO a VALUES (3, '')")
    done = program.run(source, *replacing(postgres_container, tmp_path))
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT count(*) FROM a WHERE v IS NULL") == [(2,)]
    assert ask(program.url, "SELECT to_regclass('b') IS NULL") == [(True,)]
    # also by a run that has nothing to do
    sqlite(source, "ALTER TABLE a ADD COLUMN more TEXT")
    more.write_text(
        "tables: {a: {columns: {v: {empty: null}, more: {exclude: true}}}, b: {exclude: true}}"
    )
    assert program.run(source, "--catch-up", "--mapping", more).verdict == "equal"
    assert program.verify(source).verdict == "equal"


def test_rows_that_stayed_behind_stay_in_a_copy_with_other_bytes(
    program: Program, tmp_path: Path
) -> None:
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER);"
        "INSERT INTO t VALUES (1, 1), (2, 'not a number')"
    )  # fmt: skip
    ask(program.url, "CREATE TABLE t (id integer PRIMARY KEY, n integer)")
    home = Home(program, source, "--on-finding", "quarantine")
    home.write("ALTER TABLE t ALTER n TYPE text")
    home.kept.chmod(0o600)
    sqlite(home.kept, "PRAGMA user_version = 3")
    digest = hashlib.sha256(home.kept.read_bytes()).hexdigest()
    refused = home.refused("--expect-sha256", digest)
    assert refused.findings == [("t", "", "")], refused.out


def test_held_when_it_was_equal_already(program: Program, source: Path) -> None:
    """What began before could still write; what it wrote meanwhile is told."""
    assert program.run(source).code == 0
    with psycopg.connect(program.url, autocommit=True) as app:
        app.execute("SELECT 1")
        assert program.run(source, "--hold").verdict == "already migrated"
        with pytest.raises(psycopg.OperationalError):
            app.execute(WRITTEN.format("a"))


def test_held_until_it_is_opened(program: Program, source: Path) -> None:
    assert program.run(source, "--hold").code == 0
    for words in ([], ["--catch-up"], ["--catch-up", "--include", "a"]):
        sqlite(source, "INSERT INTO a (v) VALUES ('of SQLite')")
        told = program.run(source, *words).report["notes"]
        assert any("is held, and stays so" in note for note in told) or not words, told
        with (
            psycopg.connect(program.url) as app,
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        ):
            app.execute(WRITTEN.format("b"))
    assert program.run(source, "--catch-up").code == 0
    assert program("open", None).code == 0
    with psycopg.connect(program.url) as app:
        app.execute(WRITTEN.format("b"))


def test_a_column_that_was_widened_is_no_write_of_the_apps(program: Program, source: Path) -> None:
    """All rows are written anew by it."""
    sqlite(source, "ALTER TABLE a ADD COLUMN n INTEGER; UPDATE a SET n = 1")
    assert program.run(source).code == 0
    sqlite(source, "UPDATE a SET n = 3000000000; INSERT INTO a VALUES (5, 'v', 5)")
    assert program.run(source, "--catch-up").code == 1
    ask(program.url, "ALTER TABLE a ALTER n TYPE bigint")
    assert program.run(source, "--catch-up").verdict == "caught up"
    ask(program.url, "ALTER TABLE a ALTER n TYPE numeric")
    ask(program.url, "UPDATE a SET v = 'app' WHERE id = 5")
    sqlite(source, "INSERT INTO a VALUES (6, 'v', 6)")
    assert "somebody wrote to this database" in program.run(source, "--catch-up").error
