"""One light sample: what changes over time, and no more than that. About a kilobyte, whatever the database holds."""

from __future__ import annotations

import time

import psycopg

from db_status import host, queries
from db_status.look import at_extension, said_by
from db_status.options import Options
from db_status.seen import Row
from db_status.session import OLDEST, NoEntry, Session, session

#: Tables whose sizes are asked for, and those that are kept: so it costs the same with a thousand.
_ASKED = 40
_KEPT = 12
#: Seconds for all questions; a server that is slower than that is told by the gap.
_TIMEOUT = 10


def take(options: Options) -> Row:
    """Numbers of this moment; counters are as the server counts, rates are made of two samples."""
    body: Row = {}
    disks = host.disks(options.disks)
    body["disks"] = {row["paths"][0]: [row["free"], row["bytes"]] for row in disks}
    memory = host.memory()
    body["memory"] = {key: memory[key] for key in ("available", "bytes", "swap_free", "load")}
    try:
        body["containers"] = {
            row["name"]: {
                key: row[key]
                for key in ("state", "health", "started", "restarts", "oom_kills", "memory")
            }
            for row in host.containers()
        }
    except host.NoEngine:
        body["containers"] = {}
    deadline = time.monotonic() + min(options.timeout, _TIMEOUT)
    try:
        with session(options.url, "", deadline) as open_:
            if open_.major < OLDEST:
                body["down"] = f"PostgreSQL {open_.major} is too old to be asked"
                return body
            _ask(open_, body, options)
            body["cost_ms"] = round(open_.milliseconds, 2)
    except NoEntry as error:
        body["down"] = error.said
    except psycopg.Error as error:
        body["down"] = said_by(error)
    return body


def _ask(open_: Session, body: Row, options: Options) -> None:
    server = open_.row(queries.SERVER)
    body["limit"], body["migration"] = server["usable_connections"], server["migration"]
    found = open_.row(queries.CONNECTIONS)
    body["connections"] = {
        key: found[key] for key in ("used", "active", "idle_in_transaction", "waiting")
    }
    databases = open_.rows(queries.DATABASES)
    body["xid_age"] = max(row["xid_age"] or 0 for row in databases)
    mine = next(row for row in databases if row["name"] == server["database"])
    body["database"] = {
        key: mine[key]
        for key in ("bytes", "xact_commit", "xact_rollback", "blks_hit", "blks_read",
                    "tup_inserted", "tup_updated", "tup_deleted", "temp_bytes", "deadlocks")
    }  # fmt: skip
    body["wal"] = open_.row(queries.WAL)["written"]
    body["oldest"] = round(open_.row(queries.SAMPLE_OLDEST)["seconds"], 1)
    body["dead"] = open_.row(queries.SAMPLE_DEAD)["dead"]
    try:
        tables = open_.rows(queries.SAMPLE_TABLES, {"most": _ASKED})[:_KEPT]
        body["tables"] = {row["name"]: row["bytes"] for row in tables}
    except psycopg.errors.LockNotAvailable:  # somebody was faster than the look at the locks
        pass

    def sums(there: Session, schema: str) -> None:
        body["statements"] = there.row(queries.STATEMENTS_SUM.format(schema=schema))

    at_extension(open_, options, sums)
