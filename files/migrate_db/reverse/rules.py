"""Rules of PostgreSQL's that the file doesn't get, and those that only the file still has."""

from __future__ import annotations

from dataclasses import replace

from migrate_db import sql
from migrate_db.planning.plan import Plan
from migrate_db.postgresql.names import fitting
from migrate_db.postgresql.target import Target
from migrate_db.reverse import theirs
from migrate_db.reverse.additions import Additions
from migrate_db.structure import catalogue, unasked

_NEW_TRIGGERS = """
    SELECT format('trigger %%s of %%s', t.tgname, c.relname)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = to_regnamespace(%s) AND NOT t.tgisinternal AND t.tgname <> ALL(%s)
    ORDER BY 1
"""
_HEIRS = """
    SELECT format('%%s: it inherits from %%s, and its rows are in both', c.relname, p.relname)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
    WHERE p.relnamespace = to_regnamespace(%s) AND p.relkind = 'r' ORDER BY 1
"""


def not_carried(target: Target, found: Plan, extra: Additions) -> list[str]:
    """What PostgreSQL got or lost since the load and the file doesn't, a line for each."""
    before = catalogue.recorded(target)
    there = replace(found, tables=tuple(table for table in found.tables if table.exists))
    tables = [table.target for table in there.tables]
    lines = []
    for table, items in catalogue.read(target, [*tables, *extra.tables], []).items():
        is_old = table not in extra.tables
        new = catalogue.added(before.get(table, items), items) if is_old else items
        lines += [
            f"{table}: new on PostgreSQL, and not in the file: {item}"
            for item in new
            if (table, item) not in extra.carried
        ]
    schema = sql.name(target.schema)
    views = [fitting(view.name) for view in found.schema.views]
    triggers = [fitting(lack.name) for lack in found.schema.uncarried if lack.kind == "trigger"]
    rows = target.connection.execute(_NEW_TRIGGERS, (schema, triggers)).fetchall()
    new = [f"view {name}" for name in theirs.views(target, views)] + [name for (name,) in rows]
    lines += [f"{name}: new on PostgreSQL, and not in the file" for name in new]
    lines += [
        f"sequence {found.name}: on PostgreSQL, and not in the file"
        for found in unasked.find(target)
    ]
    lines += [line for (line,) in target.connection.execute(_HEIRS.encode(), (schema,)).fetchall()]
    gone = catalogue.gone(target, there, before)
    return lines + [f"{line.rstrip(';')}; the file keeps it" for line in gone]
