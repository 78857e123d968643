"""A set counts only when it is whole and proved; whatever goes wrong, what is there stays as it was."""

import json
import re
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from db_backup import digest

from ..postgres import PostgresContainer, docker
from .program import TABLES, Program, ask


def test_a_set_holds_all_that_a_restore_needs(program: Program) -> None:
    name = program.backup()
    directory = program.directory / name
    assert re.fullmatch(r"test_\w+-\d{8}T\d{6}Z", name)
    names = {path.name for path in directory.iterdir()}
    assert names == {"database.dump", "globals.sql", "manifest.json", "SHA256SUMS"}
    for path in (program.directory, directory, program.directory / ".db_backup"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=directory, check=True)

    found = program.manifest(name)
    assert {f"{t['schema']}.{t['name']}": t["rows"] for t in found["contents"]["tables"]} == TABLES
    assert all(re.fullmatch(r"-?\d+", t["digest"]) for t in found["contents"]["tables"])
    assert found["server_major"] == 17 and found["database"]["encoding"] == "UTF8"
    assert found["image"]["id"].startswith("sha256:") and found["image"]["name"]
    assert any("sha256sum --check" in line for line in found["restore"])
    assert "SCRAM-SHA-256" in (directory / "globals.sql").read_text()
    assert found["contents"]["not_compared"] == ["rows of materialized view public.mv"]


def test_a_digest_sees_any_change_and_no_order(program: Program) -> None:
    def digests() -> dict[str, str]:
        contents = program.manifest(program.backup())["contents"]
        return {t["name"]: f"{t['rows']} {t['digest']}" for t in contents["tables"]}

    before = digests()
    ask(program.url, "CREATE INDEX by_body ON part (md5(body))")
    # every row lies elsewhere, and none has changed
    ask(program.url, "UPDATE part SET body = body")
    ask(program.url, "CLUSTER part USING by_body")
    assert digests() == before
    ask(program.url, "UPDATE part SET body = body || ' ' WHERE id = 6")
    ask(program.url, 'DELETE FROM "T t" WHERE ctid = (SELECT min(ctid) FROM "T t")')
    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"part", "T t"}


@pytest.mark.parametrize(
    "change",
    [
        "SET a = b, b = a WHERE id = 1",  # between two columns of a row
        "SET a = o.a FROM t o WHERE (t.id, o.id) IN ((1, 2), (2, 1))",  # between two rows of a column
        "SET a = NULL WHERE a = ''",
        "SET a = 'NULL' WHERE a IS NULL",
        "SET b = b || ' ' WHERE id = 1",
        "SET mine = ROW(1, 3) WHERE id = 1",  # its owner's own cast says the same of both
        "SET mine = NULL WHERE id = 2",  # not the same as a row of NULLs
    ],
)
def test_a_digest_is_not_fooled(program: Program, change: str) -> None:
    with psycopg.connect(program.url) as connection:
        connection.execute(
            "CREATE TYPE pair AS (x int, y int);"
            "CREATE FUNCTION first(pair) RETURNS text LANGUAGE sql AS 'SELECT $1.x::text';"
            "CREATE CAST (pair AS text) WITH FUNCTION first(pair);"
            "CREATE TABLE t (id int, a text, b text, mine pair);"
            "INSERT INTO t VALUES (1, 'one', 'two', (1, 2)), (2, '', 'two', (NULL, NULL)), (3, NULL, '', NULL)"
        )
        before = digest.take(connection)
        connection.execute(f"UPDATE t SET id = id; UPDATE t {change}".encode())
        assert digest.differences(before, digest.take(connection)) == [
            "table public.t has as many rows, but not the same ones"
        ]
        connection.rollback()


@pytest.fixture
def busy(program: Program) -> Iterator[list[int]]:
    """An app that writes to two tables in one transaction, all the time."""
    over, written = threading.Event(), [0]

    def write() -> None:
        with psycopg.connect(program.url, autocommit=True) as connection:
            while not over.is_set():
                with connection.transaction():
                    connection.execute("INSERT INTO course (title) VALUES ('live') RETURNING id")
                    connection.execute("INSERT INTO part SELECT max(id) + 1, 1, 'live' FROM part")
                    connection.execute("DELETE FROM part WHERE id = (SELECT min(id) FROM part)")
                written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    yield written
    over.set()
    thread.join()


def test_the_digests_are_those_of_the_dumped_moment(program: Program, busy: list[int]) -> None:
    copy = program.database("copy")
    for _ in range(2):
        name = program.backup()
        assert program("restore", name, "--replace", url=copy).code == 0, "each table was compared"
    assert busy[0] > 50
    assert program("restore", "--forget", url=copy).code == 0
    ask(program.url, "DROP DATABASE copy")


@contextmanager
def nothing_changes(program: Program) -> Iterator[None]:
    """The sets that are there stay byte for byte, none is added, the lock is free, the next run is good."""
    before = program.bytes()
    yield
    assert program.bytes() == before


def wrong_password(program: Program) -> str:
    return re.sub(r"password=\S+", "password=wrong", program.url)


def test_a_wrong_password(program: Program) -> None:
    program.backup()
    with nothing_changes(program):
        result = program("backup", url=wrong_password(program))
    assert result.code == 1 and "password authentication failed" in result.error


def test_no_server_no_container_and_one_that_restarts(
    program: Program, postgres_container: PostgresContainer, request: pytest.FixtureRequest
) -> None:
    program.backup()
    with nothing_changes(program):
        missing = program("backup", container="no-such-container")
        assert missing.code == 1 and "o such container" in missing.error
        postgres_container.stop()
        down = program("backup")
        assert down.code == 1 and "can't connect" in down.error
        postgres_container.start()
    # while it starts, a run is refused, or it is a good one
    postgres_container.stop()
    before = len(program.sets)
    starting = subprocess.Popen(
        ["docker", "start", postgres_container.name], stdout=subprocess.DEVNULL
    )
    codes = [program("backup").code for _ in range(2)]
    starting.wait()
    postgres_container.start()
    assert set(codes) <= {0, 1} and len(program.sets) == before + codes.count(0)
    assert program("verify", "all").code == 0


@pytest.mark.slow
def test_no_false_success_in_forty(program: Program, postgres_container: PostgresContainer) -> None:
    """The server is killed and started again while runs go on; what counts is whole and proved."""
    begun = time.monotonic()
    program.spawn("backup").communicate()
    took = time.monotonic() - begun
    before = len(program.sets)
    successes = 0
    for number in range(40):
        process = program.spawn("backup")
        time.sleep(took * 2 * (number + 0.5) / 40)
        postgres_container.kill()
        process.communicate()
        successes += process.returncode == 0
        postgres_container.start()
        assert len(program.sets) == before + successes
    assert 0 < successes < 40, "some were over before the server was"
    assert program("verify", "all").code == 0
    copy = program.database("copy")
    assert program("restore", program.sets[-1], url=copy).code == 0
    ask(program.url, "DROP DATABASE copy")


def enlarge(program: Program, rows: int = 60_000) -> None:
    """A dump that takes a second or so, and that no compression makes small."""
    ask(
        program.url,
        "CREATE TABLE big AS SELECT g AS id, md5(g::text) || md5((g + 1)::text) || md5((g * 7)::text) AS body"
        f" FROM generate_series(1, {rows}) g",
    )


def test_a_backend_that_is_terminated(program: Program) -> None:
    program.backup()
    enlarge(program, 400_000)
    with nothing_changes(program):
        process = program.spawn("backup")
        deadline = time.monotonic() + 20
        while not ask(
            program.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'db_backup %'"
            " AND query LIKE 'COPY %'",
        ):
            assert time.monotonic() < deadline and process.poll() is None
        said = json.loads(process.communicate()[0])
        assert process.returncode == 1 and "pg_dump failed" in said["error"][0]


@pytest.mark.parametrize(
    "moments", [6, pytest.param(50, marks=pytest.mark.slow)], ids=lambda count: f"{count} moments"
)
def test_killed(program: Program, moments: int) -> None:
    program.backup()
    enlarge(program)
    begun = time.monotonic()
    program.backup()
    took = time.monotonic() - begun + 0.3
    whole = set(program.sets)
    for number in range(moments):
        process = program.spawn("backup")
        time.sleep(took * (number + 0.5) / moments)
        process.kill()
        process.wait()
        for name in set(program.sets) - whole:
            # a kill after the rename: then it is a whole one
            assert program("verify", name).code == 0
            whole.add(name)
    assert program.backup() in program.sets
    assert program("verify", "all").code == 0
    assert not list((program.directory / ".db_backup").glob("unfinished-*")), (
        "the next run cleans up"
    )
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'db_backup %'"
    assert ask(program.url, left) == [(0,)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "small"
    directory.mkdir()
    yield directory
    subprocess.run(["umount", str(directory)], check=False, capture_output=True)


@pytest.mark.parametrize(
    "levels", [3, pytest.param(10, marks=pytest.mark.slow)], ids=lambda count: f"{count} levels"
)
def test_a_full_disk(program: Program, small_disk: Path, levels: int) -> None:
    enlarge(program)
    size = (program.directory / program.backup() / "database.dump").stat().st_size
    program.directory = small_disk
    for level in range(levels):
        room = int(size * (level + 0.5) / levels) // 4096 * 4096
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(small_disk)], check=True
        )
        # once without the look before it, once with
        result = program("backup", floor_mb="0")
        assert result.code == 1 and ("No space" in result.error or "too full" in result.error)
        assert program("backup", floor_mb="64").code == 1
        assert program.sets == []
        ask(program.url, "INSERT INTO course (title) VALUES ('the database still writes')")
        subprocess.run(["umount", str(small_disk)], check=True)


def test_the_floor_is_left_alone(program: Program) -> None:
    result = program("backup", floor_mb=str(2**40))
    assert result.code == 1 and "stay free for the database" in result.error
    assert program.sets == []


def test_two_at_once(program: Program) -> None:
    enlarge(program, 400_000)
    first = program.spawn("backup")
    lock = program.directory / ".db_backup" / "lock"
    deadline = time.monotonic() + 10
    while not (lock.exists() and lock.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begun = time.monotonic()
    second = program("backup")
    assert time.monotonic() - begun < 1
    assert second.code == 4 and f"process {first.pid}" in second.error
    first.communicate()
    assert first.returncode == 0 and len(program.sets) == 1


def test_a_table_that_somebody_locks(program: Program) -> None:
    with psycopg.connect(program.url) as connection:
        connection.execute("LOCK TABLE part IN ACCESS EXCLUSIVE MODE")
        result = program("backup", lock_timeout="1")
    assert result.code == 1 and "keeps a table locked" in result.error
    assert program.sets == []


def test_a_run_that_takes_too_long(program: Program) -> None:
    with psycopg.connect(program.url) as connection:
        connection.execute("LOCK TABLE part IN ACCESS EXCLUSIVE MODE")
        result = program("backup", timeout="1")
    assert result.code == 1 and "longer than 1 s" in result.error
    assert program.sets == []


def test_the_container_shows_no_password(program: Program) -> None:
    """Nor does anything that was written."""
    result = program("backup")
    password = str(program.url.split("password=")[1].split()[0])
    assert password not in result.text + json.dumps(result.report)
    for path in program.directory.rglob("*"):
        assert path.is_dir() or password.encode() not in path.read_bytes()
    assert password not in docker("top", program.container)
