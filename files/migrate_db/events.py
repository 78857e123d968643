"""What a run tells while it runs: phases and progress, to a person and to a machine.

The machine's form is one JSON object a line, appended to a file: a controller
follows it, and it is the journal that is left when a run is killed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import IO

from migrate_db import interruption
from migrate_db.visible import visible

#: Seconds between two progress lines where no terminal draws a bar.
_EVERY = 2.0


@dataclass
class Phase:
    """One station of the way; ``note`` is what it found, in a line."""

    name: str
    started: str  #: UTC, ISO 8601
    seconds: float = 0.0
    note: str = ""


class Screen:
    """Where a person reads; this one shows nothing, for a caller that reads the report or the events."""

    def start(self, phase: str) -> None:
        """A phase begins."""

    def progress(self, phase: str, item: str, done: int, total: int, size: int) -> None:
        """Rows done of all, and bytes."""

    def end(self, phase: Phase) -> None:
        """A phase ended well."""


@dataclass
class Events:
    """The one place that everything is told to."""

    screen: Screen
    journal: IO[str] | None = None
    phases: list[Phase] = field(default_factory=list)
    _current: str = ""
    _last: float = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Announce a phase before it starts and after it ended."""
        interruption.check()
        phase = Phase(name, _now())
        self._current = name
        self._write({"event": "start", "phase": name})
        self.screen.start(name)
        begun = time.monotonic()
        yield phase
        interruption.check()
        phase.seconds = round(time.monotonic() - begun, 3)
        self.phases.append(phase)
        self._write({"event": "end", "phase": name, "seconds": phase.seconds, "note": phase.note})
        self.screen.end(phase)

    def progress(self, item: str, done: int, total: int, size: int) -> None:
        """Tell how far a table is.

        Args:
            item: the table.
            done: rows so far; ``total`` rows in all; ``size`` bytes so far.
        """
        interruption.check()
        self.screen.progress(self._current, item, done, total, size)
        now = time.monotonic()
        if now - self._last >= _EVERY / 2 or done == total:
            self._last = now
            self._write(
                {"event": "progress", "phase": self._current, "item": item}
                | {"done": done, "total": total, "bytes": size}
            )

    def _write(self, event: dict[str, object]) -> None:
        if self.journal is not None:
            self.journal.write(json.dumps({"at": _now(), **event}) + "\n")
            self.journal.flush()


class Plain(Screen):
    """Lines for a log, a pipe or a dumb terminal."""

    def __init__(self, out: IO[str] = sys.stderr) -> None:
        self._out = out
        self._shown = time.monotonic()
        self._rate = Rate()

    def start(self, phase: str) -> None:
        """Nothing: the line comes when there is something to say."""
        self._rate = Rate()

    def progress(self, phase: str, item: str, done: int, total: int, size: int) -> None:
        """A line now and then."""
        if time.monotonic() - self._shown >= _EVERY:
            self._shown = time.monotonic()
            line = self._rate.line(visible(item), done, total, size)
            print(f"[{phase}] {line}", file=self._out)

    def end(self, phase: Phase) -> None:
        """One line per phase."""
        print(_ended(phase), file=self._out)


class Bar(Screen):
    """A progress bar on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("[{task.fields[phase]}] {task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,} rows  {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._item = ""
        self._rate = Rate()

    def start(self, phase: str) -> None:
        """Begin a fresh bar when the first rows arrive."""
        self._rate = Rate()
        self._item = ""

    def progress(self, phase: str, item: str, done: int, total: int, size: int) -> None:
        """Move the bar; one bar per table."""
        if item != self._item:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._bar.start()
            self._item = item
            self._rate = Rate()
            self._task = self._bar.add_task(visible(item), total=total, phase=phase, rate="")
        if self._task is not None:
            self._bar.update(self._task, completed=done, rate=self._rate.speed(done, size))

    def end(self, phase: Phase) -> None:
        """Take the bar away and leave one line."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
            self._bar.stop()
        self._console.print(_ended(phase), markup=False, soft_wrap=True)


class Rate:
    """Rows and bytes per second of one table, and the time it still needs."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._item = ""

    def speed(self, done: int, size: int) -> str:
        """``85,000 rows/s, 29 MB/s``."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        return f"{done / seconds:,.0f} rows/s, {size / seconds / 1e6:,.0f} MB/s"

    def line(self, item: str, done: int, total: int, size: int) -> str:
        """Everything in one line, for a log."""
        if item != self._item:
            self._item, self._begun = item, time.monotonic()
            return f"{item}: {done:,} of {total:,} rows"
        seconds = max(time.monotonic() - self._begun, 1e-3)
        left = seconds * max(total - done, 0) / max(done, 1)
        return f"{item}: {done:,} of {total:,} rows, {self.speed(done, size)}, {left:.0f} s left"


def _ended(phase: Phase) -> str:
    return f"[{phase.name}] {visible(phase.note) or 'done'}  ({phase.seconds:.1f} s)"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
