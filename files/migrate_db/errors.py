"""What can go wrong, as the user meets it: one screen and one exit code."""

from __future__ import annotations

from dataclasses import dataclass

from pg_tools.errors import Exit, Failure

__all__ = ["Exit", "MigrationError", "Misassumed", "Untranslated"]


class MigrationError(Failure):
    """A failure of a migration."""


@dataclass(frozen=True)
class Untranslated(Exception):
    """Something of the source that has no certain meaning, or no place, in PostgreSQL."""

    reason: str


class Misassumed(Exception):
    """Large tables have values that a look at some of them did not show; nothing was changed."""
