"""Bring a set back: beside the live database, proved, and only then in its place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from db_backup import damage, digest, manifest, plain, roles, server, store
from db_backup.errors import BackupError, Exit
from db_backup.manifest import GLOBALS, Manifest
from db_backup.plain import Plain
from db_backup.run import Run
from db_backup.store import Set
from db_backup.watch import free

#: A database that is being restored; one that a restore put away; one that an undo put away.
_ASIDE, _KEPT, _UNDONE = "__restoring_", "__before_", "__undone_"
#: Key of the advisory lock: one restore a server, from whatever directory of sets.
_LOCK = 0x6462_6261_636B_7570
_NAME_BYTES = 63
#: Characters of a moment in a name.
_STAMP = 16
#: The server itself waits five seconds for sessions to go.
_TRIES = 6


@dataclass
class Restored:
    """What a restore did."""

    set: str
    database: str
    roles_made: list[str] = field(default_factory=list)
    kept: str = ""  #: the name under which the former database is kept; empty if there was none
    tables: int = 0
    rows: int = 0


def restore(run: Run, chosen: Set, *, replace: bool, jobs: int) -> Restored:
    """Restore a set as the database of the URL. The lock is held by the caller.

    Args:
        replace: the live database holds something, and may be put away.

    Raises:
        BackupError: the live database is as it was.
    """
    with run.log.step("checksums"):
        problems = damage.check(run, chosen)
        if problems:
            raise store.damaged(chosen, problems)
    found = chosen.needed()
    name = run.database
    with _administration(run) as connection:
        server.demand_rights(connection, name)
        same_or_newer(connection, found)
        live = _exists(connection, name)
        if live:
            _demand_reason(run, name, found, replace)
        done = Restored(
            chosen.name, name, tables=len(found.contents.tables), rows=found.contents.rows
        )
        done.roles_made = roles.make_missing(connection, chosen.path / GLOBALS)
        if done.roles_made:
            run.log.say(f"[roles] made {', '.join(done.roles_made)}")
        demand_room(run, found)
        for left in _named(connection, name, _ASIDE, r"[0-9a-f]{8}"):
            _drop(run, connection, left)
        aside = _short(name, _ASIDE + run.id)
        try:
            with run.log.step("restore"):
                server.create(connection, aside, found.database)
                run.tools.restore(chosen.dump, run.conninfo(aside), jobs, run.watch)
            prove(run, aside, found)
            server.admit(connection, aside, found.database)
            if live:
                done.kept = _short(name, _KEPT + manifest.stamp(manifest.now()))
            with run.log.step("publish"):
                _swap(connection, run, name, done.kept, aside)
        except BaseException:
            _drop(run, connection, aside)
            raise
    return done


def restore_plain(run: Run, path: Path, *, replace: bool) -> Restored:
    """Restore what ``pg_dump DATABASE > file.sql`` wrote, as the database of the URL. The lock is held by the caller.

    The file has no digests. So it must be whole, load without an error, and every table must have as many rows as the
    file has lines of it.

    Raises:
        BackupError: the live database is as it was.
    """
    with run.log.step("read"):
        found = plain.read(path)
    name = run.database
    with _administration(run) as connection:
        server.demand_rights(connection, name)
        if not _exists(connection, name):
            raise BackupError(
                "a plain dump does not say how its database was made, and there is none",
                where=name,
                next="make it first: CREATE DATABASE, or playbooks/site.yml",
            )
        with run.session(name) as there:
            like, tables = server.describe(there), digest.tables_of(there)
        if tables and not replace:
            raise _would_replace(run, name, tables, str(path))
        demand_free(run, max(like.bytes, 2 * path.stat().st_size))
        for left in _named(connection, name, _ASIDE, r"[0-9a-f]{8}"):
            _drop(run, connection, left)
        aside = _short(name, _ASIDE + run.id)
        try:
            with run.log.step("restore"):
                server.create(connection, aside, like)
                run.tools.load(path, run.conninfo(aside), run.watch)
            done = _counted(run, aside, found, like.owner)
            server.admit(connection, aside, like)
            done.kept = _short(name, _KEPT + manifest.stamp(manifest.now()))
            with run.log.step("publish"):
                _swap(connection, run, name, done.kept, aside)
        except BaseException:
            _drop(run, connection, aside)
            raise
    return done


def _counted(run: Run, database: str, found: Plain, owner: str) -> Restored:
    """Give what nobody owns to the app's role, and count what arrived."""
    wrong = []
    with run.log.step("prove"), run.session(database) as connection:
        # a dump made with --no-owner leaves everything to the superuser, and the app outside
        mine = connection.execute(
            "SELECT format('ALTER %%s %%s OWNER TO %%I', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN"
            " 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass, %s::text)"
            " FROM pg_class c WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND relowner = ("
            "SELECT oid FROM pg_roles WHERE rolname = current_user) AND relnamespace IN (SELECT oid FROM"
            " pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')"
            " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND (d.deptype = 'e' OR"
            " relkind = 'S' AND d.deptype IN ('a', 'i'))"
            " AND d.classid = 'pg_class'::regclass) ORDER BY relkind = 'S'",
            [owner],
        ).fetchall()
        for (statement,) in mine:
            connection.execute(str(statement).encode())
        tables = digest.tables_of(connection)
        if not tables:
            wrong.append("it made no table")
        for table, rows in found.rows.items():
            there = server.value(connection, f"SELECT count(*) FROM ONLY {table}")
            if there != rows:
                wrong.append(f"{table}: {rows} rows in the file, {there} in the database")
        connection.execute("ANALYZE")
    if wrong:
        raise BackupError(
            "what was loaded is not what the file has",
            where=str(found.path),
            details=wrong[:12],
            next="the live database was not touched",
            code=Exit.DIFFERENT,
        )
    if not found.rows:
        run.log.say("[prove] the file has no COPY (made with --inserts?): rows were not counted")
    return Restored(
        str(found.path), run.database, tables=len(tables), rows=sum(found.rows.values())
    )


def prove(run: Run, database: str, found: Manifest) -> None:
    """Compare a restored database with what was in the backup.

    Raises:
        BackupError: it is not the same (exit code 3).
    """
    with run.log.step("prove"), ThreadPoolExecutor(1) as pool:
        # the planner's statistics don't come with a dump; both read all that is there
        analyzed = pool.submit(_analyze, run, database)
        with run.session(database) as connection, run.session(database) as beside:
            wrong = digest.differences(
                found.contents,
                digest.take(connection, beside=beside),
                server.major(connection) == found.server_major,
            )
        analyzed.result()
    if wrong:
        raise BackupError(
            "what was restored is not what was backed up",
            where=found.name,
            details=wrong[:12],
            next="take another set: db_backup list. The live database was not touched",
            code=Exit.DIFFERENT,
        )
    if not found.contents.tables:
        run.log.say("[prove] the set holds no table: nothing was compared")


def _analyze(run: Run, database: str) -> None:
    with run.session(database) as connection:
        connection.execute("ANALYZE")


def holds_tables(run: Run) -> bool:
    """Whether there is a database of that name, and anything in it."""
    with _administration(run) as connection:
        if not _exists(connection, run.database):
            return False
    with run.session() as connection:
        return bool(digest.tables_of(connection))


def demand_empty(run: Run, replace: bool, command: str) -> None:
    """Asked before something takes long: a database that holds tables is replaced on demand only."""
    if not replace and holds_tables(run):
        raise BackupError(
            "the database holds tables",
            where=run.database,
            details=[
                f"It would be put away whole, and can be brought back with: {run.restore} --undo"
            ],
            next=command,
        )


def undo(run: Run) -> tuple[str, str]:
    """Put the former database back in its place.

    Returns:
        the database's name, and the name under which what was restored is kept.
    """
    name = run.database
    with _administration(run) as connection:
        server.demand_rights(connection, name)
        kept = kept_ones(connection, name)
        if not kept:
            raise BackupError(
                "there is nothing to go back to: no restore has put a database away here",
                where=name,
                next="see the databases: psql --list",
            )
        undone = _named(connection, name, _UNDONE)
        if undone and undone[-1][-_STAMP:] > kept[-1][-_STAMP:]:
            raise BackupError(
                "the last restore is undone already; what is left to go back to is of an earlier one",
                where=name,
                details=[f"undone: {undone[-1]}", f"of an earlier restore: {kept[-1]}"],
                next=f"drop both, if nobody needs them: {run.restore} --forget",
            )
        away = (
            _short(name, _UNDONE + manifest.stamp(manifest.now()))
            if _exists(connection, name)
            else ""
        )
        with run.log.step("publish"):
            _swap(connection, run, name, away, kept[-1])
    return name, away


def forget(run: Run) -> list[str]:
    """Drop what restores and undos put away.

    Returns:
        the names of the databases that are gone.
    """
    name = run.database
    with _administration(run) as connection:
        gone = kept_ones(connection, name) + _named(connection, name, _UNDONE)
        for database in gone:
            _drop(run, connection, database)
    return gone


def kept_ones(connection: psycopg.Connection, name: str) -> list[str]:
    """Databases that restores put away, the oldest first."""
    return _named(connection, name, _KEPT)


def _named(
    connection: psycopg.Connection, name: str, sign: str, end: str = r"\d{8}T\d{6}Z"
) -> list[str]:
    length = 8 if sign == _ASIDE else _STAMP
    prefix = _short(name, sign + "0" * length)[:-length]
    rows = connection.execute(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, %s)"
        " AND substr(datname, length(%s) + 1) ~ %s ORDER BY 1",
        [prefix, prefix, f"^{end}$"],
    )
    return [found for (found,) in rows]


@contextmanager
def _administration(run: Run) -> Iterator[psycopg.Connection]:
    """A session beside the databases that are renamed."""
    with run.session("postgres" if run.database != "postgres" else "template1") as connection:
        if not server.value(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
            raise BackupError(
                "another restore is at work on this server",
                next="wait until it is done",
                code=Exit.LOCKED,
            )
        yield connection


def demand_room(run: Run, found: Manifest) -> None:
    """Beside the live database there must be room for another one."""
    demand_free(run, found.database.bytes)


def demand_free(run: Run, need: int) -> None:
    """Room for so many bytes on the server's disk, if that is known."""
    if not run.options.server_disk:
        return
    there = free(Path(run.options.server_disk))
    if there < need + run.options.floor:
        raise BackupError(
            "the server's disk is too small for a second copy of the database",
            where=run.options.server_disk,
            details=[f"{need >> 20} MiB are needed, {there >> 20} MiB are free"],
            next=f"free some space, for instance: {run.restore} --forget",
        )


def same_or_newer(connection: psycopg.Connection, found: Manifest) -> None:
    if server.major(connection) < found.server_major:
        raise BackupError(
            f"the set is of PostgreSQL {found.server_major}, the server is {server.major(connection)}",
            where=found.name,
            next="restore it on a server of the same major or a newer one",
        )


def _demand_reason(run: Run, name: str, found: Manifest, replace: bool) -> None:
    """Without --replace only an empty database is restored into; with nothing, none that holds something."""
    with run.session(name) as connection:
        tables = digest.tables_of(connection)
    if tables and not found.contents.tables:
        raise BackupError(
            f"the set holds no table, and the database has {len(tables)}",
            where=found.name,
            next="take a set from when there was something to back up: db_backup list",
        )
    if tables and not replace:
        raise _would_replace(run, name, tables, found.name)


def _would_replace(run: Run, name: str, tables: list[tuple[str, str]], source: str) -> BackupError:
    some = ", ".join(".".join(table) for table in tables[:5])
    return BackupError(
        f"the database holds {len(tables)} tables: {some}{', …' if len(tables) > 5 else ''}",
        where=name,
        details=[f"It would be put away whole, and can be brought back with: {run.restore} --undo"],
        next=f"{run.restore} {source} --replace",
    )


def _swap(connection: psycopg.Connection, run: Run, name: str, away: str, comes: str) -> None:
    """Rename the live database away and another one into its place, both or none.

    One transaction does it, so a kill leaves the one state or the other. While it waits for the app's
    sessions to end, a second session ends them; new ones wait for the rename, and then find the new
    database.
    """
    last: psycopg.Error | None = None
    for _ in range(_TRIES):
        over = threading.Event()
        ending = threading.Thread(target=_end_others, args=(run, [name, comes], over), daemon=True)
        ending.start()
        try:
            with connection.transaction():
                if away:
                    _rename(connection, name, away)
                    _allow(connection, away, False)
                _rename(connection, comes, name)
                _allow(connection, name, True)
            return
        except psycopg.errors.ObjectInUse as error:
            last = error
        finally:
            over.set()
            ending.join()
        run.watch.check()
    raise BackupError(
        "the database is in use, and its sessions come again faster than they can be ended",
        where=name,
        details=[str(last).strip()],
        next="stop the app, then run it again; the live database is as it was",
    )


def _end_others(run: Run, databases: list[str], over: threading.Event) -> None:
    """End every session in these databases, again and again, until the rename went through."""
    with run.session("template1" if run.database != "template1" else "postgres") as connection:
        while not over.is_set():
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)"
                " AND backend_type = 'client backend' AND pg_has_role(usesysid, 'USAGE')",
                [databases],
            )
            time.sleep(0.05)


def _rename(connection: psycopg.Connection, old: str, new: str) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
    )


def _allow(connection: psycopg.Connection, name: str, allowed: bool) -> None:
    """Never two databases that the app could write to."""
    connection.execute(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
            sql.Identifier(name), sql.SQL("true" if allowed else "false")
        )
    )


def _drop(run: Run, connection: psycopg.Connection, name: str) -> None:
    """Drop a database that is not the live one."""
    assert name != run.database
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def _exists(connection: psycopg.Connection, name: str) -> bool:
    return bool(
        server.value(connection, "SELECT count(*) FROM pg_database WHERE datname = %s", name)
    )


def _short(name: str, sign: str) -> str:
    """A name of at most 63 bytes; the end, which tells them apart, stays."""
    kept = name.encode()[: _NAME_BYTES - len(sign)].decode("utf-8", "ignore")
    return kept + sign
