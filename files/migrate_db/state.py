"""What the target knows about itself: a copy being made ready, or the app's home.

One row in ``migrate_db.state``. Until the app lives on the target, a migration
may bring it up to the source again and again; from then on that would destroy
what the app wrote, and is refused. While *held*, the database is read-only for
every new session of the role that loads, so that there are never two writable sides.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrate_db import sql
from migrate_db.target import Target

#: Seconds that the sessions of the app get to finish what they are reading.
_GRACE = 5.0


@dataclass(frozen=True)
class State:
    """The target's own record; times are UTC, ISO 8601."""

    source: str  #: path of the SQLite file that was loaded
    snapshot_sha256: str
    loaded_at: str
    held: bool  #: read-only until ``open``
    opened_at: str | None  #: since when the app lives here
    mapping: str = ""  #: what the operator wanted, as ``Mapping.as_json`` writes it


def read(target: Target) -> State | None:
    """The record, or None if this program never loaded anything here."""
    if target.value("SELECT to_regclass('migrate_db.state')") is None:
        return None
    row = target.execute(
        # as JSON: a record that an older version made has no mapping
        "SELECT source, snapshot_sha256, loaded_at, held, opened_at,"
        " coalesce(to_jsonb(state) ->> 'mapping', '') FROM migrate_db.state"
    ).fetchone()
    return None if row is None else State(*row)


def record_load(
    target: Target, source: str, sha256: str, held: bool, structure: str, mapping: str
) -> None:
    """Write the record anew, inside the transaction that loads.

    Args:
        structure: see ``structure.as_text``.
        mapping: see ``Mapping.as_json``.
    """
    target.execute("CREATE SCHEMA IF NOT EXISTS migrate_db")
    target.execute(
        "CREATE TABLE IF NOT EXISTS migrate_db.state (source text NOT NULL,"
        " snapshot_sha256 text NOT NULL, loaded_at text NOT NULL, held boolean NOT NULL,"
        " opened_at text)"
    )
    # a record that an older version made has no place for it
    target.execute("ALTER TABLE migrate_db.state ADD COLUMN IF NOT EXISTS structure text")
    target.execute("ALTER TABLE migrate_db.state ADD COLUMN IF NOT EXISTS mapping text")
    was_held = target.value("SELECT bool_or(held) FROM migrate_db.state")
    target.execute("DELETE FROM migrate_db.state")
    target.connection.execute(
        "INSERT INTO migrate_db.state (source, snapshot_sha256, loaded_at, held, structure,"
        " mapping) VALUES (%s, %s,"
        " to_char(timezone('utc', now()), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), %s, %s, %s)",
        (source, sha256, held, structure, mapping),
    )
    if held:
        target.execute(f"{_alter(target)} SET default_transaction_read_only = on")
    elif was_held:
        target.execute(f"{_alter(target)} RESET default_transaction_read_only")


def open_(target: Target) -> bool:
    """Let the app write: it lives here from now on.

    Returns:
        False if it already did.
    """
    state = read(target)
    if state is None or state.opened_at is not None:
        return False
    with target.connection.transaction():
        target.execute(
            "UPDATE migrate_db.state SET held = false, opened_at ="
            " to_char(timezone('utc', now()), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        )
        target.execute(f"{_alter(target)} RESET default_transaction_read_only")
    if state.held:
        _end_read_only_sessions(target)
    return True


def _alter(target: Target) -> str:
    """For the role that the app uses, too; an administrator is not in the way of anything."""
    return f"ALTER ROLE CURRENT_USER IN DATABASE {sql.name(target.database)}"


def _end_read_only_sessions(target: Target) -> None:
    """Sessions keep the setting they began with; a pool opens new ones (pre-ping)."""
    sessions = (
        " FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
        " AND pid <> pg_backend_pid() AND backend_start < (SELECT now())"
    )
    for wait in (True, False):
        idle = "AND state = 'idle'" if wait else ""
        target.execute(f"SELECT pg_terminate_backend(pid){sessions} {idle}")
        if wait and target.value(f"SELECT count(*){sessions}"):
            target.execute(f"SELECT pg_sleep({_GRACE / 10})")
