"""Numbers for new rows: every sequence goes on after the highest one ever used."""

from __future__ import annotations

from dataclasses import dataclass

from migrate_db import sql
from migrate_db.plan import Plan, TablePlan
from migrate_db.target import Target


@dataclass(frozen=True)
class Sequence:
    """A sequence that numbers a column."""

    table: str
    column: str
    next: int  #: the number the next row gets
    highest: int  #: the highest number in use, 0 for an empty table

    @property
    def sound(self) -> bool:
        """Whether a new row gets a number of its own."""
        return self.next > self.highest


def advance(target: Target, plan: Plan) -> None:
    """Move every sequence past max(column) and past SQLite's own memory; never back."""
    for owned in _owned(target, plan):
        if owned.next(target) > owned.used(target):
            continue
        # RESTART is undone with the transaction, setval() is not
        restart = f"RESTART WITH {owned.used(target) + 1}"
        if owned.identity:
            target.execute(f"ALTER TABLE {owned.place} ALTER COLUMN {owned.name} {restart}")
        else:
            target.execute(f"ALTER SEQUENCE {owned.sequence} {restart}")


def read(target: Target, plan: Plan) -> list[Sequence]:
    """Where every sequence stands; changes nothing."""
    return [
        Sequence(owned.plan.table.name, owned.column, owned.next(target), owned.used(target))
        for owned in _owned(target, plan)
    ]


@dataclass(frozen=True)
class _Owned:
    """A column and the sequence that belongs to it."""

    plan: TablePlan
    place: str  #: quoted table in the target
    column: str
    sequence: str  #: quoted, with its schema
    identity: bool

    @property
    def name(self) -> str:
        return sql.name(self.column)

    def next(self, target: Target) -> int:
        following = "CASE WHEN is_called THEN last_value + 1 ELSE last_value END"
        return int(str(target.value(f"SELECT {following} FROM {self.sequence}")))

    def used(self, target: Target) -> int:
        highest = int(str(target.value(f"SELECT coalesce(max({self.name}), 0) FROM {self.place}")))
        alias = self.plan.table.rowid_alias
        ours = any((c.source, c.target) == (alias, self.column) for c in self.plan.columns)
        return max(highest, self.plan.highest) if ours else highest


def _owned(target: Target, plan: Plan) -> list[_Owned]:
    found = []
    for table in plan.tables:
        place = sql.qualified(target.schema, table.target)
        rows = target.connection.execute(
            "SELECT attname, pg_get_serial_sequence(%s, attname), attidentity <> ''"
            " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            (place, place),
        ).fetchall()
        found += [_Owned(table, place, *row) for row in rows if row[1] is not None]
    return found
