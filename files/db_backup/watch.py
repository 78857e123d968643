"""The limits of a run: its time, and the space on the disk that it must leave alone."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from db_backup.errors import BackupError

_MB = 1024 * 1024


@dataclass
class Watch:
    """Asked again and again while something runs."""

    seconds: float
    directory: Path
    floor: int  #: bytes
    trouble: list[BaseException] = field(default_factory=list)  #: what went wrong in another thread
    _begun: float = field(default_factory=time.monotonic)

    def check(self, need: int = 0) -> None:
        """Is there time, and space for ``need`` more bytes?

        Raises:
            BackupError: a limit is reached.
        """
        if self.trouble:
            raise self.trouble[0]
        if self.left <= 0:
            raise BackupError(
                f"it took longer than {self.seconds:.0f} s",
                next="see what the server is busy with; a higher limit: --timeout SECONDS",
            )
        found = free(self.directory)
        if found < self.floor + need:
            raise BackupError(
                "the disk is too full for a backup",
                where=str(self.directory),
                details=[
                    f"{found // _MB} MiB free, of which {self.floor // _MB} stay free for the database"
                    + (f", and about {max(need // _MB, 1)} MiB are needed" if need else "")
                ],
                next="free some space, or see what could go: db_backup prune --dry-run",
            )

    @property
    def left(self) -> float:
        """Seconds until the run must end."""
        return self._begun + self.seconds - time.monotonic()


def free(directory: Path) -> int:
    """Bytes that may be written on the disk of a directory (or of its first parent that exists)."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
