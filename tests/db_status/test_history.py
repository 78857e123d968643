"""Samples: what one costs the server, and a file that stays small and whole whatever happens to the sampler."""

import contextlib
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from db_status.errors import StatusError
from db_status.history import History
from psycopg.conninfo import make_conninfo

from .program import Program


def test_what_a_sample_costs_the_server(
    program: Program, counted_anew: None, admin: psycopg.Connection
) -> None:
    """With 400 tables in the database; asked of the server itself, of which the fastest of five is told.

    A ten-thousandth of the time between two samples: nobody notices that.
    """
    for hundred in range(4):
        names = (f"t_{hundred}_{number}" for number in range(100))
        admin.execute(
            "".join(f"CREATE TABLE {n} (id int PRIMARY KEY, a text);" for n in names).encode()
        )
    with psycopg.connect(make_conninfo(program.url, dbname="postgres")) as postgres:
        for _ in range(5):
            result = program("sample")
            assert result.code == 0, result.error
        found = postgres.execute(
            "SELECT sum(min_exec_time), count(*), sum(shared_blks_hit + shared_blks_read) / 5"
            " FROM pg_stat_statements JOIN pg_roles r ON r.oid = userid"
            " WHERE rolname = 'monitoring' AND query LIKE '%db_status *%'"
        ).fetchone()
    assert found
    milliseconds, statements, blocks = found
    print(
        f"{milliseconds:.1f} ms, {statements} statements, {blocks:.0f} blocks a sample, 400 tables"
    )
    assert statements <= 14 and milliseconds < 150 and blocks < 8000
    assert len(result.report["sample"]["tables"]) == 12
    assert program.history.stat().st_size / 5 < 16384, (
        "about a kilobyte each, and the file's own pages"
    )


def test_old_samples_go(tmp_path: Path) -> None:
    history = History(tmp_path / "h" / "history.db", 20)
    with history.alone():
        pass
    for number in range(100):
        history.add({"filler": "x" * 900, "number": number}, 1_700_000_000 + number * 300)
    found = history.samples()
    assert [one.body["number"] for one in found] == list(range(80, 100))
    path = tmp_path / "h" / "history.db"
    assert path.stat().st_size < 20 * 900 * 3
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.body["number"] for one in history.samples(found[-2].at)] == [98, 99]


@pytest.mark.parametrize(
    "garbage", [b"not a database at all " * 400, b"SQLite format 3\0" + b"\xff" * 9000, b""]
)
def test_garbage_is_put_aside(program: Program, garbage: bytes) -> None:
    """The report says that it can't read it; the next sample begins a new one, and keeps the old."""
    program.history.write_bytes(garbage)
    result = program("report")
    assert result.code == 0 and result.report["samples"] == 0
    assert bool(garbage) == bool(result.report["notes"]), "an empty file is only young"
    sampled = program("sample")
    assert sampled.code == 0, sampled.error
    aside = [Path(path) for path in program.history.parent.glob("*.broken-*")]
    assert [path.read_bytes() for path in aside] == ([garbage] if garbage else [])
    assert ("kept as" in sampled.text) == bool(garbage)
    assert program("report").report["samples"] == 1


def test_a_database_of_somebody_else_is_left_alone(program: Program) -> None:
    """--history names the app's own SQLite file, by mistake."""
    with contextlib.closing(sqlite3.connect(program.history)) as theirs, theirs:
        theirs.execute("CREATE TABLE courses (id INTEGER PRIMARY KEY)")
    before = program.history.read_bytes()
    result = program("sample")
    assert result.code == 1 and "another program" in result.error
    assert program.history.read_bytes() == before


def test_two_at_once(program: Program) -> None:
    processes = [program.spawn("sample") for _ in range(4)]
    codes = sorted(process.wait() for process in processes)
    assert codes[0] == 0 and set(codes) <= {0, 4}
    with History(program.history, 9).alone():
        assert program("sample").code == 4
    assert program("sample").code == 0


def test_killed(program: Program) -> None:
    """At any moment of its short life: what was there is there, and the next one works."""
    program("sample")
    for delay in (0.05, 0.15, 0.25, 0.3, 0.35, 0.4):
        process = program.spawn("sample")
        time.sleep(delay)
        process.kill()
        process.wait()
    result = program("sample")
    assert result.code == 0 and "aside" not in result.report
    assert 2 <= len(History(program.history, 99).samples()) <= 8


def test_a_full_disk(program: Program, tmp_path: Path) -> None:
    """The sampler says so, and the samples that are there stay; the report works as ever."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=True)
    try:
        history = History(small / "history.db", 4000)
        with pytest.raises(StatusError, match="full"):
            for number in range(200):
                history.add({"filler": "x" * 900}, 1_700_000_000 + number)
        kept = len(history.samples())
        assert kept > 10
        result = program("sample", history=small / "history.db")
        assert result.code == 1 and "df -h" in result.error
        assert program("report", history=small / "history.db").report["samples"] == kept
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_clock_and_lines_that_make_no_sense(program: Program) -> None:
    """Values of any kind in the file: the page leaves them out."""
    with History(program.history, 99).alone():
        pass
    history = History(program.history, 99)
    history.add(
        {"limit": "many", "disks": 3, "connections": [1], "tables": {"a": "b"}, "wal": True}, -5
    )
    history.add({"database": {"xact_commit": "1"}, "containers": 7, "down": None}, 1_700_000_000)
    with contextlib.closing(sqlite3.connect(program.history)) as file, file:
        file.execute("INSERT INTO sample VALUES (1 << 40, '{}'), (7, 'no JSON'), (8, '[]')")
    result = program("report", "--with-page")
    assert result.code == 0 and result.report["samples"] == 1, result.error
    assert program("sample").code == 0
    with contextlib.closing(sqlite3.connect(program.history)) as file:
        (latest,) = file.execute("SELECT max(at) FROM sample").fetchone()
    assert latest < time.time() + 5, "the clock is right again, and the file holds no future"
