"""Killed at any moment, by any means: the target is as before or complete, and the re-run works."""

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sample_data import fill

from ..postgres import PostgresContainer
from .program import Program, ask, image, sqlite

PHASES = ["snapshot", "integrity", "plan", "load", "index", "sequences", "prove", "publish"]
COPIED = "SELECT count(*) FROM exercises"


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("larger") / "brainer.db"
    fill(path, exercises=12_000, seed=3)
    return path


def wait_for(process: subprocess.Popen[str], events: Path, phase: str) -> bool:
    """Until the phase has begun; False if the run was faster."""
    while process.poll() is None:
        text = events.read_text() if events.exists() else ""
        told = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        if any(event["phase"] == phase for event in told):
            return True
        time.sleep(0.002)
    return False


def as_before_or_complete(program: Program, before: dict[str, object]) -> str:
    """The server may need a moment to notice that its client is gone."""
    deadline = time.monotonic() + 10
    while ask(
        program.url,
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'migrate_db'"
        " AND datname = current_database()",
    ):
        assert time.monotonic() < deadline, "the killed run's session is still there"
        time.sleep(0.05)
    if image(program.url) == before:
        return "as before"
    assert ask(program.url, COPIED) == [(12_000,)]
    assert ask(program.url, "SELECT count(*) FROM migrate_db.state") == [(1,)]
    return "complete"


def end_well(program: Program, source: Path) -> None:
    """The re-run succeeds and cleans up after the killed one."""
    result = program.run(source)
    assert (result.code, result.verdict in ("migrated", "already migrated")) == (0, True), (
        result.out
    )
    assert list(program.work.iterdir()) == []


@pytest.mark.parametrize("phase", PHASES)
def test_the_program(program: Program, larger: Path, tmp_path: Path, phase: str) -> None:
    before, events = image(program.url), tmp_path / "events"
    process = program.spawn("run", "--source", larger, "--events", events)
    wait_for(process, events, phase)
    process.kill()
    process.communicate()
    state = as_before_or_complete(program, before)
    assert state == "as before" or phase in ("prove", "publish")
    end_well(program, larger)


def test_the_program_while_it_replaces(program: Program, larger: Path, tmp_path: Path) -> None:
    """Rows that were there before are there afterwards."""
    source = Path(tmp_path / "copy.db")
    source.write_bytes(larger.read_bytes())
    program.run(source)
    before = image(program.url)
    sqlite(source, "UPDATE exercises SET question = 'changed'")
    for phase, progress in (("catch up", 0.0), ("catch up", 0.3), ("prove", 0.0)):
        events = tmp_path / "events"
        events.unlink(missing_ok=True)
        process = program.spawn("run", "--catch-up", "--source", source, "--events", events)
        assert wait_for(process, events, phase)
        time.sleep(progress)
        process.kill()
        process.communicate()
        if as_before_or_complete(program, before) == "complete":
            break
    assert program.run(source, "--catch-up").code == 0
    assert program.verify(source).verdict == "equal"


@pytest.mark.parametrize("phase", ["load", "index", "prove"])
def test_the_backend(
    program: Program, larger: Path, tmp_path: Path, admin: psycopg.Connection, phase: str
) -> None:
    before, events = image(program.url), tmp_path / "events"
    process = program.spawn("run", "--source", larger, "--events", events)
    assert wait_for(process, events, phase)
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'migrate_db' AND datname = current_database()"
    )
    out, _ = process.communicate(timeout=30)
    if as_before_or_complete(program, before) == "as before":
        assert process.returncode == 1 and "Traceback" not in out, out
        assert "error: the connection to PostgreSQL was lost" in out, out
        assert "nothing was changed" in out
        assert list(program.work.iterdir()) == []
    end_well(program, larger)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_the_server(
    program: Program,
    larger: Path,
    tmp_path: Path,
    postgres_container: PostgresContainer,
    how: str,
) -> None:
    before, events = image(program.url), tmp_path / "events"
    process = program.spawn("run", "--source", larger, "--events", events)
    assert wait_for(process, events, "load")
    act: Callable[[], None] = getattr(postgres_container, how)
    act()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and "Traceback" not in out, out
    assert "error: " in out and "next: " in out
    down = program.run(larger)
    assert down.code == 1 and "can't connect" in down.error
    postgres_container.start()
    assert as_before_or_complete(program, before) == "as before"
    end_well(program, larger)


def test_the_connection_lost_at_the_commit(
    program: Program, brainer: Path, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can know whether it counted: exit 5, and the next run says."""
    from migrate_db.postgresql import state

    right = state.record_load

    def and_die(target: object, *rest: object) -> None:
        right(target, *rest)  # type: ignore[arg-type]
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'migrate_db' AND datname = current_database()"
        )

    monkeypatch.setattr(state, "record_load", and_die)
    result = program.run(brainer)
    assert result.code in (1, 5) and "next:" in result.error
    monkeypatch.undo()
    assert image(program.url)["objects"] == []
    assert program.run(brainer).code == 0


class Wire:
    """A way to the server that is cut, for good, after so many bytes."""

    def __init__(self, host: str, port: int, length: int) -> None:
        self.place, self.left = (host, port), length
        self.ends: list[socket.socket] = []
        self.door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.door.getsockname()[1])

    def cut(self) -> None:
        self.left = -1
        for end in (self.door, *self.ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.door.accept()
                server = socket.create_connection(self.place)
                self.ends += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 14):
                self.left -= len(block)
                if self.left < 0:
                    break
                target.sendall(block)
            else:
                target.shutdown(socket.SHUT_WR)  # one side is done, the other may go on
                return
        self.cut()


@pytest.mark.parametrize("length", [300, 9_000, 60_000, 900_000, 1_800_000, 3_200_000])
def test_the_connection_is_cut(program: Program, larger: Path, length: int) -> None:
    """At any moment: connecting, planning, loading, proving."""
    before = image(program.url)
    place = urlsplit(program.url)
    wire = Wire(str(place.hostname), int(str(place.port)), length)
    url = program.url.replace(f":{place.port}/", f":{wire.port}/")
    result = program.run(larger, url=url)
    wire.cut()
    if as_before_or_complete(program, before) == "as before":
        assert result.code in (1, 5), result.out
        assert result.error.startswith("error: ") and "next: " in result.error
        assert list(program.work.iterdir()) == []
    end_well(program, larger)


def test_after_the_commit(program: Program, brainer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails then can't be taken back, and isn't called unchanged."""
    from migrate_db import journey
    from migrate_db.postgresql import target

    def elsewhere(url: str, schema: str) -> target.Target:
        return target.connect(url.replace("127.0.0.1", "no-such-host.invalid"), schema)

    monkeypatch.setattr(journey, "connect", elsewhere)
    result = program.run(brainer)
    assert result.code == 5 and result.report["changed"], result.out
    assert "Nothing was changed" not in result.text and "migrate_db verify" in result.error
    monkeypatch.undo()
    assert program.verify(brainer).verdict == "equal"


def test_two_at_once(program: Program, larger: Path, tmp_path: Path) -> None:
    """One works, the other waits a little and then leaves, or finds that all is done."""
    both = [program.spawn("run", "--source", larger) for _ in range(2)]
    outs = [process.communicate(timeout=60)[0] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 4]), outs
    assert ask(program.url, COPIED) == [(12_000,)]
    assert list(program.work.iterdir()) == []


def test_stopped_and_continued(program: Program, brainer: Path, tmp_path: Path) -> None:
    events = tmp_path / "events"
    process = program.spawn("run", "--source", brainer, "--events", events)
    if wait_for(process, events, "load"):
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out
