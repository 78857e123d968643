"""Databases in the shape that well-known apps give them, from ``apps/*.sql``, with typical dirt.

Collations that only the app knows are there while the file is made, and gone when it is read:
as on any machine that doesn't have the app.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

SCRIPTS = Path(__file__).parent / "apps"
_BUILT_IN = {"binary", "nocase", "rtrim"}


def make(directory: Path) -> list[Path]:
    """Make every app's database anew in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    return [one(script, directory) for script in sorted(SCRIPTS.glob("*.sql"))]


def one(script: Path, directory: Path) -> Path:
    """Make one app's database.

    Returns:
        its file, ``NAME.db``.
    """
    path = directory / f"{script.stem}.db"
    path.unlink(missing_ok=True)
    text = script.read_text(encoding="utf-8")
    connection = sqlite3.connect(path)
    try:
        for name in set(re.findall(r"collate (\w+)", text, re.IGNORECASE)):
            if name.lower() not in _BUILT_IN:
                connection.create_collation(name, _folded)
        connection.executescript(text)
    finally:
        connection.close()
    return path


def _folded(one: str, other: str) -> int:
    ours, theirs = one.casefold(), other.casefold()
    return (ours > theirs) - (ours < theirs)
