"""Ctrl-C, SIGTERM and a lost terminal, at any moment: the program ends, says so, and left nothing behind."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from migrate_db import cli
from migrate_db.postgresql import sessions
from migrate_db.sqlite import functions
from sample_data import fill

from .program import Program, Result, ask, image

#: Seconds after which a run that was interrupted hangs.
PATIENCE = 20
#: Called for each call and return that Python makes.
When = Callable[[FrameType, str, Any], bool]


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    """Neither waits for itself for ever, nor leaves its handlers to the next test."""

    def hangs(number: int, frame: object) -> None:
        raise TimeoutError("the program waits for itself")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what is in the background
    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(when: When, run: Callable[[], Result]) -> Result:
    """Let a signal come at the first moment of that sort."""
    seen = False

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        if when(frame, event, argument):
            sys.setprofile(None)
            seen = True
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(watch)
    try:
        result = run()
    finally:
        sys.setprofile(None)
    assert seen, "there was no such moment"
    return result


def demand_nothing_left(program: Program, result: Result) -> None:
    assert result.code == 1, result.out
    assert result.error == "error: interrupted; nothing was changed\nnext:  run it again"
    assert image(program.url)["objects"] == []
    assert list(program.work.iterdir()) == []


def a_copy_begins(frame: FrameType, event: str, argument: Any) -> bool:
    """psycopg has taken its lock, and nobody has what would give it back."""
    generator = getattr(frame.f_locals.get("self"), "gen", None)
    code = getattr(generator, "gi_code", None)
    return event == "c_return" and argument is next and code is not None and code.co_name == "copy"


def a_savepoint_ends(frame: FrameType, event: str, argument: Any) -> bool:
    """An inner transaction is half out of psycopg's books."""
    if event != "call" or frame.f_code.co_name != "_commit_gen":
        return False
    return bool(frame.f_locals["self"].savepoint_name)


def a_function_of_ours_is_asked(frame: FrameType, event: str, argument: Any) -> bool:
    """SQLite takes what is raised there for an error."""
    return event == "call" and frame.f_code.co_filename == functions.__file__


@pytest.mark.parametrize("when", [a_copy_begins, a_savepoint_ends, a_function_of_ours_is_asked])
def test_where_an_exception_would_break_things(program: Program, brainer: Path, when: When) -> None:
    demand_nothing_left(program, interrupted(when, lambda: program.run(brainer)))


def test_anywhere(program: Program, brainer: Path) -> None:
    """At some moments out of a hundred thousand, others each time this file is changed."""
    count = wanted = 0

    def reached(frame: FrameType, event: str, argument: Any) -> bool:
        nonlocal count
        count += 1
        return count == wanted

    def run() -> Result:
        return program.run(brainer, "--rehearse")

    run()  # imports, once for all
    with pytest.raises(AssertionError, match="no such moment"):
        interrupted(reached, run)
    whole, chance = count, random.Random(Path(__file__).read_text())
    for moment in chance.sample(range(whole // 50, whole * 4 // 5), 12):
        count, wanted = 0, moment
        signal.alarm(PATIENCE)
        demand_nothing_left(program, interrupted(reached, run))


def test_after_the_commit(program: Program, brainer: Path) -> None:
    def it_is_told(frame: FrameType, event: str, argument: Any) -> bool:
        return frame.f_code is cli._write.__code__

    result = interrupted(it_is_told, lambda: program.run(brainer))
    assert (result.code, result.verdict) == (0, "migrated")
    assert program.run(brainer).verdict == "already migrated"


def test_during_the_commit(program: Program, brainer: Path) -> None:
    """Nobody knows whether it arrived, and that is what is said."""

    begun = False

    def it_commits(frame: FrameType, event: str, argument: Any) -> bool:
        nonlocal begun
        begun |= frame.f_code.co_name == "record_load"
        outer = event == "call" and frame.f_code.co_name == "_commit_gen"
        return begun and outer and not frame.f_locals["self"].savepoint_name

    result = interrupted(it_commits, lambda: program.run(brainer))
    assert result.code == 5 and "interrupted" in result.error, result.out
    assert program.run(brainer).code == 0


def test_while_a_dump_is_made(program: Program, brainer: Path, tmp_path: Path) -> None:
    ask(program.url, "CREATE TABLE courses (id int PRIMARY KEY, title text NOT NULL)")
    ask(program.url, "INSERT INTO courses VALUES (1, 'the only copy')")
    before, kept = image(program.url), tmp_path / "kept"
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\necho half of a dump\nexec sleep 60\n")
    slow.chmod(0o755)

    def it_is_waited_for(frame: FrameType, event: str, argument: Any) -> bool:
        return frame.f_code is subprocess.Popen.communicate.__code__

    mapping = tmp_path / "mapping.yml"
    words = ["--replace", "--keep-dump", kept, "--server-tools", slow, "--mapping", mapping]
    program("plan", brainer, "--write-mapping", mapping)
    result = interrupted(it_is_waited_for, lambda: program.run(brainer, *words))
    assert result.code == 1 and "interrupted; nothing was changed" in result.error, result.out
    assert image(program.url) == before and list(kept.iterdir()) == []


def test_while_the_app_is_kept_from_writing(program: Program, brainer: Path) -> None:
    """The role is read-only already."""
    assert program.run(brainer).code == 0

    def sessions_are_ended(frame: FrameType, event: str, argument: Any) -> bool:
        return frame.f_code is sessions.end_writing.__code__

    result = interrupted(sessions_are_ended, lambda: program("close", None))
    assert result.code == 5 and "it may have happened, or not" in result.error, result.out
    again = program("close", None)
    assert (again.code, again.verdict) == (0, "closed")


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGINT, "load"), (signal.SIGTERM, "prove")])
def test_a_process_of_its_own(
    program: Program, tmp_path: Path, number: signal.Signals, phase: str
) -> None:
    source, events = tmp_path / "brainer.db", tmp_path / "events"
    fill(source, exercises=8000, seed=1)
    process = program.spawn("run", "--source", source, "--events", events)
    while not events.exists() or f'"{phase}"' not in events.read_text():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, out
    assert "interrupted; nothing was changed" in out and "Traceback" not in out
    assert image(program.url)["objects"] == []
    assert list(program.work.iterdir()) == []
