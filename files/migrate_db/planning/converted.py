"""Every value that a wish changes, with what it was and what it becomes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from migrate_db import sql
from migrate_db.finding import Finding
from migrate_db.planning import inspection
from migrate_db.planning.plan import TablePlan

#: Values of one column that are listed; all are counted.
LISTED = 10_000


def columns(
    connection: sqlite3.Connection, plan: TablePlan
) -> Iterator[tuple[str, int, Iterator[Finding]]]:
    """Each column with wishes, how many of its values change, and the first of them."""
    for column in plan.columns:
        stored = sql.name(column.source)
        if column.cell == stored:
            continue
        # SQLite takes '1' and 1 for equal where a column asks for numbers, and 0.0 and -0.0
        sign = f"CASE {stored} WHEN 0.0 THEN m_hex({column.cell}) IS NOT m_hex({stored}) ELSE 0 END"
        changed = (
            f"({column.cell} COLLATE BINARY IS NOT {stored}"
            f" OR typeof({column.cell}) <> typeof({stored}) OR {sign})"
        )
        (count,) = connection.execute(
            f"SELECT count(*) FROM {plan.relation} WHERE {changed}"
        ).fetchone()
        if count:
            listing = inspection.changes(
                connection, plan.table, plan.relation, column.source, column.cell, changed, LISTED
            )
            yield column.source, int(count), listing
