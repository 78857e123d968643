"""What can go wrong with the program itself; what is wrong with the server is a finding."""

from __future__ import annotations

from pg_tools.errors import Exit, Failure

__all__ = ["DoctorError", "Exit"]


class DoctorError(Failure):
    """The program can't go on, or could not mend."""
