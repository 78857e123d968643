"""Who else may write to the target: the app's role, its sessions, and roles beside it."""

from __future__ import annotations

import time

from migrate_db import sql
from migrate_db.errors import Exit, MigrationError
from migrate_db.postgresql.target import Target

#: Seconds that the sessions of the app get to finish what they are at.
_GRACE = 5.0
#: Seconds until a session that was told to end must be gone, and between two looks.
_PATIENCE, _STEP = 10.0, 0.1
#: A session may have read its settings before they changed, and be listed only now.
_SECOND_LOOK = 0.5


def demand_own_login(target: Target) -> None:
    """Refuse to hold a role that others log in as under another name: settings go by the name of the login.

    Raises:
        MigrationError: the login acts as another role.
    """
    row = target.execute("SELECT session_user::text, current_user::text").fetchone()
    if row is not None and row[0] != row[1]:
        raise MigrationError(
            f"the login {row[0]} acts as {row[1]}: nothing would keep it from writing",
            where=str(target),
            next=f"connect as {row[1]} itself, which the app does, too; or ALTER ROLE"
            f" {sql.name(row[0])} RESET role; nothing was changed",
        )


def is_read_only(target: Target) -> bool:
    """Whether a session of this login begins read-only; ours, which began just now, has set it otherwise."""
    setting = "SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only'"
    return target.value(setting) == "on"


def others(target: Target) -> list[str]:
    """Roles besides the app's that are connected, each with its number of sessions."""
    rows = target.execute(
        "SELECT usename || ': ' || count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND usename <> {sql.string(app_role(target))} AND pid <> pg_backend_pid()"
        " GROUP BY usename ORDER BY usename"
    ).fetchall()
    return [str(row[0]) for row in rows]


def writers(target: Target) -> list[str]:
    """Roles besides the app's that may log in and write to a table of the schema; no superusers."""
    rows = target.execute(
        "SELECT rolname FROM pg_roles r WHERE rolcanlogin AND NOT rolsuper"
        f" AND rolname <> {sql.string(app_role(target))}"
        " AND has_database_privilege(r.oid, current_database(), 'CONNECT')"
        " AND EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = {sql.string(target.schema)} AND c.relkind IN ('r', 'p')"
        " AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE')) ORDER BY rolname"
    ).fetchall()
    return [str(row[0]) for row in rows]


def end_older(target: Target) -> None:
    """After a load that is held: sessions that began before it could still write."""
    moment = target.value("SELECT clock_timestamp()::text")
    end_writing(target, f"{sql.string(str(moment))}::timestamptz")


def end_read_only(target: Target, before: str) -> None:
    """Sessions keep the setting they began with; a pool opens new ones (pre-ping)."""
    sessions = _sessions(target, f"SELECT {before}")
    for wait in (True, False):
        idle = "AND state = 'idle'" if wait else ""
        target.execute(f"SELECT pg_terminate_backend(pid){sessions} {idle}")
        if wait and target.value(f"SELECT count(*){sessions}"):
            target.execute(f"SELECT pg_sleep({_GRACE / 10})")


def end_writing(target: Target, closed: str) -> bool:
    """End what began before the role was read-only; what is at work gets a moment to finish.

    Args:
        closed: since when it is, in SQL.

    Returns:
        whether there was any.
    """
    # a record that was held from the load on has no such moment; nobody was let in since
    sessions = _sessions(target, f"SELECT coalesce({closed}, clock_timestamp())")
    begun, looked, some = time.monotonic(), 0, False
    while True:
        left = target.execute(f"SELECT pid, application_name, state{sessions}").fetchall()
        waited = time.monotonic() - begun
        if not left:
            looked += 1
            if looked == 2:
                return some
            time.sleep(_SECOND_LOOK)
            continue
        some, looked = True, 0
        if waited > _GRACE + _PATIENCE:
            raise MigrationError(
                f"{len(left)} sessions that may write don't end",
                where=str(target),
                details=[f"pid {pid} {name}: {at}" for pid, name, at in left[:20]],
                next="new sessions are read-only already; run `migrate_db close` again, or"
                " restart the server",
                code=Exit.CHANGED,
            )
        idle = "AND state = 'idle'" if waited < _GRACE else ""
        target.execute(f"SELECT pg_terminate_backend(pid){sessions} {idle}")
        time.sleep(_STEP)


def demand_no_prepared(target: Target) -> None:
    """A transaction that was prepared commits later, whoever may write by then."""
    rows = target.execute(
        "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    ).fetchall()
    if rows:
        raise MigrationError(
            f"{len(rows)} prepared transactions may still be committed",
            where=str(target),
            details=[str(row[0]) for row in rows[:20]],
            next="COMMIT PREPARED or ROLLBACK PREPARED each; then run `migrate_db close` again",
            code=Exit.CHANGED,
        )


def _sessions(target: Target, before: str) -> str:
    """As SQL after FROM: other sessions of the app's role that began before a moment."""
    return (
        " FROM pg_stat_activity WHERE datname = current_database()"
        f" AND usename = {sql.string(app_role(target))} AND pid <> pg_backend_pid()"
        # one that began later than now began before somebody set the clock back
        f" AND (backend_start <= ({before}) OR backend_start > clock_timestamp())"
    )


def app_role(target: Target) -> str:
    """The app's role: who loaded, and therefore owns the record."""
    return str(
        target.value(
            "SELECT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE oid = to_regclass('migrate_db.state')"
        )
    )
