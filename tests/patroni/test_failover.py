"""A leader is killed: in the middle of a load, and between the proof and the switch."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_data import fill

from .cluster import Cluster, until

FILES = Path(__file__).parents[2] / "files"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


class Program:
    """``python3 -m migrate_db`` as on a laptop, with the cluster in DATABASE_URL."""

    def __init__(self, cluster: Cluster, source: Path) -> None:
        self.cluster, self.source = cluster, source
        self.events = source.parent / "events"

    def start(self, command: str, *words: str) -> subprocess.Popen[str]:
        source = ["--source", str(self.source)] if command == "run" else []
        self.events.unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "migrate_db", command, *source, "--json", "--events", str(self.events), *words],
            env=os.environ | {"PYTHONPATH": str(FILES), "DATABASE_URL": self.cluster.url},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __call__(self, command: str, *words: str) -> dict[str, Any]:
        return self.finish(self.start(command, *words))

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, _ = process.communicate(timeout=200)
        found: dict[str, Any] = json.loads(out)
        assert self.cluster.password not in out
        return found


def change(source: Path) -> None:
    """More than the buffers of a connection hold: what a standby has in these, it still gets."""
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE exercises SET question = hex(randomblob(30000))")


@pytest.mark.slow
def test_a_leader_that_dies_takes_no_proof_along(cluster: Cluster, tmp_path: Path) -> None:
    big, small = tmp_path / "big.db", tmp_path / "brainer.db"
    fill(small, exercises=700, seed=7)
    fill(big, exercises=40_000, seed=7)
    first = cluster.leader()

    # while it loads: all of it is gone, and it says so
    program = Program(cluster, big)
    process = program.start("run", "--hold")
    until(lambda: program.events.exists() and '"load"' in program.events.read_text(), "it loads")
    cluster.kill(first)
    begun = time.monotonic()
    ended = program.finish(process)
    assert (ended["exit_code"], ended["changed"]) == (1, False)
    assert "the connection to PostgreSQL was lost" in "\n".join(ended["error"])
    assert time.monotonic() - begun < 60, "it does not hang on a dead leader"
    second = cluster.leader(other_than=first)
    assert program("status")["verdict"] == "unknown", "nothing of it is left"

    # again, on whoever leads now
    program = Program(cluster, small)
    done = program("run", "--hold")
    assert done["verdict"] == "migrated"
    (third,) = set(cluster.addresses) - {first, second}

    # the last catch-up is proved on a leader whose standby has not heard of it
    until(lambda: cluster.members("streaming") == [third], "the last standby follows")
    with cluster.connect(second) as connection:
        connection.execute("SELECT pg_switch_wal()")
    time.sleep(1)
    cluster.pause(third)
    change(small)
    caught_up = program("run", "--catch-up", "--hold")
    assert caught_up["verdict"] == "caught up"
    cluster.kill(second)
    cluster.resume(third)
    assert cluster.leader(other_than=second) == third

    # it must not pass for what was proved
    refused = program("open")
    assert refused["exit_code"] == 3 and "a failover?" in "\n".join(refused["error"])
    assert program("status")["state"]["held"]

    # compared again, with the server that answers now: the rows that it never had are brought
    again = program("run", "--catch-up", "--hold")
    assert again["verdict"] == "caught up"
    assert program("open")["verdict"] == "opened"
    assert program("status")["verdict"] == "live"
