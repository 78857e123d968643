"""Ctrl-C, SIGTERM and a lost terminal: noted at once, raised where nothing breaks by it.

An exception that falls anywhere into Python falls between a lock and the statement that would give
it back, or into a callback that takes it for something else: psycopg holds a lock all through a
COPY, and the program would wait for itself.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable

#: Seconds in which several signals are one.
_BURST = 1.0
#: Steps of SQLite's between two looks, some hundredths of a second.
_STEPS = 1_000_000


class _Heard:
    """What this process was told; signals are the process's, so there is one."""

    def __init__(self) -> None:
        self.ever = False
        self.pending = False  #: nobody has raised it yet
        self.welcome = False  #: it is raised at once
        self.last = -_BURST

    def note(self, number: int, frame: object) -> None:
        """The signal handler."""
        again = time.monotonic() - self.last < _BURST  # while the first one is being told
        insisted = self.pending and not again
        self.last = time.monotonic()
        self.ever = True
        self.pending = self.pending or not again
        if insisted or self.welcome:
            self.check()

    def check(self) -> None:
        if self.pending:
            self.pending = self.welcome = False
            raise KeyboardInterrupt


_heard = _Heard()


def listen() -> None:
    """Take signals from here on."""
    global _heard
    _heard = _Heard()  # not what the command before was told, in a test
    signal.signal(signal.SIGTERM, _heard.note)
    # what was started in the background, or by nohup, is not to hear of these
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _heard.note)


def broke_off(error: BaseException | None) -> bool:
    """Whether an error comes of what ``attend`` does, however it is told."""
    while error is not None:
        if isinstance(error, sqlite3.Error):
            return _heard.ever
        error = error.__context__
    return False


def check() -> None:
    """Stop here, if somebody wants that.

    Raises:
        KeyboardInterrupt: once for a signal.
    """
    _heard.check()


def forget() -> None:
    """One that came too late to stop anything is not to stop what comes now."""
    _heard.pending = False


class Welcome:
    """Raise a signal at once: around what waits, and leaves nothing half done when it is broken off."""

    def __enter__(self) -> None:
        self._before, _heard.welcome = _heard.welcome, True
        check()

    def __exit__(self, *_: object) -> None:
        _heard.welcome = self._before


def attend(connection: sqlite3.Connection, also: Callable[[], bool] = lambda: False) -> None:
    """Let SQLite break off what takes long; it says "interrupted" then.

    Args:
        also: another reason to.
    """
    connection.set_progress_handler(lambda: _heard.ever or also(), _STEPS)
