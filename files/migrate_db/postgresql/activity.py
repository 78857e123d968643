"""How much was written to the target since the app lives on it, by the server's own counters.

Nothing is read of the tables: it takes the same moment on any size. The counters are the
server's statistics, so a crash or a reset loses them; then nothing is said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from migrate_db.postgresql.target import Target

_COUNTERS = """
    SELECT relid::text, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables
    WHERE schemaname <> 'migrate_db'
"""
_IDENTITY = """
    SELECT d.oid::text, s.stats_reset::text FROM pg_database d
    JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database()
"""


@dataclass(frozen=True)
class Activity:
    """Rows written since a moment; a row that was changed twice counts twice."""

    since: str  #: UTC, ISO 8601
    inserted: int
    updated: int
    deleted: int


def baseline(target: Target) -> str:
    """What the counters say now, to be kept with the record."""
    return json.dumps(_now(target))


def read(target: Target, since: str | None) -> Activity | None:
    """What was written since ``open``; None if nobody can say.

    Args:
        since: when the app began to live here.
    """
    text = target.value("SELECT to_jsonb(state) ->> 'baseline' FROM migrate_db.state")
    if since is None or text is None:
        return None
    before, now = json.loads(str(text)), _now(target)
    if (before["database"], before["reset"]) != (now["database"], now["reset"]):
        return None
    sums = [0, 0, 0]
    for table, counts in now["tables"].items():
        for kind, count in enumerate(counts):
            written = count - before["tables"].get(table, (0, 0, 0))[kind]
            if written < 0:  # the server lost its counters
                return None
            sums[kind] += written
    return Activity(since, *sums)


def _now(target: Target) -> dict[str, Any]:
    database, reset = target.execute(_IDENTITY).fetchall()[0]
    tables = {row[0]: [int(count) for count in row[1:]] for row in target.execute(_COUNTERS)}
    return {"database": database, "reset": reset, "tables": tables}
