"""What keeps rows right in the source and is not in the target, by PostgreSQL's catalogue.

What a table of the app's own never had is told, not refused: a model may differ on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.plan import Plan, TablePlan
from migrate_db.schema import Index, Uncarried
from migrate_db.target import Target

#: As the catalogue has them.
_ACTIONS = {
    "a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT", " ": "",
}  # fmt: skip


@dataclass
class _Catalogue:
    """What one table of the target has, by names of columns."""

    primary_key: tuple[str, ...] = ()
    uniques: set[frozenset[str]] = field(default_factory=set)
    folded: list[str] = field(default_factory=list)  #: unique indexes on expressions
    #: parent and pairs of columns: what it does on update and on delete
    foreign_keys: dict[tuple[str, frozenset[tuple[str, str]]], tuple[str, str]] = field(
        default_factory=dict
    )
    not_null: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)
    defaults: set[str] = field(default_factory=set)
    checks: int = 0
    indexes: list[tuple[str, ...]] = field(default_factory=list)  #: columns, in their order
    has_expressions: bool = False  #: in an index


def find(target: Target, plan: Plan, loading: bool = False) -> list[tuple[TablePlan, Uncarried]]:
    """Keys, foreign keys, NOT NULLs and identities of the source that the target doesn't have.

    Args:
        loading: a table that is there is the app's own: checks, defaults, indexes and what keys do are
            looked for, too. In ours they are what the report of the load says.
    """
    held = _catalogue(target, [table.target for table in plan.tables])
    parents = {table.table.name: table for table in plan.tables}
    found = []
    for table in plan.tables:
        lacks = [*_lacks(table, held[table.target], parents)]
        if loading and table.exists:
            lacks += _lacks_besides(table, held[table.target], parents)
        found += [(table, lack) for lack in lacks]
    return found


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


def _lacks_besides(
    table: TablePlan, held: _Catalogue, parents: dict[str, TablePlan]
) -> Iterator[Uncarried]:
    names = {column.source: column.target for column in table.columns}
    place = table.table.name
    if len(table.table.checks) > held.checks:
        some = f"all {len(table.table.checks)} CHECKs" if held.checks else "CHECK"
        yield Uncarried("check", place, some)
    for column in table.table.columns:
        target = names.get(column.name)
        if column.default is not None and target is not None and target not in held.defaults:
            yield Uncarried("default", f"{place}.{column.name}", f"DEFAULT {column.default}")
    for index in table.table.indexes:
        columns = tuple(names.get(part.name or "", part.expression) for part in index.columns)
        folded = any(part.collation != "BINARY" for part in index.columns)
        there = columns in held.indexes or (
            # PostgreSQL writes an expression in its own way
            held.has_expressions and (folded or any(part.name is None for part in index.columns))
        )
        if index.origin == "c" and not index.unique and not there:
            yield Uncarried("index", f"{place}.{index.name}", f"INDEX ({', '.join(columns)})")
        elif index.unique and folded and frozenset(columns) in held.uniques and not held.folded:
            how = " ".join(f"{part.name} COLLATE {part.collation}" for part in index.columns)
            yield Uncarried("unique", f"{place}.{index.name}", f"UNIQUE ({how})")
    for key in table.table.foreign_keys:
        parent = parents.get(key.parent)
        others = {c.source: c.target for c in parent.columns} if parent else {}
        pairs = zip(key.columns, key.parent_columns, strict=False)
        wanted = frozenset((names.get(c, c), others.get(p, p)) for c, p in pairs)
        found = held.foreign_keys.get((parent.target if parent else "", wanted))
        for event, ours, theirs in zip(
            ("UPDATE", "DELETE"), (key.on_update, key.on_delete), found or (), strict=False
        ):
            if ours != theirs and ours != "NO ACTION":
                label = f"{place}({', '.join(key.columns)})"
                yield Uncarried("foreign key", label, f"ON {event} {ours}")


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
                JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num),
               k.confupdtype::text, k.confdeltype::text
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        LEFT JOIN pg_class p ON p.oid = k.confrelid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND k.contype IN ('p', 'f', 'c')
        """,
        asked,
    ).fetchall()
    for table, kind, parent, columns, others, update, delete in constraints:
        if kind == "p":
            found[table].primary_key = tuple(columns)
        elif kind == "c":
            found[table].checks += 1
        else:
            pairs = frozenset(zip(columns, others, strict=True))
            found[table].foreign_keys[parent, pairs] = (_ACTIONS[update], _ACTIONS[delete])
    indexes = target.connection.execute(
        """
        SELECT c.relname, i.indisunique, i.indpred IS NULL AND i.indexprs IS NULL, i.indexprs IS NOT NULL,
               ARRAY(SELECT coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, o.n::int, false))
                     FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
                     LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.num AND o.num <> 0
                     WHERE o.n <= i.indnkeyatts ORDER BY o.n),
               pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
        """,
        asked,
    ).fetchall()
    for table, unique, plain, expressions, columns, text in indexes:
        found[table].indexes.append(tuple(columns))
        found[table].has_expressions |= expressions
        if not unique:
            continue
        if plain:
            found[table].uniques.add(frozenset(columns))
        else:
            found[table].folded.append(text)
    attributes = target.connection.execute(
        """
        SELECT c.relname, a.attname, a.attnotnull,
               a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%',
               a.attidentity <> '' OR d.oid IS NOT NULL
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND a.attnum > 0 AND NOT a.attisdropped
        """,
        asked,
    ).fetchall()
    for table, column, not_null, numbered, default in attributes:
        if default:
            found[table].defaults.add(column)
        if not_null:
            found[table].not_null.add(column)
        if numbered:
            found[table].numbered.add(column)
    return found


def told(lack: Uncarried) -> str:
    """A line for the notes."""
    return f"{lack.name}: the target's table has no {lack.reason}, the source has"
