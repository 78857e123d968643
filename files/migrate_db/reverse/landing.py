"""The staged rows go into the copy of the kept file: one transaction, then its own checks.

The copy is nobody's yet, so no journal is written; whatever fails, it is thrown away.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from migrate_db import interruption, sql
from migrate_db.errors import MigrationError
from migrate_db.planning import inspection
from migrate_db.planning.plan import TablePlan
from migrate_db.planning.quarantine import Quarantine
from migrate_db.reverse.giving_way import GivingWay
from migrate_db.reverse.staging import Staged, Staging
from migrate_db.sqlite import collations, declaration, functions, source, virtual
from migrate_db.structure.sequences import Sequence as Numbering

#: Rows deleted at once.
_PORTION = 20_000
#: Rows that point nowhere, shown.
_SHOWN = 20


def land(
    path: Path,
    staging: Staging,
    tables: Sequence[TablePlan],
    numbering: list[Numbering],
    wal: bool,
    aside: Quarantine | None = None,
) -> list[str]:
    """Make the copy what PostgreSQL holds.

    Args:
        tables: all that are carried.
        numbering: where PostgreSQL's sequences stand.
        wal: whether the file is to be in WAL mode.
        aside: rows of the file that PostgreSQL never had; see ``giving_way``.

    Returns:
        what a reader of the report should know.

    Raises:
        MigrationError: a row has no place beside another one that stays.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    interruption.attend(connection)
    try:
        collations.stand_in(connection)
        functions.register(connection)
        for setting in (
            "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE",
            "cache_size = -2048", "temp_store = FILE", "foreign_keys = OFF",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {setting}")
        staging.attach(connection)
        if aside is not None:
            source.attach_quarantine(connection, aside.directory)
        notes = []
        connection.execute("BEGIN")
        given = None if aside is None else GivingWay(connection, aside, [t.table for t in tables])
        with _without_triggers(connection, {sql.folded(s.plan.table.name) for s in staging.tables}):
            for staged in staging.tables:
                for index in staged.unwritable:
                    connection.execute(f"DROP INDEX main.{sql.name(index.name)}")
                _delete(connection, staged)
            for staged in staging.tables:
                if given is not None:
                    given.make_room(staged)
                _insert(connection, staged)
            if given is not None:
                given.follow()
                notes += given.notes()
            if staging.tables:
                notes += _rebuild(connection, {s.plan.table.name for s in staging.tables})
        notes += _number(connection, tables, numbering)
        connection.execute("COMMIT")
        for name in ("staged", "made", *(["quarantine"] if aside is not None else [])):
            connection.execute(f"DETACH {name}")
        if wal:
            connection.execute("PRAGMA locking_mode = NORMAL")
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    return notes


def _delete(connection: sqlite3.Connection, staged: Staged) -> None:
    """In portions: SQLite keeps a list of the rows that it deletes in memory."""
    named = f"staged.f{staged.number}"
    after, unit = -(2**63), "row" if staged.row else "n"
    while True:
        portion = f"FROM {named} WHERE {unit} > {after} ORDER BY {unit} LIMIT {_PORTION}"
        (last,) = connection.execute(
            f"SELECT max({unit}) FROM (SELECT {unit} {portion})"
        ).fetchone()
        if last is None:
            return
        within = f"f.{unit} > {after} AND f.{unit} <= {last}"
        connection.execute(f"DELETE FROM main.{staged.name} WHERE {staged.removed(within)}")
        after = last


def _insert(connection: sqlite3.Connection, staged: Staged) -> None:
    names = sql.names(staged.columns)
    if staged.row and not staged.plan.table.rowid_alias:
        names = f"{staged.row}, {names}"
    insert = f"INTO main.{staged.name} ({names}) SELECT {names} FROM made.{staged.name}"
    try:
        connection.execute(f"INSERT OR ABORT {insert}")
    except sqlite3.IntegrityError as error:
        connection.execute(f"INSERT OR IGNORE {insert}")
        raise MigrationError(
            f"SQLite refuses rows of PostgreSQL beside what the kept file has: {error}",
            where=f"table {staged.plan.table.name}",
            details=_absent(connection, staged),
            next="change or remove these rows on PostgreSQL, as an administrator, or what they are"
            " alike to there; then run again. Nothing was changed",
        ) from None


def _absent(connection: sqlite3.Connection, staged: Staged) -> list[str]:
    """Rows that were to arrive, and did not: the first ones."""
    row = inspection.identity(staged.plan.table)
    connection.text_factory = bytes  # a key may be no UTF-8
    rows = connection.execute(
        f"SELECT {inspection.naming(staged.plan.table)} FROM made.{staged.name}"
        f" WHERE {row} NOT IN (SELECT {row} FROM main.{staged.name}) LIMIT ?",
        (_SHOWN,),
    )
    return [f"{staged.plan.table.name} [{inspection.printable(key)}]" for (key,) in rows]


@contextmanager
def _without_triggers(connection: sqlite3.Connection, changed: set[str]) -> Iterator[None]:
    """What the app's triggers would do, they did on PostgreSQL, or it did itself."""
    triggers = [
        (name, text)
        for name, table, text in connection.execute(
            "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'trigger'"
            " ORDER BY rowid"
        ).fetchall()
        if sql.folded(table) in changed
    ]
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER main.{sql.name(name)}")
    yield
    for name, text in triggers:
        connection.execute(text)
        again = connection.execute(
            "SELECT sql FROM main.sqlite_schema WHERE type = 'trigger' AND name = ?", (name,)
        ).fetchone()
        if again != (text,):
            raise MigrationError(
                "SQLite does not write the trigger again as it was",
                where=f"trigger {name}",
                next="nothing was changed; please report this",
            )


def _rebuild(connection: sqlite3.Connection, changed: set[str]) -> list[str]:
    """Full-text indexes of changed tables: triggers kept them up to date, and those were off."""
    notes = []
    rows = connection.execute(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table'"
        " AND sql LIKE 'create virtual table%' ORDER BY rowid"
    ).fetchall()
    views = {
        sql.folded(row[0])
        for row in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'view'")
    }
    lower = {sql.folded(name) for name in changed}
    for name, text in rows:
        module, arguments = declaration.arguments(text)
        content = virtual.content(arguments) if module.startswith("fts") else None
        if content is None or (sql.folded(content) not in lower | views and content):
            continue
        if not content:
            notes.append(
                f"{name}: a full-text index without its texts; what changed since is not in it"
            )
            continue
        try:
            quoted = sql.name(name)
            connection.execute(f"INSERT INTO main.{quoted} ({quoted}) VALUES ('rebuild')")
        except sqlite3.Error as error:
            raise MigrationError(
                f"the full-text index can't be rebuilt here: {error}",
                where=f"table {name}",
                next="run it with a Python whose SQLite has the module; nothing was changed",
            ) from None
        notes.append(f"{name}: the full-text index was rebuilt")
    return notes


def _number(
    connection: sqlite3.Connection, tables: Sequence[TablePlan], numbering: list[Numbering]
) -> list[str]:
    """Numbers that PostgreSQL gave away are not given away again."""
    notes = []
    by_name = {table.table.name: table for table in tables}
    for sequence in numbering:
        plan = by_name[sequence.table]
        alias = plan.table.rowid_alias
        if not any((c.source, c.target) == (alias, sequence.column) for c in plan.columns):
            continue
        name, last = plan.table.name, sequence.next - 1
        words = {token.word for token in declaration.tokens(plan.table.sql)}
        if "AUTOINCREMENT" not in words:
            (highest,) = connection.execute(
                f"SELECT ifnull(max({sql.name(alias or '')}), 0) FROM main.{sql.name(name)}"
            ).fetchone()
            if last > highest:
                notes.append(
                    f"{name}: PostgreSQL has given numbers up to {last}; without AUTOINCREMENT"
                    f" SQLite goes on after {highest}, the highest in use"
                )
            continue
        # no UPSERT: the table has no key
        done = connection.execute(
            "UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last, name)
        )
        if not done.rowcount and last > 0:
            connection.execute("INSERT INTO main.sqlite_sequence VALUES (?, ?)", (name, last))
    return notes


def demand_references(before: Path, after: Path) -> None:
    """No row may point nowhere that did not before.

    Raises:
        MigrationError: with the first of them.
    """
    # on disk: a file may have millions of them
    with closing(sqlite3.connect("")) as found:
        found.execute("CREATE TABLE pointing (child, row, parent, key, number)")
        if not _note_violations(found, after, 1):
            return
        _note_violations(found, before, -1)
        # without a rowid several may look the same, so they are counted
        found.execute(
            "CREATE TABLE new AS SELECT child, row, parent, sum(number) AS number FROM pointing"
            " GROUP BY child, row, parent, key HAVING sum(number) > 0"
        )
        (count,) = found.execute("SELECT ifnull(sum(number), 0) FROM new").fetchone()
        if not count:
            return
        raise MigrationError(
            f"{count:,} rows would point at rows that don't exist (foreign_key_check)",
            where=str(after.name),
            details=[
                f"{child}{named} -> {parent}"
                for child, named, parent in found.execute(
                    "SELECT child, ifnull(' rowid=' || row, ''), parent FROM new"
                    " ORDER BY child, row LIMIT ?",
                    (_SHOWN,),
                )
            ],
            next="mend them on PostgreSQL, where the key is missing or not validated, or add there what"
            " they point at; or, if that is left out, leave them out, too; then run again",
        )


def _note_violations(found: sqlite3.Connection, path: Path, number: int) -> int:
    """Write down each row of a file that points nowhere.

    Args:
        number: what it counts.

    Returns:
        how many there are.
    """
    connection = sqlite3.connect(source.uri(path, "ro&immutable=1"), uri=True)
    try:
        collations.stand_in(connection)
        return found.executemany(
            f"INSERT INTO pointing VALUES (?, ?, ?, ?, {number})",
            connection.execute("PRAGMA foreign_key_check"),
        ).rowcount
    except sqlite3.OperationalError as error:
        if re.search("foreign key mismatch|no such", str(error)):
            return 0  # the schema's own mistake, as before
        raise
    finally:
        connection.close()
