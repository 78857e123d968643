"""What one look found; what it could not see is part of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Row = dict[str, Any]
Level = Literal["critical", "warning", "hint"]
LEVELS: tuple[Level, ...] = ("critical", "warning", "hint")


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at."""

    what: str
    why: str
    next: str


@dataclass(frozen=True)
class Crossed:
    """A limit that is crossed."""

    name: str
    level: Level
    evidence: str
    next: str


@dataclass
class Seen:
    """One look. Bytes, milliseconds of statements, seconds of ages, rows; a row each as the query names it."""

    at: str
    host: str = ""
    server: Row = field(default_factory=dict)  #: empty: it could not be asked
    down: str = ""  #: the server's words when it lets nobody in
    connections: Row = field(default_factory=dict)
    databases: list[Row] = field(default_factory=list)
    tables: list[Row] = field(default_factory=list)
    indexes: list[Row] = field(default_factory=list)
    statements: list[Row] = field(default_factory=list)
    statements_total: Row = field(default_factory=dict)
    statements_why: str = ""  #: why nothing is known of them
    transactions: list[Row] = field(default_factory=list)
    locks: list[Row] = field(default_factory=list)
    checkpoints: Row = field(default_factory=dict)
    wal: Row = field(default_factory=dict)
    slots: list[Row] = field(default_factory=list)
    replicas: list[Row] = field(default_factory=list)
    backups: list[Row] = field(default_factory=list)  #: as ``db_backup status`` says them
    disks: list[Row] = field(default_factory=list)
    memory: Row = field(default_factory=dict)
    containers: list[Row] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    crossed: list[Crossed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cost_ms: float = 0.0  #: what the questions took, as the client saw it

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return asdict(self)

    @property
    def database(self) -> Row:
        """The database that was asked, of all of them."""
        name = self.server.get("database")
        return next((row for row in self.databases if row["name"] == name), {})

    def of(self, level: Level) -> list[Crossed]:
        """The crossed limits of a level."""
        return [one for one in self.crossed if one.level == level]
