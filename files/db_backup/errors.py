"""What can go wrong, as the operator meets it."""

from __future__ import annotations

from pg_tools.errors import Exit, Failure

__all__ = ["BackupError", "Exit"]


class BackupError(Failure):
    """A failure of a backup, a restore, or anything between them."""
