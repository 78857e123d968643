"""Back to any moment: from a base backup and the changes that were received since, or a refusal that says how far."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..postgres import PostgresContainer
from .program import Program, Result, ask

_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "max_slot_wal_keep_size=32MB",
    "max_wal_size=64MB",
)


class PointInTime(Program):
    """``db_backup`` with a directory for changes, on a server of its own."""

    def words(self, command: str, *words: object, **changed: str) -> list[str]:
        return super().words(command, *words, wal_dir=str(self.directory.parent / "wal"), **changed)

    @property
    def wal(self) -> Path:
        return self.directory.parent / "wal"

    def noted(self) -> dict[str, Any]:
        file = self.directory / ".db_backup" / "wal.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def has_received(self, moment: str) -> bool:
        """Whether everything up to a moment, as ``insert`` gives it, was there at a later look."""
        return str(self.noted().get("all", "")) > moment.replace(" ", "T")[:19] + "Z"

    @contextmanager
    def receiver(self, **changed: str) -> Iterator[subprocess.Popen[str]]:
        before = self.noted().get("at")
        process = self.spawn("receive", **changed)
        try:
            wait(lambda: self.noted().get("at") != before or process.poll() is not None)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=30)

    def limits(self) -> dict[str, dict[str, Any]]:
        return {limit["name"]: limit for limit in self("status").report["limits"]}


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def error(result: Result) -> str:
    return result.error + result.text


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresContainer]:
    container = PostgresContainer(_SETTINGS)
    try:
        container.run()
        yield container
    finally:
        container.remove()


@pytest.fixture
def program(server: PostgresContainer, tmp_path: Path) -> Iterator[PointInTime]:
    ask(server.url, "CREATE DATABASE app")
    found = PointInTime(tmp_path / "sets", server.url.rpartition("/")[0] + "/app", server.name)
    ask(
        found.url,
        "CREATE TABLE seen (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())",
    )
    yield found
    for path in tmp_path.glob("wal/recovering"):
        pytest.fail(f"{path} was left")
    assert found("receive", "--stop").code == 0
    ask(server.url, "DROP DATABASE app WITH (FORCE)")


def insert(program: Program, number: int) -> str:
    """A row, and the moment after it."""
    ask(program.url, f"INSERT INTO seen VALUES ({number})")
    time.sleep(0.2)
    ((moment,),) = ask(
        program.url, "SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text || '+00:00'"
    )
    time.sleep(0.2)
    return str(moment)


def rows(program: Program) -> list[int]:
    return [row[0] for row in ask(program.url, "SELECT id FROM seen ORDER BY id")]


def test_every_moment_since_the_base_backup(program: PointInTime) -> None:
    early = insert(program, 1)
    with program.receiver():
        base = program("base")
        assert base.code == 0, error(base)
        first = insert(program, 2)
        # a segment that is finished, and made small
        ask(
            program.url,
            "CREATE TABLE big AS SELECT repeat(md5(g::text), 30) t FROM generate_series(1, 20000) g",
        )
        second = insert(program, 3)
        ask(program.url, "DROP TABLE seen")
        ask(program.url, "DROP TABLE big")
        wait(lambda: list(program.wal.glob("wal/*.gz")))

        refused = program("restore", "--at", second)
        ask(program.url, "CREATE TABLE other (id int)")
        assert refused.code == 0, "an empty database is restored into: " + error(refused)
        assert rows(program) == [1, 2, 3], "the last moment"
        refused = program("restore", "--at", first)
        assert refused.code == 1 and f'--at "{first}" --replace' in refused.error
        done = program("restore", "--at", first, "--replace")
        assert done.code == 0, error(done)
        assert rows(program) == [1, 2]
        limits = program.limits()
        assert limits["changes"]["ok"] and limits["base backup"]["ok"], limits

        # nobody has written since: there is no later commit to stop at
        now = insert(program, 9)
        done = program("restore", "--at", now, "--replace")
        assert done.code == 0 and rows(program) == [1, 2, 9], error(done)

    for moment, said in (
        (early, "no way back to"),
        ("3000-01-01T00:00", "not come yet"),
        ("soon", "no time"),
    ):
        result = program("restore", "--at", moment, "--replace")
        assert result.code in (1, 2) and said in result.error, result.error
    assert rows(program) == [1, 2, 9]
    assert program("restore", "--undo").code == 0, "the former databases are kept"


def test_a_moment_beside_the_live_database(program: PointInTime, server: PostgresContainer) -> None:
    """What is recovered is the URL's database, whatever the name that it gets."""
    with program.receiver():
        assert program("base").code == 0
        then = insert(program, 1)
        insert(program, 2)
        ask(server.url, "CREATE DATABASE younger")
        try:
            done = program("restore", "--at", then, "--as", "past", timeout="120")
            assert done.code == 0 and done.report["database"] == "past", error(done)
            assert ask(program.database("past"), "SELECT id FROM seen") == [(1,)]
            assert rows(program) == [1, 2], "the live one is as it was"
            early = program("restore", "--at", then, url=program.database("younger"), timeout="120")
            assert early.code == 1 and "there was no database younger" in early.error, error(early)
        finally:
            for name in ("past", "younger"):
                ask(server.url, f"DROP DATABASE IF EXISTS {name}")


def test_a_lost_slot_is_said_and_a_base_backup_begins_anew(program: PointInTime) -> None:
    with program.receiver():
        assert program("base").code == 0
        before = insert(program, 1)
        wait(lambda: program.has_received(before))
    # the receiver is dead, and the server keeps 32 MB for it
    for _ in range(4):
        ask(
            program.url,
            "CREATE TABLE big AS SELECT repeat(md5(g::text), 40) t FROM generate_series(1, 20000) g",
        )
        ask(program.url, "DROP TABLE big; SELECT pg_switch_wal(); CHECKPOINT")
    ((state,),) = ask(program.url, "SELECT wal_status FROM pg_replication_slots")
    assert state == "lost"
    with program.receiver():
        lost = insert(program, 2)  # received, but what lies before it was not
        limit = program.limits()["base backup"]
        assert not limit["ok"] and "are lost: db_backup base" in limit["text"]
        assert program("base").code == 0
        assert program.limits()["base backup"]["ok"]
        wait(lambda: program.has_received(lost))
        result = program("restore", "--at", lost, "--replace")
        assert result.code == 1 and "do not reach" in result.error, error(result)
        assert rows(program) == [1, 2], "untouched"
        result = program("restore", "--at", before, "--replace")
        assert result.code == 0 and rows(program) == [1], error(result) + str(program.noted())
        for path in program.wal.glob("wal/before/*"):
            path.unlink()
        result = program("restore", "--at", before, "--replace")
        assert result.code == 1 and "can't be replayed" in result.error, error(result)
        assert rows(program) == [1], "untouched"


def test_what_is_missing_or_full(program: PointInTime) -> None:
    assert not program.limits()["changes"]["ok"] and not program.limits()["base backup"]["ok"]
    assert (
        "there is no base backup"
        in program("restore", "--at", "2026-01-01T00:00", "--replace").error
    )
    with program.receiver(wal_max_mb="1") as process:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1 and "MiB of 1" in out
    with program.receiver(floor_mb="100000000") as process:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1 and "too full" in out
    ask(program.url, "INSERT INTO seen VALUES (1)")
    # what is over the limit goes with the base backups that begin before it, but for the last
    assert program("base").code == 0
    night = program("nightly")
    assert night.code == 0 and "base" not in night.report, "the changes cover the days between"
    ask(program.url, "SELECT pg_switch_wal()")
    result = program("base", wal_max_mb="1")
    assert result.code == 0 and len(result.report["bases_removed"]) == 1, result.report
    kept = sorted(path.name for path in program.wal.glob("base/*"))
    assert kept == [result.report["base"]]
    result = program("base", floor_mb="100000000")
    assert result.code == 1 and "too full" in result.error
    assert sorted(path.name for path in program.wal.glob("base/*")) == kept
