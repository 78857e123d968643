"""What the target knows about itself: a copy being made ready, or the app's home.

One row in ``migrate_db.state``. Until the app lives on the target, a migration
may bring it up to the source again and again; from then on that would destroy
what the app wrote, and is refused. While *held*, the database is read-only for
every new session of the app's role, so that there are never two writable sides.

What was loaded is remembered for each schema. A run that takes only a part of that
says nothing of the rest: whether the app lives here, or did, stays as it was.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from migrate_db import sql
from migrate_db.errors import Exit, MigrationError
from migrate_db.postgresql import activity, leader, sessions
from migrate_db.postgresql.target import Target

_NOW = "to_char(timezone('utc', now()), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#: What later versions wrote down besides; an older record has no place for it.
_LATER = ("structure text", "mapping text", "lived_since text", "closed_at timestamptz",
          "baseline text", "proved_on text", "loads text", "writable_at timestamptz")  # fmt: skip


class Part(NamedTuple):
    """One table, as it was proved."""

    sha256: str  #: of the snapshot that it was brought up to
    xid: str  #: the transaction that wrote this down, as a row of it has it in ``xmin``
    file: str  #: that the rows were in then, which another one takes the place of when all are written anew


@dataclass(frozen=True)
class Load:
    """What one run loaded into its schema."""

    source: str  #: path of the SQLite file; empty: none was
    snapshot_sha256: str = ""
    mapping: str = ""  #: what the operator wanted, as ``Mapping.as_json`` writes it
    #: which rows stayed behind, ``Quarantine.digests`` as JSON; empty in older records
    aside: str = ""
    parts: dict[str, Part] = field(default_factory=dict)  #: by table of the source


@dataclass(frozen=True)
class State:
    """The target's own record; times are UTC, ISO 8601."""

    source: str  #: path of the SQLite file that was loaded into this schema; empty: none was
    snapshot_sha256: str
    loaded_at: str
    held: bool  #: read-only until ``open``
    opened_at: str | None  #: since when the app lives here
    mapping: str = ""  #: what the operator wanted, as ``Mapping.as_json`` writes it
    lived_since: str | None = None  #: since when the app lived here, if that is over
    proved_on: str | None = None  #: the server that answered then, see ``leader``
    returned_at: str | None = None  #: when what the app wrote here was led back, if it was
    returned_into: str = ""  #: the file that was made then
    returned_sha256: str = ""  #: of that file
    aside: str = ""  #: see ``Load``
    parts: dict[str, Part] = field(default_factory=dict)  #: see ``Load``


def read(target: Target) -> State | None:
    """The record, or None if this program never loaded anything here."""
    if target.value("SELECT to_regclass('migrate_db.state')") is None:
        return None
    row = target.execute(
        # as JSON: a record that an older version made has fewer columns
        "SELECT source, snapshot_sha256, loaded_at, held, opened_at,"
        " coalesce(to_jsonb(state) ->> 'mapping', ''), to_jsonb(state) ->> 'lived_since',"
        " to_jsonb(state) ->> 'proved_on'"
        " FROM migrate_db.state"
    ).fetchone()
    if row is None:
        return None
    loads = _loads(target)
    known = State(*row)
    if not loads:
        return known
    own = asdict(Load("")) | loads.get(target.schema, {})
    return replace(known, **own | {"parts": {n: Part(*part) for n, part in own["parts"].items()}})


def parts(target: Target, sha256: str, places: dict[str, str]) -> dict[str, Part]:
    """What is to be remembered of tables that were just proved.

    Args:
        places: each table's name in PostgreSQL, as SQL, by its name in the source.
    """
    rows = target.connection.execute(
        "SELECT n, pg_current_xact_id()::xid::text, coalesce(pg_relation_filenode(p::regclass)::text, '')"
        " FROM unnest(%s::text[], %s::text[]) AS t(n, p)",
        (list(places), list(places.values())),
    ).fetchall()
    return {name: Part(sha256, xid, file) for name, xid, file in rows}


def written_since(target: Target, part: Part, place: str) -> bool:
    """Whether a table has rows that are newer than what is remembered of it; who only deleted leaves no trace.

    ALTER TABLE … TYPE writes all of them anew, as one transaction: that is none of the app's.
    """
    there = place.replace("%", "%%")
    row = target.connection.execute(
        f"SELECT EXISTS (SELECT FROM {there} WHERE age(xmin) < age(%s::xid)"
        " AND (coalesce(pg_relation_filenode(%s::regclass)::text, '') = %s"
        f" OR age(xmin) < (SELECT max(age(xmin)) FROM {there})))".encode(),
        (part.xid, place, part.file),
    ).fetchone()
    return bool(row and row[0])


def _loads(target: Target) -> dict[str, dict[str, Any]]:
    """What was loaded into each schema; empty in a record of before there could be several."""
    text = target.value("SELECT to_jsonb(state) ->> 'loads' FROM migrate_db.state")
    loads: dict[str, dict[str, Any]] = json.loads(str(text)) if text else {}
    return loads


def record_load(
    target: Target, load: Load, is_whole: bool, held: bool, structure: str, proved_on: str
) -> None:
    """Write the record anew, inside the transaction that loads.

    Args:
        is_whole: the run took all that is loaded into its schema.
        structure: see ``catalogue.as_text``.
        proved_on: see ``leader.of``.
    """
    # who may not make one may have it
    if target.value("SELECT to_regnamespace('migrate_db')") is None:
        target.execute("CREATE SCHEMA migrate_db")
    target.execute(
        "CREATE TABLE IF NOT EXISTS migrate_db.state (source text NOT NULL,"
        " snapshot_sha256 text NOT NULL, loaded_at text NOT NULL, held boolean NOT NULL,"
        " opened_at text)"
    )
    _make_room(target)
    was_held = target.value("SELECT bool_or(held) FROM migrate_db.state")
    held = held or bool(was_held)  # until somebody says open
    before = _loads(target)
    new = ({} if is_whole else before.get(target.schema, {})) | asdict(load)
    loads = json.dumps(before | {target.schema: new})
    if was_held is not None and (before.keys() - {target.schema} or not is_whole):
        # the app may live in the rest: that it may write is not for this load to say
        target.connection.execute(
            "UPDATE migrate_db.state SET structure = %s, loads = %s,"
            " held = held OR (%s AND opened_at IS NULL)", (structure, loads, held),
        )  # fmt: skip
        if held and target.value("SELECT opened_at IS NULL FROM migrate_db.state"):
            target.execute(f"{_alter(target)} SET default_transaction_read_only = on")
        return
    target.execute("DELETE FROM migrate_db.state")
    target.connection.execute(
        "INSERT INTO migrate_db.state (source, snapshot_sha256, loaded_at, held, structure,"
        f" mapping, proved_on, loads) VALUES (%s, %s, {_NOW}, %s, %s, %s, %s, %s)",
        (load.source, load.snapshot_sha256, held, structure, load.mapping, proved_on, loads),
    )
    if held:
        target.execute(f"{_alter(target)} SET default_transaction_read_only = on")


def open_(target: Target) -> bool:
    """Let the app write: it lives here from now on, or again if it was closed meanwhile.

    Returns:
        False if it already did.

    Raises:
        MigrationError: it was proved on another server than the one that answers (exit code 3).
    """
    state = read(target)
    if state is None:
        return False
    if state.opened_at is not None:
        # the run that opened it may have been killed before it came to this
        sessions.end_read_only(target, f"coalesce({_noted('writable_at')}, '-infinity')")
        return False
    # one that lived here has been written to since; nobody proves that
    if not state.lived_since:
        if state.proved_on:
            now = leader.of(target)
            if now != state.proved_on:
                raise leader.changed(target, state.proved_on, now, Exit.DIFFERENT)
        _demand_one_moment(target)
    with target.connection.transaction():
        _make_room(target)
        # undoing a `close`: what was written before it counts, too
        baseline = None if state.lived_since else activity.baseline(target)
        target.connection.execute(
            "UPDATE migrate_db.state SET held = false, closed_at = NULL, lived_since = NULL, loads = %s,"
            " writable_at = CASE WHEN held THEN clock_timestamp() END,"
            f" baseline = coalesce(%s, baseline), opened_at = coalesce(lived_since, {_NOW})",
            (_not_returned(target), baseline),
        )
        target.execute(f"{_alter(target)} RESET default_transaction_read_only")
    if state.held:
        sessions.end_read_only(target, "now()")
    return True


def _demand_one_moment(target: Target) -> None:
    """Tables that were brought up to the source at different moments are no database to live on."""
    for schema, load in _loads(target).items():
        moments: dict[str, list[str]] = {}
        for table, (digest, *_) in load.get("parts", {}).items():
            moments.setdefault(digest, []).append(table)
        if len(moments) > 1:
            raise MigrationError(
                f"tables of schema {schema} were loaded from different states of the SQLite file",
                where=str(target),
                details=[
                    f"sha256 {digest[:12]}…: {', '.join(tables[:10])}{', …' * (len(tables) > 10)}"
                    for digest, tables in moments.items()
                ],
                next="bring all of them up to the file as it is now: migrate_db run --catch-up,"
                " without --include and --exclude; nothing was changed",
                code=Exit.REFUSED,
            )


def _not_returned(target: Target) -> str | None:
    """``loads`` as they are to be written down once the app may write again, or no more."""
    loads = _loads(target)
    for load in loads.values():
        load.pop("returned_at", None)
    return json.dumps(loads) if loads else None


def close(target: Target) -> bool:
    """Let the app only read from now on, and see to it that nothing of it can write any more.

    Returns:
        False if it was so already.

    Raises:
        MigrationError: a session that may write is still there (exit code 5).
    """
    changed = not is_closed(target)
    if changed:
        with target.connection.transaction():
            _make_room(target)
            target.connection.execute(
                "UPDATE migrate_db.state SET held = true, closed_at = clock_timestamp(), loads = %s,"
                " lived_since = coalesce(opened_at, lived_since), opened_at = NULL",
                (_not_returned(target),),
            )
            target.execute(f"{_alter(target)} SET default_transaction_read_only = on")
    ended = sessions.end_writing(target, _noted("closed_at"))
    sessions.demand_no_prepared(target)
    return changed or ended


def note_return(target: Target, into: Path, sha256: str, is_whole: bool) -> None:
    """What the app wrote into this schema is in a SQLite file again.

    Args:
        into: that file.
        sha256: its digest.
        is_whole: nothing was left out.
    """
    with target.connection.transaction():
        _make_room(target)
        loads = _loads(target)
        if target.schema in loads:
            made = {"returned_sha256": sha256}
            if is_whole:
                made["returned_into"] = str(into.resolve())
                made["returned_at"] = str(target.value(f"SELECT {_NOW}"))
            loads[target.schema] |= made
            target.connection.execute(
                "UPDATE migrate_db.state SET loads = %s", (json.dumps(loads),)
            )


def is_closed(target: Target) -> bool:
    """Whether the record says so, and the app's role is really read-only here.

    A database that was restored from a backup has the record, and not the setting.
    """
    state = read(target)
    setting = target.value(
        "SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = current_database()"
        f" AND r.rolname = {sql.string(sessions.app_role(target))}"
        " AND 'default_transaction_read_only=on' = ANY (s.setconfig)"
    )
    return state is not None and state.held and state.opened_at is None and bool(setting)


def _make_room(target: Target) -> None:
    # it has no key, and a publication FOR ALL TABLES would let nobody change it
    target.execute("ALTER TABLE migrate_db.state REPLICA IDENTITY FULL")
    for column in _LATER:
        target.execute(f"ALTER TABLE migrate_db.state ADD COLUMN IF NOT EXISTS {column}")


def _noted(moment: str) -> str:
    """A moment of the record, in SQL; as JSON, since an older record has no place for it."""
    # another name, since pg_stat_activity has a column that is called like the table
    return f"(SELECT (to_jsonb(noted) ->> '{moment}')::timestamptz FROM migrate_db.state AS noted)"


def _alter(target: Target) -> str:
    """For the role that the app uses; another administrator is not in the way of anything."""
    role, database = sql.name(sessions.app_role(target)), sql.name(target.database)
    return f"ALTER ROLE {role} IN DATABASE {database}"
