"""What PostgreSQL has lost since the load, and what the operator leaves where it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from migrate_db.finding import Finding
from migrate_db.planning import pairing
from migrate_db.planning.plan import Plan
from migrate_db.postgresql.target import Target, TargetTable


class LeftOut:
    """Tables and columns that the operator leaves where they are."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns

    def table(self, name: str) -> bool:
        """Whether a whole table is left out."""
        # itself first: a name may hold what a pattern means otherwise
        return name in self._patterns or any(fnmatchcase(name, p) for p in self._patterns)

    def column(self, table: str, column: str) -> bool:
        """Whether a column is, written ``table.column``."""
        return self.table(f"{table}.{column}")


def leaving_out(names: Iterable[str]) -> str:
    """What a command must be told to leave these tables, or ``table.column``, out."""
    return " ".join(f"--leave-out {shlex.quote(name)}" for name in names)


def dropped(target: Target, found: Plan, existing: dict[str, TargetTable]) -> Iterator[Finding]:
    """Tables and columns of the file that PostgreSQL had at the load and has no more."""
    for table in found.tables:
        name = table.table.name
        if not table.exists:
            yield _gone(name, "", f"table {table.target} is gone on PostgreSQL")
            continue
        pairs, _ = pairing.paired(table.table, table.wish, existing[table.target])
        for column, match in pairs:
            if match is None:
                reason = f"the column is gone on PostgreSQL, or has another name there ({target})"
                yield _gone(name, column.name, reason)


def _gone(table: str, column: str, reason: str) -> Finding:
    place = f"{table}.{column}" if column else table
    return Finding(
        table, "", column, "", reason,
        f"bring it back there, or leave it as it was at the cut-over: {leaving_out([place])}",
        kind="gone",
    )  # fmt: skip
