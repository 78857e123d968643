"""What keeps the rows right: keys, constraints, indexes, NOT NULL, identities, defaults.

Read from PostgreSQL's catalogue. At the load the structure of every table is
written down with the record of the load; whatever of it is gone later is a
difference, however it came to be gone. What the source has and a table of the
app's own never had is told, not refused: a model may differ on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.names import fitting
from migrate_db.plan import Plan, TablePlan
from migrate_db.schema import Index, Uncarried
from migrate_db.target import Target

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
           a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
      AND a.attnum > 0 AND NOT a.attisdropped
"""
_VIEWS = """
    SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s) AND c.relkind = 'v'
"""


def read(target: Target, tables: list[str], views: list[str]) -> Recorded:
    """The structure of these tables and views as it is now."""
    found: Recorded = {table: [] for table in tables}
    asked = (sql.name(target.schema), tables)
    before = target.value("SHOW search_path")
    # with a path that knows no table, every name is printed in full
    target.connection.execute("SELECT set_config('search_path', 'pg_catalog', false)")
    for query in (_CONSTRAINTS, _INDEXES):
        for table, text in target.connection.execute(query.encode(), asked).fetchall():
            found[table].append(text)
    rows = target.connection.execute(_COLUMNS, asked).fetchall()
    for table, column, not_null, identity, generated, default in rows:
        if not_null:
            found[table].append(f"NOT NULL of {column}")
        if identity:
            found[table].append(f"identity of {column}")
        if default is not None:
            word = "expression" if generated else "default"
            found[table].append(f"{word} of {column}: {default}")
    for view, text in target.connection.execute(_VIEWS.encode(), (asked[0], views)).fetchall():
        found[f"view {view}"] = [" ".join(text.split())]
    target.connection.execute("SELECT set_config('search_path', %s, false)", (before,))
    return {table: sorted(items) for table, items in found.items()}


def recorded(target: Target) -> Recorded:
    """What was written down at the load; empty if nothing was."""
    return _everything(target).get(target.schema, {})


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


def gone(target: Target, plan: Plan, before: Recorded) -> list[str]:
    """What was there at the load and is not there now, a line for each."""
    tables = [table.target for table in plan.tables if table.target in before]
    views = [view for view in _views(plan) if f"view {view}" in before]
    now = read(target, tables, views)
    lines = []
    for table in (*tables, *(f"view {view}" for view in views)):
        left = list(now.get(table, []))
        for item in before[table]:
            if item in left:
                left.remove(item)
            else:
                lines.append(f"{table}: gone since the load: {item}")
    return lines


def as_text(target: Target, plan: Plan) -> str:
    """The record to write down: the structure of the plan's tables as it is now."""
    now = read(target, [table.target for table in plan.tables], _views(plan))
    everything = _everything(target)
    everything[target.schema] = everything.get(target.schema, {}) | now
    return json.dumps(everything)


def _views(plan: Plan) -> list[str]:
    return [fitting(view.name) for view in plan.schema.views]


@dataclass
class _Catalogue:
    """What one table of the target has, by names of columns."""

    primary_key: tuple[str, ...] = ()
    uniques: set[frozenset[str]] = field(default_factory=set)
    folded: list[str] = field(default_factory=list)  #: unique indexes on expressions
    foreign_keys: set[tuple[str, frozenset[tuple[str, str]]]] = field(default_factory=set)
    not_null: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)
    indexes: int = 0


def lacking(target: Target, plan: Plan) -> list[tuple[TablePlan, Uncarried]]:
    """Keys, foreign keys, NOT NULLs and identities of the source that the target doesn't have."""
    held = _catalogue(target, [table.target for table in plan.tables])
    parents = {table.table.name: table for table in plan.tables}
    return [
        (table, lack)
        for table in plan.tables
        for lack in _lacks(table, held[table.target], parents)
    ]


def _lacks(
    table: TablePlan, held: _Catalogue, parents: dict[str, TablePlan]
) -> Iterator[Uncarried]:
    names = {column.source: column.target for column in table.columns}
    place = table.table.name
    key = tuple(names.get(c, c) for c in table.table.primary_key)
    if key and not table.wish.primary_key and set(key) != set(held.primary_key):
        yield Uncarried("primary key", place, f"PRIMARY KEY ({', '.join(key)})")
    for index in table.table.indexes:
        if index.origin == "pk" and table.wish.primary_key:
            continue
        if index.unique and index.origin != "pk" and not _holds_unique(index, names, held):
            columns = ", ".join(names.get(c.name or "", c.expression) for c in index.columns)
            label = place + "." + index.name
            yield Uncarried("unique", label, f"UNIQUE ({columns})")
    for foreign in table.table.foreign_keys:
        parent = parents.get(foreign.parent)
        if parent is None:
            continue
        others = {column.source: column.target for column in parent.columns}
        pairs = zip(foreign.columns, foreign.parent_columns, strict=False)
        wanted = frozenset((names.get(c, c), others.get(p, p)) for c, p in pairs)
        if (parent.target, wanted) not in held.foreign_keys:
            label = f"{place}({', '.join(foreign.columns)})"
            yield Uncarried("foreign key", label, f"FOREIGN KEY to {parent.target}")
    for column in table.columns:
        if column.not_null and column.target not in held.not_null:
            yield Uncarried("not null", f"{place}.{column.source}", "NOT NULL")
        if column.source == table.table.rowid_alias and column.target not in held.numbered:
            yield Uncarried("numbering", f"{place}.{column.source}", "a number for each new row")


def _holds_unique(index: Index, names: dict[str, str], held: _Catalogue) -> bool:
    columns = [names.get(part.name or "") for part in index.columns]
    wanted = frozenset(column for column in columns if column)
    # a column may be named twice
    if not index.partial and all(columns) and wanted in held.uniques:
        return True
    special = index.partial or any(p.name is None or p.collation != "BINARY" for p in index.columns)
    quoted = [sql.name(column)[1:-1] for column in wanted]
    return special and any(all(c in text for c in quoted) for text in held.folded)


def _catalogue(target: Target, tables: list[str]) -> dict[str, _Catalogue]:
    found = {table: _Catalogue() for table in tables}
    asked = (sql.name(target.schema), tables)
    constraints = target.connection.execute(
        """
        SELECT c.relname, k.contype::text, p.relname,
               (SELECT array_agg(a.attname::text ORDER BY o.n)
                FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num),
               (SELECT array_agg(a.attname::text ORDER BY o.n)
                FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
                JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        LEFT JOIN pg_class p ON p.oid = k.confrelid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND k.contype IN ('p', 'f')
        """,
        asked,
    ).fetchall()
    for table, kind, parent, columns, others in constraints:
        if kind == "p":
            found[table].primary_key = tuple(columns)
        else:
            pairs = frozenset(zip(columns, others, strict=True))
            found[table].foreign_keys.add((parent, pairs))
    indexes = target.connection.execute(
        """
        SELECT c.relname, i.indpred IS NULL AND i.indexprs IS NULL,
               ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.num
                     WHERE o.n <= i.indnkeyatts),
               pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s) AND i.indisunique
        """,
        asked,
    ).fetchall()
    for table, plain, columns, text in indexes:
        if plain:
            found[table].uniques.add(frozenset(columns))
        else:
            found[table].folded.append(text)
    attributes = target.connection.execute(
        """
        SELECT c.relname, a.attname, a.attnotnull,
               a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%'
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND a.attnum > 0 AND NOT a.attisdropped
        """,
        asked,
    ).fetchall()
    for table, column, not_null, numbered in attributes:
        if not_null:
            found[table].not_null.add(column)
        if numbered:
            found[table].numbered.add(column)
    return found


def told(lack: Uncarried) -> str:
    """A line for the notes."""
    return f"{lack.name}: the target's table has no {lack.reason}, the source has"
