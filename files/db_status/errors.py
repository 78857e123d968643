"""What can go wrong, as the operator meets it."""

from __future__ import annotations

from pg_tools.errors import Exit, Failure

__all__ = ["Exit", "StatusError"]


class StatusError(Failure):
    """The program itself can't go on; what it couldn't look at is part of a report instead."""
