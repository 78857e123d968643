"""Every value is scanned, and everything decided: makes the plan, and names what stands against it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

from migrate_db import sql
from migrate_db.finding import Finding, Findings
from migrate_db.planning import bulky, own_rules, references, remarks
from migrate_db.planning.draft import Draft, doubles, draw, misfits, objections, required
from migrate_db.planning.mapping import ColumnWish, Mapping, TableWish
from migrate_db.planning.plan import ColumnPlan, Plan, TablePlan
from migrate_db.planning.quarantine import Quarantine
from migrate_db.postgresql import row_rules
from migrate_db.postgresql.target import Target, TargetTable
from migrate_db.sqlite import parents, source
from migrate_db.sqlite.schema import Column, Schema, Table, Uncarried


def make(
    connection: sqlite3.Connection,
    schema: Schema,
    existing: dict[str, TargetTable],
    mapping: Mapping,
    findings: Findings,
    quarantine: Quarantine | None = None,
    quick: bool = False,
    reversing: bool = False,
    target: Target | None = None,
) -> Plan:
    """Scan every value and decide.

    Args:
        connection: the snapshot, with ``functions`` registered.
        existing: the target's tables, by name; they keep their own columns.
        findings: receives whatever stands against it.
        quarantine: receives the rows with findings; None: they stand in the way.
        quick: take a large table as declared if a sample fits.
        reversing: the target's rows are what counts; the source's need only be readable.
        target: is asked which rows break a rule of its tables; None: the load will say so.
    """
    quick = quick and source.HAS_LIMITS  # or nothing stops a line of gigabytes
    notes: list[str] = []
    uncarried = list(schema.uncarried)
    blocking = 0

    def found(finding: Finding) -> bool:
        """Note a finding; whether its row stays behind."""
        nonlocal blocking
        findings.add(finding)
        if quarantine is not None and quarantine.add(finding):
            return True
        blocking += 1
        return False

    drafts: dict[str, Draft] = {}
    for table in schema.tables:
        wish = _readable(table, mapping.table(table.name))
        none = table.columns and all(wish.column(c.name).exclude for c in table.columns)
        if wish.exclude or none:
            why = "excluded, as you asked" if wish.exclude else "each of its columns is excluded"
            uncarried.append(Uncarried("table", table.name, why))
            continue
        drafts[table.name], problems = draw(connection, schema, table, wish, existing, notes, quick)
        filled = drafts[table.name].profile.rows or not drafts[table.name].profile.columns
        for problem in problems:
            if filled or problem.kind == "too wide":  # the others are about rows to come
                found(problem)
            elif problem.kind == "no column":
                notes.append(
                    f"{table.name}.{problem.column}: {problem.reason}; no row is there yet"
                )
        uncarried += [
            Uncarried("column", f"{table.name}.{column}", _why_not(table.column(column)))
            for column, wanted in wish.columns.items()
            if wanted.exclude
        ]
    references.agree(connection, drafts, notes)
    object_to = misfits if reversing else objections
    for draft in drafts.values():
        for finding in object_to(connection, draft):
            found(finding)
    if target is not None and not reversing:
        for finding in _rule_breakers(connection, target, drafts, quarantine):
            found(finding)
    if not reversing:
        for draft in drafts.values():
            for finding in doubles(connection, draft, references.relation(draft, quarantine)):
                found(finding)
        references.orphans(connection, drafts, found, quarantine)
    tables = []
    for draft in drafts.values():
        notes += remarks.of_table(connection, draft)
        notes += remarks.of_numbers(connection, draft)
        tables.append(_planned(connection, draft, drafts, quarantine))
    if quarantine is not None:
        connection.commit()
    return Plan(
        schema=schema,
        tables=tuple(tables),
        notes=tuple(notes),
        uncarried=tuple(uncarried),
        blocking=blocking,
        quarantine=quarantine,
        mapping=mapping,
        assumed=any(draft.profile.assumed for draft in drafts.values()),
    )


def _rule_breakers(
    connection: sqlite3.Connection,
    target: Target,
    drafts: dict[str, Draft],
    quarantine: Quarantine | None,
) -> Iterator[Finding]:
    """Rows that the target's own rules refuse, but for those that stay behind already."""
    there = [draft for draft in drafts.values() if draft.present and not draft.profile.assumed]
    rules = row_rules.read(target, [draft.target for draft in there]) if there else {}
    for draft in there:
        if draft.target in rules:
            rows = references.relation(draft, quarantine)
            yield from own_rules.broken(connection, target, draft, rules[draft.target], rows)


def _readable(table: Table, wish: TableWish) -> TableWish:
    """The wish, without the columns that SQLite can't work out."""
    lost = {c.name: ColumnWish(exclude="true") for c in table.columns if c.unreadable}
    return replace(wish, columns={**wish.columns, **lost}) if lost else wish


def _why_not(column: Column | None) -> str:
    if column is None or not column.unreadable:
        return "excluded, as you asked"
    return f"it is stored nowhere, and SQLite can't work it out: {column.unreadable}"


def _planned(
    connection: sqlite3.Connection,
    draft: Draft,
    drafts: dict[str, Draft],
    quarantine: Quarantine | None,
) -> TablePlan:
    table = draft.table
    cells = {column.column: column.cell for column in draft.profile.columns}
    there: list[parents.Keys] = []
    for key, parent, ours, theirs in references.carried(draft, drafts):
        cut = references.cut(draft, key)
        if cut is not None:
            own_cells, other_cells = references.compared(ours, theirs)
            own = ", ".join(f"{cell} COLLATE BINARY" for cell in own_cells)
            name, rows = f"{table.name} {len(there)}", references.relation(parent, quarantine)
            there.append(keys := parents.Keys(name, other_cells, rows))
            parents.write_down(connection, keys)
            row = f"({own})" if len(ours) > 1 else own
            # a reference that is NULL in part names no row, so it lacks none
            partly = "".join(f"{cell} IS NULL OR " for cell in own_cells)
            cells[cut] = f"CASE WHEN {partly}{row} IN {keys.rows} THEN {cells[cut]} END"
    left = quarantine.count(table) if quarantine is not None else 0
    relation = references.relation(draft, quarantine)
    plain = {
        c.column: c.codec for c in draft.profile.columns if cells[c.column] == sql.name(c.column)
    }
    large = {} if draft.profile.assumed else bulky.find(connection, table, relation, plain)
    # what rows contradict names none of them
    contradicted = draft.wish.primary_key if table.primary_key else draft.wish.unique
    keyed = (
        not contradicted and draft.has(key_columns := _key(table)) and _is_key(draft, key_columns)
    )
    no_null = required(draft)
    return TablePlan(
        table=table,
        target=draft.target,
        exists=draft.present is not None,
        rows=draft.profile.rows - left,
        target_rows=draft.present.rows if draft.present else 0,
        columns=tuple(
            ColumnPlan(
                source=column.column,
                target=draft.names[column.column],
                codec=column.codec,
                not_null=bool((c := table.column(column.column)) and c.not_null)
                and not draft.wish.column(column.column).nulls,
                cell=cells[column.column],
                computed="the target's own expression" * draft.is_computed(column.column),
                required=column.column in no_null,
                bulky=large.get(column.column, 0),
            )
            for column in draft.profile.columns
        ),
        key=key_columns if keyed else (),
        highest=draft.highest,
        relation=relation,
        parents=tuple(there),
        wish=draft.wish,
        contradicted=frozenset(draft.contradicted),
        assumed=draft.profile.assumed,
    )


def _is_key(draft: Draft, columns: tuple[str, ...]) -> bool:
    """Whether these name a row of the target's table, too; one of the app's own need not have the key."""
    if any(draft.wish.column(column).nulls for column in columns):
        return False
    own = {frozenset(unique) for unique in draft.present.uniques} if draft.present else None
    return own is None or frozenset(draft.names[column] for column in columns) in own


def _key(table: Table) -> tuple[str, ...]:
    """Columns that name a row in both databases: the primary key, or a strict unique one."""
    if table.primary_key:
        return table.primary_key
    for index in table.indexes:
        names = [column.name for column in index.columns]
        columns = [table.column(name) for name in names if name is not None]
        if (
            index.unique
            and not index.partial
            and len(columns) == len(index.columns)
            and all(column is not None and column.not_null for column in columns)
        ):
            return tuple(column.name for column in columns if column is not None)
    return ()
