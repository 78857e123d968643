"""The straight road: Brainer's own data, from the first run to the day the app moves in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from api.database import Base, postgres_engine

from ..postgres import PostgresContainer
from .program import FILES, Program, ask, beside, fetch, image, sqlite

ORDER = ["courses", "parts", "chapters", "exercises"]


def make_models(url: str) -> None:
    engine = postgres_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


@pytest.fixture(params=["tables are made", "tables of the app"])
def target(request: pytest.FixtureRequest, database_url: str) -> str:
    """An empty target: without tables, or with those that the app's models made."""
    if request.param == "tables of the app":
        make_models(database_url)
    return database_url


def test_a_brainer_arrives_whole(program: Program, brainer: Path, target: str) -> None:
    before = beside(brainer)
    first = program.run(brainer)
    assert (first.code, first.verdict) == (0, "migrated"), first.out
    assert [table["name"] for table in first.report["tables"]] == ORDER
    for table in ORDER:
        rows = fetch(brainer, f"SELECT count(*) FROM {table}")[0][0]
        assert ask(target, f"SELECT count(*) FROM {table}")[0][0] == rows
    # values, seen with other eyes than the program's: SQLite's and PostgreSQL's own drivers
    ours = fetch(brainer, "SELECT id, question, content, difficulty, due_at FROM exercises")
    theirs = ask(
        target,
        "SELECT id, question, content::text, difficulty,"
        " to_char(due_at, 'YYYY-MM-DD HH24:MI:SS.US') FROM exercises ORDER BY id",
    )
    for (*head, content, number, due), (*their_head, text, their_number, their_due) in zip(
        ours, theirs, strict=True
    ):
        assert (head, repr(number), due) == (their_head, repr(their_number), their_due)
        # the JSON column has numeric affinity: SQLite made numbers of texts that look like one
        assert text == content or json.loads(text) == content
    assert beside(brainer) == before

    written = image(target)
    again = program.run(brainer)
    assert (again.code, again.verdict, again.report["changed"]) == (0, "already migrated", False)
    assert program.verify(brainer).verdict == "equal"
    assert image(target) == written, "a run that says that nothing was written wrote something"


def test_the_app_can_insert(program: Program, brainer: Path, target: str) -> None:
    program.run(brainer)
    last = fetch(brainer, "SELECT seq FROM sqlite_sequence WHERE name = 'exercises'")[0][0]
    assert last > fetch(brainer, "SELECT max(id) FROM exercises")[0][0]
    new = ask(
        target,
        "INSERT INTO exercises (chapter_id, question, points, is_active)"
        " VALUES (1, '', 1, true) RETURNING id, created_at IS NOT NULL",
    )
    assert new == [(last + 1, True)]
    for statement, refused in (
        ("INSERT INTO parts (course_id, position, title) VALUES (-1, 0, '')", "foreign key"),
        ("INSERT INTO courses (id) VALUES (1)", "null value|duplicate key"),
        ("UPDATE exercises SET points = -1", "check constraint"),
        ("UPDATE courses SET slug = 'same'", "unique constraint"),
    ):
        with pytest.raises(psycopg.errors.IntegrityError, match=refused):
            ask(target, statement)
    parts = "SELECT count(*) FROM parts WHERE course_id = 1"
    assert ask(target, parts) != [(0,)]
    ask(target, "DELETE FROM courses WHERE id = 1")
    assert ask(target, parts) == [(0,)], "ON DELETE CASCADE"


def test_a_rehearsal_leaves_nothing(program: Program, brainer: Path, target: str) -> None:
    before = image(target)
    result = program.run(brainer, "--rehearse")
    assert (result.code, result.verdict) == (0, "rehearsed"), result.out
    assert result.report["proof"]["tables"][3]["equal"] == 700
    assert image(target) == before


def test_what_was_written_meanwhile_is_caught_up(
    program: Program, brainer: Path, target: str
) -> None:
    program.run(brainer)
    sqlite(
        brainer,
        """
        PRAGMA foreign_keys = ON;
        INSERT INTO courses (slug, title, is_published, content) VALUES ('new', 'ü', 1, '{}');
        UPDATE courses SET slug = 'swap' WHERE id = 1;
        UPDATE courses SET slug = 'course-1' WHERE id = 2;
        UPDATE courses SET slug = 'course-2' WHERE id = 1;
        DELETE FROM courses WHERE id = 3;
        UPDATE exercises SET question = 'changed', difficulty = NULL WHERE id % 50 = 7;
        INSERT INTO exercises (chapter_id, question, points, is_active) VALUES (2, 'n', 1, 1);
        """,
    )
    differs = program.verify(brainer)
    assert (differs.code, differs.verdict) == (3, "different")
    refused = program.run(brainer)
    assert refused.code == 1 and "--catch-up" in refused.error
    result = program.run(brainer, "--catch-up")
    assert (result.code, result.verdict) == (0, "caught up"), result.out
    done = {
        c["table"]: (c["added"], c["changed"], c["removed"]) for c in result.report["caught_up"]
    }
    assert done["courses"] == (1, 2, 1)
    assert done["exercises"][1] > 5 and done["exercises"][0] > 0
    assert program.verify(brainer).verdict == "equal"
    assert program.run(brainer, "--catch-up").verdict == "equal"
    assert ask(target, "SELECT slug FROM courses WHERE id < 3 ORDER BY id") == [
        ("course-2",), ("course-1",),
    ]  # fmt: skip


def test_held_until_the_app_moves_in(program: Program, brainer: Path) -> None:
    held = program.run(brainer, "--hold")
    assert held.code == 0
    with psycopg.connect(program.url, autocommit=True) as app:
        assert app.execute("SELECT count(*) FROM courses").fetchone() is not None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            app.execute("DELETE FROM courses")
    sqlite(brainer, "UPDATE courses SET title = 'later'")
    assert program.run(brainer, "--catch-up", "--hold").verdict == "caught up"

    assert program("open", None).code == 0
    assert program("open", None).report["changed"] is False
    with psycopg.connect(program.url, autocommit=True) as app:
        app.execute("UPDATE courses SET title = 'the app lives here'")
    late = program.run(brainer, "--catch-up")
    assert late.code == 1 and "lives on this database" in late.error
    assert ask(program.url, "SELECT DISTINCT title FROM courses") == [("the app lives here",)]


def test_replaced_only_after_a_dump_that_reads_back(
    program: Program,
    brainer: Path,
    tmp_path: Path,
    postgres_container: PostgresContainer,
) -> None:
    ask(program.url, "CREATE TABLE courses (id int PRIMARY KEY, slug text, title text)")
    ask(program.url, "INSERT INTO courses VALUES (1, 'mine', 'precious')")
    before = image(program.url)
    refused = program.run(brainer)
    assert refused.code == 1 and "courses: 1 rows" in refused.error and "--replace" in refused.error
    assert image(program.url) == before
    ask(program.url, "DROP TABLE courses")
    make_models(program.url)
    ask(program.url, "INSERT INTO courses VALUES (1, 'x', 'precious', '', 0, true, '1', now())")

    # -e without a value: the password goes by environment, not by argument
    tools = "docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE " + postgres_container.name
    kept = tmp_path / "kept"
    result = program.run(brainer, "--replace", "--keep-dump", kept, "--server-tools", tools)
    assert (result.code, result.verdict) == (0, "migrated"), result.out
    dump = Path(result.report["kept_dump"])
    assert dump.parent == kept and dump.stat().st_mode & 0o777 == 0o600
    read = subprocess.run(
        ["docker", "exec", "-i", postgres_container.name, "pg_restore", "-f", "-"],
        stdin=dump.open("rb"), capture_output=True, check=True,
    )  # fmt: skip
    assert b"precious" in read.stdout
    assert program.verify(brainer).verdict == "equal"


def test_nothing_is_replaced_without_a_dump(
    program: Program, brainer: Path, tmp_path: Path
) -> None:
    program.run(brainer)
    sqlite(brainer, "DELETE FROM exercises WHERE id > 9")
    before = image(program.url)
    kept = tmp_path / "kept"
    for tools, reason in (("no-such-program", "not found"), ("false", "failed")):
        result = program.run(brainer, "--replace", "--keep-dump", kept, "--server-tools", tools)
        assert result.code == 1 and reason in result.error
    assert image(program.url) == before
    assert list(kept.iterdir()) == []


def test_report_page_and_events(program: Program, brainer: Path, tmp_path: Path) -> None:
    report, page, events = (tmp_path / name for name in ("r.json", "r.html", "events"))
    process = program.spawn(
        "run", "--source", brainer, "--report", report, "--html", page, "--events", events
    )
    assert process.wait() == 0
    assert report.stat().st_mode & 0o777 == page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    assert "Migrated" in text and "exercises" in text and "Sequences" in text

    told: list[dict[str, Any]] = [json.loads(line) for line in events.read_text().splitlines()]
    started = [event["phase"] for event in told if event["event"] == "start"]
    ended = [event["phase"] for event in told if event["event"] == "end"]
    assert started == ended
    assert started == [
        "snapshot", "plan", "integrity", "load", "index", "sequences", "prove", "publish",
    ]  # fmt: skip


@pytest.mark.parametrize(("mode", "wal"), [("WAL", "read"), ("DELETE", "none")])
def test_a_snapshot_is_one_moment(program: Program, tmp_path: Path, mode: str, wal: str) -> None:
    """Pairs of rows that are always written together arrive together, from both ends of the file."""
    source = sqlite(
        tmp_path / "busy.db",
        f"PRAGMA journal_mode = {mode}; CREATE TABLE a (n INTEGER PRIMARY KEY, x);"
        "CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(40000000));"
        "CREATE TABLE b (n INTEGER PRIMARY KEY, x)",
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, source],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None and writer.stdout.readline()
    try:
        result = program.run(source)
    finally:
        writer.kill()
        writer.wait()
    assert result.code == 0, result.out
    assert result.report["source"]["wal"] == wal
    sums = [ask(program.url, f"SELECT count(*), sum(x) FROM {t}")[0] for t in "ab"]
    assert sums[0] == sums[1] and sums[0][0] > 0


_WRITER = """
import itertools, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
for n in itertools.count():
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("REPLACE INTO a VALUES (?, ?)", (n % 100, n))
    connection.execute("REPLACE INTO b VALUES (?, ?)", (n % 100, n))
    connection.execute("COMMIT")
    if n == 3:
        print("writing", flush=True)
"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("check", ("--report", "{source}")),
        ("plan", ("--write-mapping", "{link}")),
        ("run", ("--keep-snapshot", "{source}")),
        ("run", ("--events", "{hard}")),
        ("run", ("--keep-snapshot", "new.db", "--html", "./new.db")),
    ],
)
def test_what_is_written_takes_no_other_place(
    program: Program, brainer: Path, tmp_path: Path, command: str, words: tuple[str, ...]
) -> None:
    link, hard = tmp_path / "link.db", tmp_path / "hard.db"
    link.symlink_to(brainer)
    hard.hardlink_to(brainer)
    before = beside(brainer)
    given = [word.format(source=brainer, link=link, hard=hard) for word in words]
    process = program.spawn(command, "--source", brainer, *given, cwd=tmp_path)
    said, _ = process.communicate()
    assert process.returncode == 2 and "are the same file" in said, said
    assert beside(brainer) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--keep-snapshot", "none/kept.db"), "there is no directory"),
        (("--report", "."), "it is a directory"),
        (("--schema", ""), "--schema is empty"),
        (("--schema", "pg_mine"), "called 'pg_mine'"),
        (("--schema", "migrate_db"), "called 'migrate_db'"),
    ],
)
def test_what_cannot_be_is_said_before_the_run(
    program: Program, brainer: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    process = program.spawn("run", "--source", brainer, *words, cwd=tmp_path)
    said, _ = process.communicate()
    assert process.returncode == 2 and why in said, said
    assert image(program.url)["objects"] == []


def test_a_plan_on_a_bare_host(brainer: Path, tmp_path: Path) -> None:
    """The preview of `migrate.yml` runs with the system's Python, before anything is installed."""
    program = (
        "import sys; sys.modules['sqlglot'] = sys.modules['psycopg'] = None;"
        "from migrate_db.cli import main; sys.exit(main())"
    )
    sqlite(brainer, "CREATE VIEW v AS SELECT max(id, 1) AS m FROM courses")
    words = [sys.executable, "-c", program, "plan", "--source", brainer, "--work-dir", tmp_path]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(FILES)},
    )
    assert done.returncode == 0, done.stderr
    assert "sqlglot is not installed here" in done.stdout


def test_an_empty_source_is_asked_about(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "empty.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    refused = program.run(source)
    assert refused.code == 1 and "--allow-empty" in refused.error
    assert program.run(source, "--allow-empty").verdict == "migrated"
    before = image(program.url)
    again = program.run(source, "--allow-empty")
    assert (again.code, again.verdict) == (0, "already migrated")
    assert image(program.url) == before


def test_an_empty_source_needs_the_proposed_mapping_only(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "empty.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    checked = program.check(source)
    assert checked.code == 0 and "no rows at all" in checked.out
    mapping = tmp_path / "map.yml"
    assert program("plan", source, "--write-mapping", mapping).code == 0
    assert program.run(source, "--mapping", mapping).verdict == "migrated"
    # remembered, it would let an emptied file empty the target
    refused = program.run(source)
    assert refused.code == 1 and "--allow-empty" in refused.error


def test_a_source_without_tables(program: Program, brainer: Path, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "none.db", "PRAGMA user_version = 3; CREATE VIEW v AS SELECT 1 AS one"
    )
    assert "no rows at all" in program.check(source).out
    refused = program.run(source)
    assert refused.code == 1 and "no tables at all" in refused.error
    assert program.verify(source).code == 3, "nobody migrated it"
    mapping = tmp_path / "map.yml"
    assert program("plan", source, "--write-mapping", mapping).code == 0
    assert program.run(source, "--mapping", mapping).verdict == "migrated"
    assert program.verify(source).verdict == "equal"
    with psycopg.connect(program.url) as server:
        assert server.execute("SELECT one FROM v").fetchall() == [(1,)]


def test_a_source_that_lost_its_tables_is_not_equal(
    program: Program, brainer: Path, tmp_path: Path
) -> None:
    assert program.run(brainer).verdict == "migrated"
    source = sqlite(tmp_path / "none.db", "PRAGMA user_version = 3")
    before = image(program.url)
    assert program.verify(source).code == 3
    assert program.run(source, "--allow-empty").code != 0
    assert image(program.url) == before


def test_a_new_table_in_the_source(program: Program, brainer: Path) -> None:
    program.run(brainer)
    sqlite(brainer, "CREATE TABLE later (id INTEGER PRIMARY KEY); INSERT INTO later VALUES (1)")
    before = image(program.url)
    for words in ((), ("--catch-up",)):
        result = program.run(brainer, *words)
        assert result.code == 1 and "--replace" in result.error, result.out
    verified = program.verify(brainer)
    assert verified.code == 3 and "later" in verified.error
    assert image(program.url) == before


def test_checked_and_planned(program: Program, tmp_path: Path) -> None:
    """``check`` needs no server, and doesn't touch one."""
    source = sqlite(tmp_path / "t.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)",
                    ("INSERT INTO t VALUES (?)", [(n,) for n in range(3)]))  # fmt: skip
    before = image(program.url)
    assert program.check(source).verdict == "ready"
    plan = program("plan", source)
    assert plan.verdict == "ready" and "CREATE TABLE" in plan.report["ddl"][0]
    assert image(program.url) == before


@pytest.mark.parametrize("closed", [False, True])
def test_a_screen_that_takes_no_letters(program: Program, tmp_path: Path, closed: bool) -> None:
    """What was done is done: the exit code says so, whatever can be shown of it."""
    source = sqlite(
        tmp_path / "s.db", "CREATE TABLE größe (n INTEGER); INSERT INTO größe VALUES (1)"
    )
    report = tmp_path / os.fsdecode(b"report\xff.json")
    done = subprocess.run(
        program.command("run", "--source", source, "--report", report),
        env=program.environment | {"PYTHONIOENCODING": "ascii"}, capture_output=True,
        preexec_fn=(lambda: os.close(1)) if closed else None, check=False,
    )  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert json.loads(report.read_text())["verdict"] == "migrated"
    assert closed or rb"gr\xf6\xdfe" in done.stdout
