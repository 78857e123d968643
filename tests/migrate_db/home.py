"""An app that lives on PostgreSQL, and its way back."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from .program import Program, Result, ask, fetch


class Home:
    """A file that was migrated and kept, and the app on PostgreSQL since."""

    def __init__(self, program: Program, source: Path, *words: object) -> None:
        self.program, self.source = program, source
        self.kept = source.with_name("kept.db")
        self.into = source.with_name("back.db")
        done = program.run(source, "--hold", "--keep-snapshot", self.kept, *words)
        assert done.code in (0, 3), done.out
        assert program("open", None).verdict == "opened"

    def write(self, *statements: str) -> None:
        """As the app does."""
        ask(self.program.url, ";".join(statements))

    def back(self, *words: object) -> Result:
        """Whatever comes of it."""
        assert self.program("close", None).verdict == "closed"
        return self.program("reverse", self.kept, "--into", self.into, *words)

    def returned(self, *words: object) -> Result:
        """It went well, and left nothing behind."""
        before = self.kept.read_bytes()
        done = self.back(*words)
        assert (done.code, done.verdict) == (0, "reversed"), done.out
        assert self.kept.read_bytes() == before, "the kept file was changed"
        self.demand_clean()
        assert done.report["reversal"]["sha256"] == digest(self.into)
        assert fetch(self.into, "PRAGMA integrity_check") == [("ok",)]
        return done

    def refused(self, *words: object, beside: str = "") -> Result:
        """It was not done, and nothing shows that it was tried.

        Args:
            beside: a file that was in the working directory before.
        """
        there = self.into.read_bytes() if self.into.exists() else None
        done = self.back(*words)
        assert (done.code, done.verdict) == (1, "refused"), done.out
        assert (self.into.read_bytes() if self.into.exists() else None) == there
        self.demand_clean(beside)
        return done

    def demand_clean(self, beside: str = "") -> None:
        """No leftovers, neither where it works nor beside the file."""
        assert [p.name for p in self.program.work.iterdir() if p.name != beside] == []
        assert [
            p.name for p in self.into.parent.iterdir() if p.name.startswith("migrate_db-")
        ] == []


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(path: Path, table: str, key: str = "rowid") -> dict[Any, tuple[Any, ...]]:
    """Every row, each value with its storage class and bytes."""
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    try:
        names = [r[1].decode() for r in connection.execute(f'PRAGMA table_info("{table}")')]
        cells = ", ".join(f'typeof("{name}"), "{name}"' for name in names)
        rows = connection.execute(f'SELECT {key}, {cells} FROM "{table}"').fetchall()
        return {row[0]: row[1:] for row in rows}
    finally:
        connection.close()
