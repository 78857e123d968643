"""Keys of rows that are there, by which a reference to any other is cut (``orphans: null``).

SQLite gathers them anew for each query that asks, which is each batch of rows, unless an index of the
parent has them as they are compared. So they are written down once, in a file beside the snapshot,
which every connection to the snapshot attaches as ``parents``.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.sqlite import source


@dataclass(frozen=True)
class Keys:
    """What one reference may point at."""

    name: str  #: that no other reference has
    cells: tuple[str, ...]  #: SQL of the key's parts
    relation: str  #: SQL of the parent's rows that are carried, after FROM

    @property
    def rows(self) -> str:
        """SQL that gives them, once they are written down."""
        return f"(SELECT * FROM parents.{sql.name(self.name)})"


def write_down(connection: sqlite3.Connection, keys: Keys) -> None:
    """Write down what is there now, instead of what was."""
    path = source.path_of(connection).with_name("parents.db")
    with suppress(sqlite3.OperationalError):  # it is there
        connection.execute("ATTACH ? AS parents", (source.uri(path, "rwc"),))
    name, parts = sql.name(keys.name), [f"k{n}" for n in range(len(keys.cells))]
    # a column that is made so compares as what it is made of, but for the collation
    cells = ", ".join(f"{cell} AS {part}" for cell, part in zip(keys.cells, parts, strict=True))
    connection.execute(f"DROP TABLE IF EXISTS parents.{name}")
    connection.execute(f"CREATE TABLE parents.{name} AS SELECT {cells} FROM {keys.relation}")
    index = sql.name(f"{keys.name} index")
    connection.execute(f"CREATE INDEX parents.{index} ON {name} ({', '.join(parts)})")
    connection.commit()  # others attach it
