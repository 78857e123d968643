"""Files that only we read, and that are there, whole, after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def private(path: str, flags: int) -> int:
    """An opener for ``open``: mode 0600 from the first byte on."""
    return os.open(path, flags, 0o600)


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, down to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(path: Path, text: str | Iterable[str], mode: int = 0o600) -> None:
    """Write a file, or its pieces, aside; bring it to the disk, then rename it into place.

    A device or a pipe is written to: it is not a name to be given to something else.
    """
    if path.exists() and (not path.is_file() or path.absolute().is_relative_to("/dev")):
        with path.open("w", encoding="utf-8", errors="backslashreplace") as there:
            there.writelines([text] if isinstance(text, str) else text)
        return
    aside = path.with_name(f"{path.name}.partial")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        os.fchmod(file.fileno(), mode)
        file.writelines([text] if isinstance(text, str) else text)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    sync(path.parent)
