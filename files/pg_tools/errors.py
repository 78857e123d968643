"""What can go wrong, as the user meets it: one screen and one exit code."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; the same for every command of the project."""

    DONE = 0  #: done, or already so
    REFUSED = 1  #: refused or failed, nothing changed
    USAGE = 2  #: the command line is wrong
    DIFFERENT = 3  #: both sides were read and they differ, or rows were quarantined
    LOCKED = 4  #: another run holds the lock
    CHANGED = 5  #: failed after a change; the message says how to get back


class Failure(Exception):
    """A failure with everything its reader needs.

    Args:
        what: one sentence, what happened.
        where: the file, server or table it happened at.
        next: what to do now, a command if there is one.
        details: further lines, e.g. one per table.
        code: the exit code of the program.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        next: str = "",
        details: list[str] | None = None,
        code: Exit = Exit.REFUSED,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next = next
        self.details = details or []
        self.code = code

    def lines(self) -> list[str]:
        """The message as the user sees it."""
        text = [f"error: {self.what}"]
        if self.where:
            text.append(f"where: {self.where}")
        text += [f"       {line}" for line in self.details]
        if self.next:
            text.append(f"next:  {self.next}")
        return text
