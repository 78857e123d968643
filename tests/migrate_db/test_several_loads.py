"""One target that was loaded in parts, or from several files: each part is remembered."""

from pathlib import Path

import psycopg
import pytest

from ..postgres import PostgresContainer
from .program import Program, ask, fetch, image, sqlite

TWO = """
    CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY, v TEXT UNIQUE);
    INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'y'), (2, 'z');
"""


def test_one_table_after_the_other(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "s.db", TWO)
    assert program.run(source, "--include", "b").code == 0
    assert program.run(source, "--include", "a").code == 0
    sqlite(source, "INSERT INTO b VALUES (3, 'new'); INSERT INTO a VALUES (3, 'new')")
    assert program.run(source, "--catch-up").code == 0
    assert ask(program.url, "SELECT count(*) FROM b") == [(3,)]
    ask(program.url, "DELETE FROM b WHERE id = 2")
    assert program.verify(source).code == 3


def test_a_table_that_the_source_dropped_since_is_named(
    program: Program, postgres_container: PostgresContainer, tmp_path: Path
) -> None:
    source = sqlite(tmp_path / "s.db", TWO)
    assert program.run(source).code == 0
    sqlite(source, "DROP TABLE b")
    said = "b: it was loaded once, and this source has no such table; its rows stay, and were not compared"
    assert said in program.run(source).report["notes"]
    sqlite(source, "INSERT INTO a VALUES (2, 'new')")
    assert said in program.run(source, "--catch-up").report["notes"]
    assert said in program.verify(source).report["notes"]
    sqlite(source, "INSERT INTO a VALUES (3, 'new')")
    keep = ["--replace", "--keep-dump", tmp_path, "--server-tools"]
    no_tools = program.run(source, *keep, "sh -c 'echo too old >&2; exit 1' sh")
    assert "pg_dump failed" in no_tools.error and "too old" in no_tools.error
    tools = f"docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE {postgres_container.name}"
    replaced = program.run(source, *keep, tools)
    assert said in replaced.report["notes"], replaced.out
    assert ask(program.url, "SELECT count(*) FROM b") == [(2,)]


def test_a_table_that_is_new_in_the_source(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "s.db", TWO)
    assert program.run(source).code == 0
    sqlite(source, "CREATE TABLE new (a REFERENCES a); INSERT INTO new VALUES (1);"
           "INSERT INTO a VALUES (2, 'later')")  # fmt: skip
    refused = program.run(source, "--catch-up")
    assert refused.code == 1 and "run again with --include new to load" in refused.error
    assert program.run(source, "--include", "new").code == 0
    assert program.run(source, "--catch-up").code == 0
    assert program.verify(source).code == 0


def test_the_way_back_names_what_never_came(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "s.db", TWO)
    kept, mapping, back = tmp_path / "kept.db", tmp_path / "m.yml", tmp_path / "back.db"
    mapping.write_text("tables: {a: {columns: {v: {exclude: true}}}, b: {exclude: true}}")
    assert program.run(source, "--mapping", mapping, "--keep-snapshot", kept).code == 0
    program("open", None)
    ask(program.url, "INSERT INTO a VALUES (9)")
    program("close", None)
    done = program("reverse", None, "--source", kept, "--into", back, "--work-dir", tmp_path)
    assert done.code == 0, done.out
    lost = {(lack["kind"], lack["name"]) for lack in done.report["uncarried"]}
    assert lost == {("table", "b"), ("column", "a.v")}
    assert fetch(back, "SELECT * FROM a") == [(1, "x"), (9, None)]


def test_two_files_in_two_schemas(program: Program, tmp_path: Path) -> None:
    """Neither takes over what was wished for the other one."""
    one = sqlite(
        tmp_path / "one.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE log (x TEXT);"
        "INSERT INTO t VALUES (1, CAST(x'610062' AS TEXT)); INSERT INTO log VALUES ('l1'), ('l2')",
    )
    other = sqlite(
        tmp_path / "other.db",
        "CREATE TABLE u (id INTEGER PRIMARY KEY); CREATE TABLE log (y TEXT); INSERT INTO u VALUES (1)",
    )
    strip, leave, kept = tmp_path / "strip.yml", tmp_path / "leave.yml", tmp_path / "kept.db"
    strip.write_text("tables: {t: {columns: {v: {nul: strip}}}}")
    leave.write_text("tables: {log: {exclude: true}}")
    assert program.run(one, "--mapping", strip, "--keep-snapshot", kept).code == 0
    assert program.run(other, "--schema", "s2", "--mapping", leave).code == 0
    assert program.verify(one).code == 0
    assert program.verify(other, "--schema", "s2").code == 0
    ask(program.url, "DELETE FROM log WHERE x = 'l2'")
    assert program.verify(one).code == 3
    program("open", None)
    program("close", None)
    back = tmp_path / "back.db"
    done = program("reverse", None, "--source", kept, "--into", back, "--work-dir", tmp_path)
    assert done.code == 0, done.out
    assert fetch(back, "SELECT x FROM log") == [("l1",)]


def test_a_snapshot_that_is_kept_later_leads_back(program: Program, tmp_path: Path) -> None:
    """It has other bytes than the first one, and the same rows."""
    source = sqlite(tmp_path / "s.db", TWO)
    assert program.run(source).code == 0
    sqlite(source, "VACUUM")
    kept, back = tmp_path / "kept.db", tmp_path / "back.db"
    assert program.run(source, "--catch-up", "--keep-snapshot", kept).verdict == "equal"
    program("open", None)
    ask(program.url, "INSERT INTO a VALUES (9, 'app')")
    program("close", None)
    done = program("reverse", None, "--source", kept, "--into", back, "--work-dir", tmp_path)
    assert done.code == 0, done.out
    assert fetch(back, "SELECT v FROM a WHERE id = 9") == [("app",)]


def test_a_load_beside_an_app_that_lives_there(program: Program, tmp_path: Path) -> None:
    """It says nothing of whether that app may write, and nobody's rows are caught up away."""
    one = sqlite(
        tmp_path / "one.db", "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)"
    )
    other = sqlite(
        tmp_path / "other.db", "CREATE TABLE u (id INTEGER PRIMARY KEY); INSERT INTO u VALUES (1)"
    )
    assert program.run(one, "--hold").code == 0
    ask(
        program.url,
        "CREATE SCHEMA b; CREATE TABLE b.u (id int PRIMARY KEY); INSERT INTO b.u VALUES (7)",
    )
    assert program.run(other, "--schema", "b", "--catch-up").code == 1
    assert ask(program.url, "SELECT id FROM b.u") == [(7,)]
    ask(program.url, "DELETE FROM b.u")
    assert program.run(other, "--schema", "b").code == 0
    assert program("status", None).report["state"]["held"]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), psycopg.connect(program.url) as app:
        app.execute("INSERT INTO t VALUES (2)")
    assert program("open", None, "--schema", "elsewhere").verdict == "opened"
    ask(program.url, "INSERT INTO t VALUES (2)")
    assert program.run(other, "--schema", "b").verdict == "already migrated"
    assert program("status", None).verdict == "live"
    assert program.run(one, "--catch-up").code == 1
    assert ask(program.url, "SELECT count(*) FROM t") == [(2,)]


def test_a_rehearsal_of_what_is_equal_writes_nothing(program: Program, tmp_path: Path) -> None:
    source, kept = sqlite(tmp_path / "s.db", TWO), tmp_path / "kept.db"
    assert program.run(source).code == 0
    before = image(program.url)
    assert program.run(source, "--rehearse", "--hold", "--keep-snapshot", kept).code == 0
    assert image(program.url) == before


def test_a_key_holds_again_once_its_orphans_are_gone(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
        " CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id)); INSERT INTO c VALUES (1, 1), (2, 9)",
    )
    keep, none = tmp_path / "keep.yml", tmp_path / "none.yml"
    keep.write_text("tables: {c: {columns: {p: {orphans: keep}}}}")
    none.write_text("tables: {}")
    assert program.run(source, "--mapping", keep).code == 0
    sqlite(source, "DELETE FROM c WHERE id = 2; INSERT INTO c VALUES (3, 1)")
    done = program.run(source, "--catch-up", "--mapping", none)
    assert (done.code, done.verdict) == (0, "caught up"), done.out
    assert ask(program.url, "SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == [
        (True,)
    ]
    assert program.verify(source).verdict == "equal"
