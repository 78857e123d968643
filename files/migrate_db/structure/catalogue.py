"""What keeps the rows right: keys, constraints, indexes, NOT NULL, identities, defaults.

Read from PostgreSQL's catalogue. At the load the structure of every table is
written down with the record of the load; whatever of it is gone later is a
difference, however it came to be gone. What it never had, see ``lacking``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from migrate_db import sql
from migrate_db.planning import choice, widening
from migrate_db.planning.plan import Plan
from migrate_db.postgresql.names import fitting
from migrate_db.postgresql.target import Target

#: How a column's type begins in a record; those of older loads have none.
_TYPE = "type of"
_CHOICE = "a number of the app's own choice in"
#: How a view begins in a record: each major of PostgreSQL writes the same query in its own way.
_BY = "as PostgreSQL "
#: Table in the target: what it has, each in words that are the same in every session.
Recorded = dict[str, list[str]]

_CONSTRAINTS = """
    SELECT c.relname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
      AND k.contype IN ('p', 'u', 'f', 'c', 'x')
"""
_INDEXES = """
    SELECT c.relname,
           replace(pg_get_indexdef(i.indexrelid), format('INDEX %%I ON ', x.relname), 'INDEX ON ')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid
                      AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x'))
"""
_COLUMNS = """
    SELECT c.relname, quote_ident(a.attname), a.attnotnull, a.attidentity::text,
           a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid),
           format_type(a.atttypid, a.atttypmod)
               || coalesce(' COLLATE ' || quote_ident(ln.nspname) || '.' || quote_ident(l.collname), '')
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.oid <> t.typcollation
    LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
      AND a.attnum > 0 AND NOT a.attisdropped
"""
_VIEWS = """
    SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s) AND c.relkind = 'v'
"""


@contextmanager
def full_names(target: Target) -> Iterator[None]:
    """PostgreSQL prints every name in full, as with a path that knows no table."""
    before = target.value("SHOW search_path")
    set_path = "SELECT set_config('search_path', %s, false)"
    target.connection.execute(set_path, ("pg_catalog",))
    yield
    target.connection.execute(set_path, (before,))


def read(target: Target, tables: list[str], views: list[str]) -> Recorded:
    """The structure of these tables and views as it is now."""
    found: Recorded = {table: [] for table in tables}
    asked = (sql.name(target.schema), tables)
    with full_names(target):
        for query in (_CONSTRAINTS, _INDEXES):
            for table, text in target.connection.execute(query.encode(), asked).fetchall():
                found[table].append(text)
        rows = target.connection.execute(_COLUMNS, asked).fetchall()
        for table, column, not_null, identity, generated, default, kind in rows:
            found[table].append(f"{_TYPE} {column}: {kind}")
            if not_null:
                found[table].append(f"NOT NULL of {column}")
            if identity:
                found[table].append(f"identity of {column}")
            if identity == "d":
                found[table].append(f"{_CHOICE} {column}")
            if default is not None:
                word = "expression" if generated else "default"
                found[table].append(f"{word} of {column}: {default}")
        for view, text in target.connection.execute(_VIEWS.encode(), (asked[0], views)).fetchall():
            major = target.connection.info.server_version // 10_000
            found[f"view {view}"] = [f"{_BY}{major}: {' '.join(text.split())}"]
    return {table: sorted(items) for table, items in found.items()}


def recorded(target: Target) -> Recorded:
    """What was written down at the load; empty if nothing was."""
    return _everything(target).get(target.schema, {})


def recorded_views(target: Target) -> set[str]:
    """Views that the load made, by their names in the target."""
    return {name.removeprefix("view ") for name in recorded(target) if name.startswith("view ")}


def _everything(target: Target) -> dict[str, Recorded]:
    """The records of all schemas."""
    if target.value("SELECT to_regclass('migrate_db.state')") is None:
        return {}
    known = target.value(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'migrate_db.state'::regclass"
        " AND attname = 'structure' AND NOT attisdropped"
    )
    text = target.value("SELECT structure FROM migrate_db.state") if known else None
    everything: dict[str, Recorded] = json.loads(str(text)) if text else {}
    return everything


def added(before: list[str], now: list[str]) -> list[str]:
    """What of a table was not there at the load."""
    knows_types = any(item.startswith(_TYPE) for item in before)
    new = [item for item in now if item not in before]
    return [item for item in new if knows_types or not item.startswith((_TYPE, _CHOICE))]


def gone(target: Target, plan: Plan, before: Recorded) -> list[str]:
    """What was there at the load and is not there now, a line for each."""
    tables = [table.target for table in plan.tables if table.target in before]
    views = [view for view in _views(plan) if f"view {view}" in before]
    now = read(target, tables, views)
    lines = []
    for table in (*tables, *(f"view {view}" for view in views)):
        left = list(now.get(table, []))
        for item in before[table]:
            valid = item.removesuffix(" NOT VALID")  # which it may have become
            same = next(
                (o for o in left if o in (item, valid) or _by_another(o, item) or _holds(o, item)),
                None,
            )
            if same is not None:
                left.remove(same)
            else:
                said = item.partition(": ")[2] if item.startswith(_BY) else item
                lines.append(f"{table}: gone since the load: {said}")
    return lines


def _by_another(one: str, other: str) -> bool:
    """Whether two texts are of views, written by two majors: that there is a view is all to be known."""
    return one.startswith(_BY) and one.partition(":")[0] != other.partition(":")[0]


def _holds(one: str, other: str) -> bool:
    """Whether both are a column's type, and the one holds all that the other did: no value can be lost by it."""
    (column, _, now), (former, _, before) = one.rpartition(": "), other.rpartition(": ")
    if column != former or not column.startswith(_TYPE):
        return False
    return widening.holds(choice.named(now) or now, choice.named(before) or before)


def of_another_source(plan: Plan, before: Recorded) -> list[str]:
    """Tables that were loaded and that this source hasn't, a line for each."""
    named = {plan.mapping.table(t.name).rename or fitting(t.name) for t in plan.schema.tables}
    return [
        f"{table}: it was loaded once, and this source has no such table; its rows stay, and were not compared"
        for table in before
        if not table.startswith("view ") and table not in named
    ]


def as_text(target: Target, plan: Plan) -> str:
    """The record to write down: the structure of the plan's tables as it is now."""
    now = read(target, [table.target for table in plan.tables], _views(plan))
    everything = _everything(target)
    everything[target.schema] = everything.get(target.schema, {}) | now
    return json.dumps(everything)


def _views(plan: Plan) -> list[str]:
    return [fitting(view.name) for view in plan.schema.views]
