"""A private directory for the snapshot, gone when the run is."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrate_db.errors import MigrationError

#: Seconds in which a working directory may be without its lock.
_NEWBORN = 60.0


@contextmanager
def workspace(parent: Path, option: str = "--work-dir") -> Iterator[Path]:
    """A private directory; what killed runs left is removed, what live ones use is not.

    Args:
        option: which the user may change.
    """
    try:
        for old in parent.glob("migrate_db-*"):
            _remove_if_dead(old)
        directory = Path(tempfile.mkdtemp(prefix="migrate_db-", dir=parent))
        held = _lock(directory)
    except OSError as error:
        raise MigrationError(
            f"the working directory can't be used: {error.strerror}",
            where=str(parent),
            next=f"see that it exists and may be written, or pass another one with {option}",
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


def _remove_if_dead(directory: Path) -> None:
    """Everybody may write to /var/tmp: only a directory of our own is touched."""
    try:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        # a live run made it this very moment, and is about to lock it
        if not (directory / "lock").exists() and time.time() - status.st_mtime < _NEWBORN:
            return
        held = _lock(directory)
    except OSError:
        return
    shutil.rmtree(directory, ignore_errors=True)
    os.close(held)


def _lock(directory: Path) -> int:
    held = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held
