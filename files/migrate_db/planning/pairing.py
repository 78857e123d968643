"""Which table and column of PostgreSQL one of SQLite becomes: by the same name, as far as that is possible."""

from __future__ import annotations

from dataclasses import replace

from migrate_db import sql
from migrate_db.planning.mapping import Mapping, TableWish
from migrate_db.postgresql import names
from migrate_db.postgresql.target import TargetColumn, TargetTable
from migrate_db.sqlite.schema import Column, Schema, Table


def target_names(schema: Schema, mapping: Mapping) -> set[str]:
    """The tables' names in PostgreSQL."""
    return {mapping.table(t.name).rename or names.fitting(t.name) for t in schema.tables}


def as_spelled(schema: Schema, mapping: Mapping, spelled: dict[str, str]) -> Mapping:
    """The mapping with the target's own spelling of tables that nobody renames.

    Args:
        spelled: the target's name by ours.
    """
    tables = dict(mapping.tables)
    for table in schema.tables:
        wish, there = mapping.table(table.name), spelled.get(names.fitting(table.name))
        if there is not None and not wish.rename and not wish.exclude:
            tables[table.name] = replace(wish, rename=there)
    return replace(mapping, tables=tables)


def column_names(table: Table, wish: TableWish) -> dict[str, str]:
    """The columns' names in a table that is yet to be made; no two are the same."""
    renamed = {c.name: given for c in table.columns if (given := wish.column(c.name).rename)}
    wanted = {c.name: renamed.get(c.name) or _column_name(c.name) for c in table.columns}
    kept = [name for name in wanted if wanted[name] == name or name in renamed]
    space = names.Names.of(wanted[name] for name in kept)
    return {
        name: place if name in kept else space.free(place, "column", table.name)
        for name, place in wanted.items()
    }


def _column_name(source_name: str) -> str:
    return source_name + "_" if source_name in names.SYSTEM_COLUMNS else names.fitting(source_name)


def paired(
    table: Table, wish: TableWish, present: TargetTable
) -> tuple[list[tuple[Column, TargetColumn | None]], list[TargetColumn]]:
    """Each column that is wanted with the target's own, and the target's that are left over."""
    ours = column_names(table, wish)
    free = {column.name: column for column in present.columns}
    pairs: list[tuple[Column, TargetColumn | None]] = []
    for column in table.columns:
        if wish.column(column.name).exclude:
            continue
        match = _match(column.name, ours[column.name], free)
        if match is not None:
            del free[match.name]
        pairs.append((column, match))
    return pairs, list(free.values())


def _match(column: str, ours: str, free: dict[str, TargetColumn]) -> TargetColumn | None:
    exact = free.get(ours)
    if exact is not None:
        return exact
    alike = [c for c in free.values() if sql.folded(c.name) == sql.folded(column)]
    return alike[0] if len(alike) == 1 else None
