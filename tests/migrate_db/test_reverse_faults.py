"""Whatever goes wrong on the way back: the file is as before or complete, and nothing is left over."""

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sample_data import fill

from ..postgres import PostgresContainer
from .home import Home, digest
from .program import Program, ask, fetch, sqlite
from .test_kills import wait_for

PHASES = ["kept", "plan", "compare", "stage", "apply", "prove", "integrity", "publish"]


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("larger") / "brainer.db"
    fill(path, exercises=12_000, seed=3)
    return path


@pytest.fixture
def home(program: Program, larger: Path, tmp_path: Path) -> Home:
    """Closed, with much to carry; the file of before is where the new one shall be."""
    directory = tmp_path / "app"
    directory.mkdir()
    found = Home(program, Path(shutil.copy(larger, directory / "brainer.db")))
    found.into = found.source
    found.write(
        "UPDATE exercises SET question = question || ' changed' WHERE id % 3 = 0",
        "DELETE FROM exercises WHERE id % 3 = 1",
    )
    assert program("close", None).code == 0
    return found


def demand_as_before_or_complete(home: Home, before: str) -> bool:
    """Whether it was complete."""
    assert fetch(home.into, "PRAGMA integrity_check") == [("ok",)]
    if digest(home.into) == before:
        return False
    assert home.program.verify(home.into).verdict == "equal"
    return True


def end_well(home: Home) -> None:
    """The next run works, and cleans up."""
    done = home.returned()
    assert done.report["reversal"]["tables"][-1]["removed"] == 4000
    assert home.program.verify(home.into).verdict == "equal"


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_every_phase(home: Home, tmp_path: Path, phase: str) -> None:
    before, events = digest(home.into), tmp_path / "events"
    words = ("reverse", "--source", home.kept, "--into", home.into, "--events", events)
    process = home.program.spawn(*words)
    wait_for(process, events, phase)
    process.kill()
    process.communicate()
    complete = demand_as_before_or_complete(home, before)
    assert not complete or phase in ("integrity", "publish")
    end_well(home)


@pytest.mark.slow
def test_killed_at_twenty_moments(home: Home, tmp_path: Path) -> None:
    before = digest(home.into)
    begun = time.monotonic()
    process = home.program.spawn("reverse", "--source", home.kept, "--into", tmp_path / "aside.db")
    assert process.wait() == 0
    whole = time.monotonic() - begun
    for number in range(20):
        process = home.program.spawn("reverse", "--source", home.kept, "--into", home.into)
        time.sleep(whole * (number + random.random()) / 20)
        process.kill()
        process.communicate()
        if demand_as_before_or_complete(home, before):
            shutil.copy(home.kept, home.into)
            before = digest(home.into)
    end_well(home)


@pytest.mark.parametrize("phase", ["compare", "prove"])
def test_the_server_dies(
    home: Home, tmp_path: Path, phase: str, postgres_container: PostgresContainer
) -> None:
    before, events = digest(home.into), tmp_path / "events"
    words = ("reverse", "--source", home.kept, "--into", home.into, "--events", events)
    process = home.program.spawn(*words)
    assert wait_for(process, events, phase)
    postgres_container.kill()
    out, _ = process.communicate(timeout=60)
    postgres_container.start()
    if process.returncode == 0:  # it was faster
        pytest.skip("the phase was over")
    assert process.returncode == 1 and "Traceback" not in out, out
    assert "the connection to PostgreSQL was lost" in out and "nothing was changed" in out
    assert digest(home.into) == before
    home.demand_clean()
    end_well(home)


def test_two_at_once(home: Home, admin: psycopg.Connection) -> None:
    from migrate_db.postgresql.target import _LOCK

    with psycopg.connect(home.program.url) as other:
        other.execute(f"SELECT pg_advisory_lock({_LOCK})")
        done = home.program("reverse", home.kept, "--into", home.into)
        assert done.code == 4 and "another run" in done.error
        assert home.program("open", None).code == 4


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "small", place], check=False
        ).returncode
    ):
        pytest.skip("this machine can't mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("full", ["into", "work"])
def test_the_disk_is_full(home: Home, small: Path, full: str) -> None:
    """There is room for the copy, and not for what grows."""
    size = home.kept.stat().st_size
    home.program("open", None)
    home.write("UPDATE exercises SET hint = repeat('x', 2000)")
    if full == "into":
        home.into = Path(shutil.copy(home.into, small / "brainer.db"))
    else:
        home.program = Program(small, home.program.url)
    (small / "filler").write_bytes(bytes(shutil.disk_usage(small).free - size - (1 << 16)))
    refused = home.refused(beside="filler")
    assert "the file can't be written" in refused.error, refused.out
    assert str(small) in refused.error and "nothing was changed" in refused.error
    (small / "filler").unlink()
    (small / "filler").write_bytes(bytes(shutil.disk_usage(small).free - size // 2))
    if full == "into":
        refused = home.refused(beside="filler")
        assert "no room for the file" in refused.error


def test_not_closed(home: Home) -> None:
    assert home.program("open", None).code == 0
    before = digest(home.into)
    refused = home.program("reverse", home.kept, "--into", home.into)
    assert refused.code == 1 and "migrate_db close" in refused.error
    assert digest(home.into) == before
    look = home.program("reverse", home.kept, "--check-only")
    assert (look.code, look.verdict) == (0, "reversible")
    assert look.report["reversal"]["tables"][-1] == {
        "table": "exercises", "added": 0, "changed": 4000, "removed": 4000, "unchanged": 4000,
    }  # fmt: skip
    home.demand_clean()


def test_another_kept_file(home: Home) -> None:
    other = home.kept.with_name("other.db")
    shutil.copy(home.kept, other)
    other.chmod(0o600)
    sqlite(other, "UPDATE exercises SET points = 77 WHERE id = 3")
    before = digest(home.into)
    refused = home.program("reverse", other, "--into", home.into)
    assert refused.code == 1 and "not the one that was proved" in refused.error
    assert digest(home.kept) in refused.error and digest(other) in refused.error
    assert digest(home.into) == before
    words = ("--into", home.into, "--expect-sha256", digest(other).upper())
    assert home.program("reverse", other, *words).verdict == "reversed"
    assert home.program.verify(home.into).verdict == "equal"


def test_what_is_no_kept_file(home: Home, tmp_path: Path, admin_url: str) -> None:
    before = digest(home.into)
    (tmp_path / "garbage").write_bytes(b"x" * 5000)
    cases = [
        (tmp_path / "none.db", home.into, "does not exist"),
        (tmp_path / "garbage", home.into, "not a SQLite database"),
        (home.kept, home.kept, "--into is the kept file itself"),
        (home.kept, tmp_path, "--into is no file"),
        (home.kept, tmp_path / "none" / "x.db", "with --into"),
    ]
    for source, into, says in cases:
        refused = home.program("reverse", source, "--into", into)
        assert refused.code in (1, 2) and says in refused.error, refused.out
    wal = home.kept.with_name(home.kept.name + "-wal")
    wal.write_bytes(b"x")
    assert "is in use" in home.program("reverse", home.kept, "--into", home.into).error
    wal.unlink()
    assert home.program("reverse", home.kept).code == 2
    never = home.program("reverse", home.kept, "--into", home.into, url=admin_url)
    assert "nothing was migrated" in never.error
    assert digest(home.into) == before
    home.demand_clean()


def test_the_new_file_is_like_the_old_one(home: Home) -> None:
    """Mode, owner and WAL mode; a -wal that a crash left is not read into it."""
    copy = home.into.with_name("crashed.db")
    writer = sqlite3.connect(home.into)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE exercises SET question = 'in the wal'")
    writer.commit()
    for end in ("", "-wal"):
        shutil.copy(home.into.with_name(home.into.name + end), copy.with_name(copy.name + end))
    writer.close()
    home.into = copy
    copy.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(copy, 1234, 4321)
    home.returned()
    status = copy.stat()
    assert status.st_mode & 0o777 == 0o640
    assert os.geteuid() or (status.st_uid, status.st_gid) == (1234, 4321)
    assert fetch(copy, "PRAGMA journal_mode") == [("wal",)]
    assert fetch(copy, "SELECT count(*) FROM exercises WHERE question = 'in the wal'") == [(0,)]
    assert home.program.verify(copy).verdict == "equal"


def test_the_file_that_is_replaced_is_in_use(home: Home) -> None:
    before = digest(home.into)
    with sqlite3.connect(home.into) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE exercises SET points = 1")
        refused = home.program("reverse", home.kept, "--into", home.into)
        assert refused.code == 1 and "somebody is using the file" in refused.error
        writer.rollback()
    assert digest(home.into) == before
    home.demand_clean()


@pytest.mark.parametrize("there", ["nothing", "garbage", "empty", "a link", "a -wal alone"])
def test_what_is_there_already(home: Home, there: str) -> None:
    home.into = home.into.with_name("new.db")
    if there == "garbage":
        home.into.write_bytes(b"x" * 9000)
        home.into.with_name("new.db-wal").write_bytes(b"y" * 9000)
    elif there == "empty":
        home.into.touch()
    elif there == "a link":
        shutil.copy(home.kept, home.into.with_name("real.db"))
        home.into.symlink_to("real.db")
    elif there == "a -wal alone":
        shutil.copy(home.kept, home.into.with_name("new.db-wal"))
    home.returned()
    assert home.program.verify(home.into).verdict == "equal"
    assert fetch(home.into, "SELECT count(*) FROM exercises") == [(8000,)]
    assert home.into.is_symlink() == (there == "a link")


def test_a_value_that_a_sample_does_not_show(program: Program, tmp_path: Path) -> None:
    """Forms that only the middle of a large table has: nothing there is written anew."""
    source = tmp_path / "t.db"
    rows = [
        (n, "2024-01-02T03:04:05" if n == 15_000 else "2024-01-02 03:04:05") for n in range(30_000)
    ]
    sqlite(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)",
           ("INSERT INTO t VALUES (?, ?)", rows))  # fmt: skip
    home = Home(program, source)
    home.write("UPDATE t SET at = '2025-01-01 00:00:00' WHERE id = 9",
               "ALTER TABLE t ADD COLUMN f interval", "CREATE TABLE u (id int, CHECK (id > 0))")  # fmt: skip
    done = home.returned()
    told = done.report["reversal"]
    assert told["tables"][0]["changed"] == 1
    assert (told["added_tables"], told["added_columns"]) == (["u"], ["t.f"])
    assert done.report["notes"] == [
        "u: new on PostgreSQL, and not in the file: CHECK ((id > 0))",
        "t.f: interval becomes a text, as PostgreSQL writes it",
    ]
    assert ask(program.url, "SELECT count(*) FROM t WHERE id = 15000") == [(1,)]
    assert fetch(home.into, "SELECT at FROM t WHERE id IN (9, 15000) ORDER BY id") == [
        ("2025-01-01 00:00:00",), ("2024-01-02T03:04:05",),
    ]  # fmt: skip
