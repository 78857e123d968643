"""How the rows of a table are read from the snapshot: which ones, and which value of each cell.

Everything that reads rows to carry or to compare them goes through here, so
that a row that is left out and a value that is converted look the same to the
scan, the load and the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.sqlite.schema import Table


@dataclass(frozen=True)
class Reading:
    """The rows of one table that are carried, as SQLite's SQL."""

    relation: str  #: what stands after FROM
    cells: dict[str, str] = field(default_factory=dict)  #: expressions of converted columns

    def cell(self, column: str) -> str:
        """The expression whose value is carried; the column itself unless it is converted."""
        return self.cells.get(column, sql.name(column))


def all_rows(table: Table) -> Reading:
    """Every row, every value as it is stored."""
    return Reading(f"main.{sql.name(table.name)}" + (" NOT INDEXED" * table.has_doubtful_index))
