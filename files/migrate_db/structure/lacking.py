"""What keeps rows right in the source and is not in the target, by PostgreSQL's catalogue.

What a table of the app's own never had is told, not refused: a model may differ on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.names import fitting
from migrate_db.postgresql.target import Target, relation_names
from migrate_db.sqlite.schema import ForeignKey, Index, Uncarried
from migrate_db.structure import catalogue, same_default
from migrate_db.translation import parsing


@dataclass(frozen=True)
class _HeldIndex:
    """An index of the target."""

    unique: bool
    predicate: str
    parts: tuple[tuple[str, bool], ...]  #: a column's name, or an expression, and whether it is one

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(text for text, _ in self.parts)

    @property
    def is_plain(self) -> bool:
        return not self.predicate and not any(computed for _, computed in self.parts)

    @property
    def text(self) -> str:
        """All of it, as PostgreSQL writes it."""
        parts = (text if computed else sql.name(text) for text, computed in self.parts)
        return " ".join((*parts, self.predicate))

    def stands_for(self, index: Index, names: dict[str, str]) -> bool:
        """Whether it may be what an index of the source means: the same parts, as far as that can be told."""
        if len(self.parts) != len(index.columns) or index.partial != bool(self.predicate):
            return False
        for (text, computed), part in zip(self.parts, index.columns, strict=True):
            target = names.get(part.name or "", "")
            if part.name is None or part.collation != "BINARY":
                # PostgreSQL writes an expression in its own way
                if not computed or _written(target) not in text:
                    return False
            elif computed or text != target:
                return False
        return True


@dataclass(frozen=True)
class _HeldKey:
    """What a foreign key of the target does."""

    on_update: str
    on_delete: str
    deferrable: str  #: as ``ForeignKey`` has it


@dataclass
class _Catalogue:
    """What one table of the target has, by names of columns."""

    primary_key: tuple[str, ...] = ()
    #: by parent and pairs of columns
    foreign_keys: dict[tuple[str, frozenset[tuple[str, str]]], _HeldKey] = field(
        default_factory=dict
    )
    checks: list[frozenset[str]] = field(default_factory=list)  #: columns of each
    indexes: list[_HeldIndex] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    not_null: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)
    computed: set[str] = field(default_factory=set)
    #: as PostgreSQL writes them; of an identity nothing
    defaults: dict[str, str] = field(default_factory=dict)


def notes(target: Target, plan: Plan) -> list[str]:
    """What one side has beside its rows and the other hasn't, a line for each; all tables are there."""
    held = _catalogue(target, [table.target for table in plan.tables])
    there = relation_names(target)
    return (
        [told(lack) for _, lack in _find(target, held, plan)]
        + [
            f"{table.target}.{column}: a column that only the target has"
            for table in plan.tables
            for column in sorted(held[table.target].columns - {c.target for c in table.columns})
        ]
        + [
            f"view {view.name}: the source has it, the target hasn't"
            for view in plan.schema.views
            if fitting(view.name) not in there
        ]
        + catalogue.of_another_source(plan, catalogue.recorded(target))
    )


def find(target: Target, plan: Plan) -> list[tuple[TablePlan, Uncarried]]:
    """What keeps rows right in the source and is not in the target.

    Of a table that was there before the load also checks, defaults, indexes and what keys do; those of a new one the
    load itself tells.
    """
    return _find(target, _catalogue(target, [table.target for table in plan.tables]), plan)


def _find(
    target: Target, held: dict[str, _Catalogue], plan: Plan
) -> list[tuple[TablePlan, Uncarried]]:
    parents = {table.table.name: table for table in plan.tables}
    found = []
    for table in plan.tables:
        lacks = [*_lacks(table, held[table.target], parents)]
        if table.exists:
            lacks += _lacks_besides(table, held[table.target], parents)
            lacks += _other_defaults(target, table, held[table.target])
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
            yield Uncarried("unique", f"{place}.{index.name}", f"UNIQUE ({_listed(index)})")
    for foreign in table.table.foreign_keys:
        parent = parents.get(foreign.parent)
        if parent is None:
            continue
        if _pairs(foreign, names, parent) not in held.foreign_keys:
            label = f"{place}({', '.join(foreign.columns)})"
            yield Uncarried("foreign key", label, f"FOREIGN KEY to {parent.target}")
    for column in table.columns:
        if column.not_null and column.target not in held.not_null:
            yield Uncarried("not null", f"{place}.{column.source}", "NOT NULL")
        if column.source == table.table.rowid_alias and column.target not in held.numbered:
            yield Uncarried("numbering", f"{place}.{column.source}", "number for each new row")


def _lacks_besides(
    table: TablePlan, held: _Catalogue, parents: dict[str, TablePlan]
) -> Iterator[Uncarried]:
    """What only a table that was there before may lack."""
    names = {column.source: column.target for column in table.columns}
    place = table.table.name
    for column in table.table.columns:
        target, label = names.get(column.name), f"{place}.{column.name}"
        default = column.default if (column.default or "").upper() != "NULL" else None
        if default is not None and target is not None and target not in held.defaults:
            yield Uncarried("default", label, f"DEFAULT {default}")
        if column.expression and target is not None and target not in held.computed:
            yield Uncarried("expression", label, f"GENERATED ALWAYS AS ({column.expression})")
    yield from _lacking_checks(table, names, held)
    yield from _lacking_indexes(table, names, held)
    for key in table.table.foreign_keys:
        found = held.foreign_keys.get(_pairs(key, names, parents.get(key.parent)))
        label = f"{place}({', '.join(key.columns)})"
        if found is None:
            continue
        for event, ours, theirs in (
            ("UPDATE", key.on_update, found.on_update),
            ("DELETE", key.on_delete, found.on_delete),
        ):
            if ours != theirs:
                yield Uncarried("foreign key", label, f"ON {event} {ours} (but {theirs})")
        if key.deferrable != found.deferrable:
            wanted = key.deferrable or f"NOT DEFERRABLE (but {found.deferrable})"
            yield Uncarried("foreign key", label, wanted)


def _other_defaults(target: Target, table: TablePlan, held: _Catalogue) -> Iterator[Uncarried]:
    """DEFAULTs of another value."""
    for planned in table.columns:
        column, theirs = table.table.column(planned.source), held.defaults.get(planned.target)
        if column is None or column.default is None or column.default.upper() == "NULL":
            continue
        # SQLite never uses that of the number of a row
        if not theirs or planned.computed or planned.source == table.table.rowid_alias:
            continue
        if same_default.differs(target, table, column, theirs):
            place = f"{table.table.name}.{planned.source}"
            yield Uncarried("default", place, f"DEFAULT {column.default} (but {theirs})")


def _lacking_checks(
    table: TablePlan, names: dict[str, str], held: _Catalogue
) -> Iterator[Uncarried]:
    """CHECKs without one of the same columns; what they say is not compared."""
    left = list(held.checks)
    sources = {sql.folded(source): target for source, target in names.items()}
    for name, text in table.table.checks:
        try:
            columns = frozenset(sources.get(column, "") for column in parsing.columns_in(text))
        except Untranslated:
            continue
        if columns in left:
            left.remove(columns)
        else:
            label = f"{table.table.name}.{name}" if name else table.table.name
            yield Uncarried("check", label, f"CHECK ({' '.join(text.split())})")


def _lacking_indexes(
    table: TablePlan, names: dict[str, str], held: _Catalogue
) -> Iterator[Uncarried]:
    left = list(held.indexes)
    for index in table.table.indexes:
        if index.origin == "pk" or (index.unique and not _holds_unique(index, names, held)):
            continue  # the latter is told of any table
        columns = tuple(names.get(part.name or "", "") for part in index.columns)
        found = next(
            (i for i in left if i.unique >= index.unique and i.stands_for(index, names)), None
        )
        if found is not None:
            left.remove(found)
        elif not index.unique and not index.partial and all(columns):
            # a longer one serves as well, one of some rows doesn't
            alike = [i.predicate for i in held.indexes if i.columns[: len(columns)] == columns]
            if all(alike):
                but = f" (but one WHERE {alike[0]})" if alike else ""
                yield Uncarried(
                    "index", f"{table.table.name}.{index.name}", f"INDEX ({_listed(index)}){but}"
                )
        elif not (index.unique and not _is_special(index)):  # that one is looked for in any table
            word = "UNIQUE" if index.unique else "INDEX"
            where = f" WHERE {index.where}" if index.where else ""
            yield Uncarried(
                "index", f"{table.table.name}.{index.name}", f"{word} ({_listed(index)}){where}"
            )


def _listed(index: Index) -> str:
    """Its columns, as the source says them."""
    parts = [
        (part.name or part.expression)
        + (f" COLLATE {part.collation}" if part.collation != "BINARY" else "")
        for part in index.columns
    ]
    return ", ".join(parts)


def _pairs(
    key: ForeignKey, names: dict[str, str], parent: TablePlan | None
) -> tuple[str, frozenset[tuple[str, str]]]:
    """A foreign key in the target's names, as the catalogue is asked for it."""
    others = {column.source: column.target for column in parent.columns} if parent else {}
    pairs = zip(key.columns, key.parent_columns, strict=False)
    wanted = frozenset((names.get(c, c), others.get(p, p)) for c, p in pairs)
    return (parent.target if parent else ""), wanted


def _is_special(index: Index) -> bool:
    return index.partial or any(p.name is None or p.collation != "BINARY" for p in index.columns)


def _holds_unique(index: Index, names: dict[str, str], held: _Catalogue) -> bool:
    columns = [names.get(part.name or "") for part in index.columns]
    wanted = frozenset(column for column in columns if column)
    uniques = [one for one in held.indexes if one.unique]
    # a column may be named twice
    plain = any(one.is_plain and frozenset(one.columns) == wanted for one in uniques)
    if not index.partial and all(columns) and plain:
        return True
    texts = [one.text for one in uniques if not one.is_plain]
    named = [_written(column) for column in wanted]
    return _is_special(index) and any(all(c in text for c in named) for text in texts)


def _written(column: str) -> str:
    """A name as it stands in an expression, with or without quotes around it."""
    return sql.name(column)[1:-1]


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
               k.confupdtype::text, k.confdeltype::text, k.condeferrable, k.condeferred
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        LEFT JOIN pg_class p ON p.oid = k.confrelid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND k.contype IN ('p', 'f', 'c')
        """,
        asked,
    ).fetchall()
    for table, kind, parent, columns, others, update, delete, deferrable, deferred in constraints:
        if kind == "p":
            found[table].primary_key = tuple(columns)
        elif kind == "c":
            found[table].checks.append(frozenset(columns or ()))
        else:
            pairs = frozenset(zip(columns, others, strict=True))
            when = "DEFERRABLE" * deferrable + " INITIALLY DEFERRED" * deferred
            does = _HeldKey(sql.ACTIONS[update], sql.ACTIONS[delete], when)
            found[table].foreign_keys[parent, pairs] = does
    indexes = target.connection.execute(
        """
        SELECT c.relname, i.indisunique, coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
               ARRAY(SELECT coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, o.n::int, false))
                     FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
                     LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.num AND o.num <> 0
                     WHERE o.n <= i.indnkeyatts ORDER BY o.n),
               ARRAY(SELECT o.num = 0 FROM unnest(i.indkey) WITH ORDINALITY o(num, n)
                     WHERE o.n <= i.indnkeyatts ORDER BY o.n)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
        """,
        asked,
    ).fetchall()
    for table, unique, predicate, columns, computed in indexes:
        parts = tuple(zip(columns, computed, strict=True))
        found[table].indexes.append(_HeldIndex(unique, predicate, parts))
    attributes = target.connection.execute(
        """
        SELECT c.relname, a.attname, a.attnotnull,
               a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%',
               CASE WHEN a.attidentity <> '' THEN '' ELSE pg_get_expr(d.adbin, d.adrelid) END,
               a.attgenerated <> ''
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND a.attnum > 0 AND NOT a.attisdropped
        """,
        asked,
    ).fetchall()
    for table, column, not_null, numbered, default, computed in attributes:
        found[table].columns.add(column)
        if computed:
            found[table].computed.add(column)
        if default is not None:
            found[table].defaults[column] = default
        if not_null:
            found[table].not_null.add(column)
        if numbered:
            found[table].numbered.add(column)
    return found


def told(lack: Uncarried) -> str:
    """A line for the notes."""
    return f"{lack.name}: the target's table has no {lack.reason}, the source has"
