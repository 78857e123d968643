"""The source is only ever read: its bytes and what lies beside it stay, whatever state it is in."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .program import Program, ask, beside

# A program that leaves a database in some state, says so, and waits to be killed.
PRELUDE = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
def ready():
    print("ready", flush=True)
    time.sleep(60)
connection.execute("PRAGMA cache_size = 5")
"""
STATES = {
    "rollback journal": """
connection.executescript("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT);")
connection.execute("INSERT INTO t VALUES (1, 'committed')")
ready()
""",
    "live WAL": """
connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER PRIMARY KEY, x);")
connection.execute("INSERT INTO t VALUES (1, 'committed')")
ready()
""",
    "write in progress": """
connection.executescript("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT);")
connection.execute("INSERT INTO t VALUES (1, 'committed')")
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO t VALUES (2, 'not committed')")
ready()
""",
    "hot journal": """
connection.executescript("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT);")
connection.execute("INSERT INTO t VALUES (1, 'committed')")
connection.execute("BEGIN")
connection.execute("UPDATE t SET x = 'not committed'")
connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, "x" * 900) for n in range(2, 500)))
ready()
""",
}


def held(path: Path, state: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + STATES[state], path], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory / "app.db"


@pytest.mark.parametrize(
    ("state", "killed"),
    # the living writer of a hot journal has the file locked: see the tests of bad input
    [(state, killed) for state in STATES for killed in (False, True)
     if killed or state != "hot journal"],
)  # fmt: skip
def test_untouched(program: Program, database: Path, state: str, killed: bool) -> None:
    for process in held(database, state):
        if killed:
            process.kill()
            process.wait()
        before = beside(database)
        result = program.run(database)
        assert beside(database) == before
    assert result.code == 0, result.out
    assert ask(program.url, "SELECT n, x FROM t") == [(1, "committed")]
    # the shared memory of a dead writer would be rewritten by whoever reads next
    wal = {"live WAL": "copied" if killed else "read", "hot journal": "copied"}.get(state, "none")
    assert result.report["source"]["wal"] == wal


@pytest.mark.parametrize("state", ["live WAL", "hot journal"])
def test_through_a_link(program: Program, database: Path, tmp_path: Path, state: str) -> None:
    """What SQLite keeps beside a file lies beside the file, not beside the link."""
    link = tmp_path / "app.db"
    link.symlink_to(database)
    for process in held(database, state):
        process.kill()
        process.wait()
        before = beside(database)
        result = program.run(link)
        assert beside(database) == before
    assert result.code == 0, result.out
    assert ask(program.url, "SELECT n, x FROM t") == [(1, "committed")]
    assert result.report["source"]["wal"] == "copied"


@pytest.mark.parametrize("present", [("-wal",), ("-wal", "-shm")])
def test_a_wal_brought_from_elsewhere(
    program: Program, database: Path, tmp_path: Path, present: tuple[str, ...]
) -> None:
    """A copy of an app's directory, shared memory or not."""
    for _ in held(database, "live WAL"):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for end in ("", *present):
            (elsewhere / f"app.db{end}").write_bytes(Path(f"{database}{end}").read_bytes())
    before = {file.name: file.read_bytes() for file in elsewhere.iterdir()}
    assert program.run(elsewhere / "app.db").code == 0
    assert {file.name: file.read_bytes() for file in elsewhere.iterdir()} == before
    assert ask(program.url, "SELECT n, x FROM t") == [(1, "committed")]


def test_shared_memory_without_a_wal(program: Program, database: Path, tmp_path: Path) -> None:
    """All of the WAL is in the file, and nobody lives who would remove what is beside it."""
    elsewhere = tmp_path / "elsewhere"
    connection = sqlite3.connect(database)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (n);")
    connection.executescript("INSERT INTO t VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(database.parent, elsewhere)
    connection.close()
    before = {file.name: file.read_bytes() for file in elsewhere.iterdir()}
    assert sorted(before) == ["app.db", "app.db-shm", "app.db-wal"] and not before["app.db-wal"]
    assert program.run(elsewhere / "app.db").code == 0
    assert {file.name: file.read_bytes() for file in elsewhere.iterdir()} == before
    assert ask(program.url, "SELECT n FROM t") == [(1,)]


def test_a_quiet_wal_file(program: Program, database: Path) -> None:
    """In WAL mode and nobody has it open: even reading it with SQLite makes two files."""
    connection = sqlite3.connect(database)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (n);")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    connection.close()
    before = beside(database)
    assert list(before) == ["app.db"]
    assert program.run(database).code == 0
    assert beside(database) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_user_who_may_only_read(program: Program, mode: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "app.db")
        connection = sqlite3.connect(source)
        connection.executescript(f"PRAGMA journal_mode = {mode}; CREATE TABLE t (n)")
        connection.close()
        source.chmod(0o444)
        Path(directory).chmod(0o555)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            [*nobody, *program.command("check", "--source", source, "--work-dir", "/var/tmp")],
            env=program.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert beside(source).keys() == {"app.db"}


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "what?.db", "a#b.db", "ü🧠.db", "-x"])
def test_names_of_files(program: Program, tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    connection = sqlite3.connect(source)
    connection.executescript("CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    connection.close()
    assert program.check(source).code == 0


def test_removed_rows_are_not_read_from_free_pages(program: Program, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.executescript("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, "x" * 500) for n in range(500)))
    connection.commit()
    connection.execute("DELETE FROM t WHERE n > 3")
    connection.commit()
    connection.close()
    assert program.run(database).code == 0
    assert ask(program.url, "SELECT count(*) FROM t") == [(4,)]


def test_the_file_of_a_living_app_under_another_name(program: Program, tmp_path: Path) -> None:
    """What it committed last lies in the -wal beside the name that it uses."""
    source, other = tmp_path / "app.db", tmp_path / "other" / "app.db"
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + STATES["live WAL"], str(source)],
        stdout=subprocess.PIPE,
        text=True,
    ) as app:
        assert app.stdout is not None and app.stdout.readline() == "ready\n"
        other.parent.mkdir()
        os.link(source, other)
        refused = program.run(other)
        assert refused.code == 1 and "under another name" in refused.error, refused.out
        done = program.run(source)
        assert done.code == 0
        assert any("hard link" in note for note in done.report["notes"])
        app.kill()
    assert ask(program.url, "SELECT count(*) FROM t") == [(1,)]
