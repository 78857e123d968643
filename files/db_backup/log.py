"""What a run says while it works: to the terminal or the journal, and to the alarm if it fails."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

#: Lines that go with an alarm: what a person needs to see first.
_TAIL = 60


class Log:
    """Lines on stderr, of which the last ones are remembered."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line."""
        self.remember(text)
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def remember(self, text: str) -> None:
        """For an alarm only; the result shows it anyway."""
        self._tail.append(text)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; its line comes when it ended well."""
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 3)
        self.say(f"[{name}] {took:.1f} s")

    @property
    def tail(self) -> str:
        """The last lines, as a text."""
        return "\n".join(self._tail)
