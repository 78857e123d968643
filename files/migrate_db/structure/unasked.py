"""Sequences that no column asks: an app, a function or a trigger may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.structure.sequences import LATE

#: What such a sequence is called, by the table and the column that it numbers.
_CALLED = ("{0}_{1}_seq", "{0}_seq", "{0}_{1}_sequence", "{0}_sequence", "{0}_sq", "seq_{0}")


@dataclass(frozen=True)
class Unasked:
    """One of them."""

    name: str  #: quoted, with its schema
    plain: str
    step: int
    last: int  #: it ends here
    is_ours: bool  #: the role may change it


def find(target: Target) -> list[Unasked]:
    """Those of the schema."""
    rows = target.connection.execute(
        r"""
        SELECT format('%%I.%%I', n.nspname, s.relname), s.relname, q.seqincrement, q.seqmax,
               pg_has_role(s.relowner, 'USAGE')
        FROM pg_sequence q
        JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace n ON n.oid = s.relnamespace
        WHERE n.nspname = %s AND has_sequence_privilege(q.seqrelid, 'SELECT')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = s.oid AND d.deptype = 'i'
                          AND d.classid = 'pg_class'::regclass)
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refobjid = s.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_attrdef'::regclass)
          AND NOT EXISTS (SELECT FROM pg_attrdef f WHERE s.relname IN ("""
        + LATE
        + """))
        ORDER BY 1
        """,
        (target.schema,),
    ).fetchall()
    return [Unasked(*row) for row in rows]


def advance(target: Target, plan: Plan) -> list[str]:
    """Let those go on that are called like a table's key, and say so; of the others, what is to be done.

    The first number is a whole step past the highest in use: some apps take the numbers below it, too.
    """
    keys: dict[str, tuple[TablePlan, str] | None] = {}
    for table, column in _numbered(plan):
        for called in _CALLED:
            name = called.format(table.target, column).lower()
            keys[name] = None if name in keys else (table, column)
    return [_advance(target, found, keys.get(found.plain.lower())) for found in find(target)]


def _numbered(plan: Plan) -> Iterator[tuple[TablePlan, str]]:
    """Tables whose key is one whole number, and how the target calls it."""
    for table in plan.tables:
        keys = [column for column in table.columns if column.source in table.key]
        if len(table.key) == 1 and all(column.codec.is_whole for column in keys):
            yield table, keys[0].target


def _advance(target: Target, found: Unasked, key: tuple[TablePlan, str] | None) -> str:
    stands = target.value(
        f"SELECT last_value + CASE WHEN is_called THEN {found.step} ELSE 0 END FROM {found.name}"
    )
    told = f"sequence {found.name}: no column asks it"
    if key is not None and found.is_ours and found.step > 0:
        table, column = key
        place = sql.qualified(target.schema, table.target)
        used = target.value(f"SELECT coalesce(max({sql.name(column)}), 0) FROM {place}")
        highest = max(int(str(used)), table.highest)
        following = max(highest + found.step, int(str(stands)))
        if highest > 0 and following <= found.last:
            target.execute(f"ALTER SEQUENCE {found.name} RESTART WITH {following}")
            return f"{told}, but it is called like {table.target}.{column}, so it goes on at {following}"
    return (
        f"{told}, and its next number stays {stands}; if the app numbers its rows by it:"
        f" SELECT setval('{found.name}', the highest number in use)"
    )
