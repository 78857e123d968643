"""What the file can't hold of what came back: the finding, and the statement that changes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice

from migrate_db import sql
from migrate_db.finding import Finding
from migrate_db.planning import bulky
from migrate_db.planning.plan import ColumnPlan, TablePlan
from migrate_db.reverse import textual_form
from migrate_db.reverse.staging import REMOVED, Staged
from migrate_db.visible import decoded, visible

#: Findings of one table that are told, at most.
FEW = 10_000
#: Characters of a value that are shown.
_SHOWN = 60


def row(base: sqlite3.Connection, staged: Staged, number: int, reason: str) -> Finding:
    """A row that SQLite refuses as a whole."""
    advice = "change the row on PostgreSQL, as an administrator; then run again"
    return _finding(base, staged, number, None, "", reason, advice)


def values(base: sqlite3.Connection, staged: Staged, schema: str) -> Iterator[Finding]:
    """Values that the file would store as another one than PostgreSQL's."""
    plan, number = staged.plan, staged.number
    made = {
        decoded(row[1])
        for row in base.execute(f"PRAGMA made.table_xinfo({staged.name})").fetchall()
    }
    judged = [
        (i, column)
        for i, column in enumerate(plan.columns)
        # a reference that was cut depends on the parent's rows, which aren't there yet
        if column.source in made and plan.wish.column(column.source).orphans != "null"
    ]
    stored = [
        f"{bulky.stored(c.codec, c.cell) if c.bulky else c.codec.stored_of(c.cell)} AS m_s{i}"
        for i, c in judged
    ]
    wrong = " OR ".join(f"(e.t{i} IS NOT NULL AND v.m_s{i} <> e.t{i})" for i, _ in judged)
    if staged.row:
        named, link = f"{staged.row} AS m_row", f"staged.f{number} f ON f.row = v.m_row"
        link += f" CROSS JOIN staged.e{number} e ON e.n = f.n"
    elif plan.key:
        yield from _with_other_keys(base, staged, schema)
        keys = [plan.columns.index(plan.column(column)) for column in plan.key]
        named = "1 AS m_row"
        link = f"staged.e{number} e ON " + " AND ".join(
            f"e.k{i} = v.m_s{at}" for i, at in enumerate(keys)
        )
    else:  # the proof is the judge
        return
    rows = base.execute(
        f"SELECT e.n, {', '.join(f'e.t{i}, v.m_s{i}' for i, _ in judged)}"
        f" FROM (SELECT {named}, {', '.join(stored)} FROM made.{staged.name}) v"
        f" CROSS JOIN {link} WHERE e.kind <> {REMOVED} AND ({wrong})"
    )
    for row in islice(rows, FEW):
        for (_, column), (wanted, got) in zip(judged, _pairs(row[1:]), strict=True):
            if wanted is not None and wanted != got:
                text = decoded(wanted)
                declared = plan.table.column(column.source)
                reason = textual_form.unfit(
                    column.codec, text, declared.declared if declared else ""
                )
                key = _key(base, staged, int(row[0]))
                yield _finding(
                    base,
                    staged,
                    int(row[0]),
                    column,
                    text,
                    reason,
                    _advice(plan, column, key, schema),
                )


def _with_other_keys(base: sqlite3.Connection, staged: Staged, schema: str) -> Iterator[Finding]:
    """Rows whose key the file would store as another one, so that they aren't found by it."""
    plan, number = staged.plan, staged.number
    columns = [plan.column(column) for column in plan.key]
    keys = ", ".join(f"{c.codec.stored_of(c.cell)} AS k{i}" for i, c in enumerate(columns))
    names = ", ".join(f"k{i}" for i in range(len(columns)))
    base.execute(f"CREATE TABLE staged.v{number} AS SELECT {keys} FROM made.{staged.name}")
    base.execute(f"CREATE INDEX staged.vk{number} ON v{number} ({names})")
    rows = base.execute(
        f"SELECT e.n, {', '.join(f'e.k{i}' for i in range(len(columns)))} FROM staged.e{number} e"
        f" WHERE e.kind <> {REMOVED} AND ({', '.join(f'e.k{i}' for i in range(len(columns)))})"
        f" NOT IN (SELECT {names} FROM staged.v{number})"
    )
    for row, *texts in islice(rows, FEW):
        column, text = columns[0], decoded(texts[0])
        declared = plan.table.column(column.source)
        reason = textual_form.unfit(column.codec, text, declared.declared if declared else "")
        advice = _advice(plan, column, [decoded(t) for t in texts], schema)
        yield _finding(base, staged, int(row), column, text, reason, advice)


def _pairs(values: tuple[object, ...]) -> Iterator[tuple[object, object]]:
    return zip(values[::2], values[1::2], strict=True)


def _key(base: sqlite3.Connection, staged: Staged, number: int) -> list[str]:
    keys = ", ".join(f"k{i}" for i in range(len(staged.plan.key) or 1))
    row = base.execute(f"SELECT {keys} FROM staged.e{staged.number} WHERE n = {number}").fetchone()
    return [decoded(value) for value in row]


def _finding(
    base: sqlite3.Connection, staged: Staged, number: int, column: ColumnPlan | None,
    value: str, reason: str, advice: str,
) -> Finding:  # fmt: skip
    keys = _key(base, staged, number)
    named = ", ".join(f"{c}={k}" for c, k in zip(staged.plan.key, keys, strict=False))
    return Finding(
        table=staged.plan.table.name,
        key=named or keys[0][:_SHOWN],
        column=column.source if column else "",
        value=_short(value, column),
        reason=reason,
        resolve=advice,
        kind="uncarried",
    )


def _short(canonical: str, column: ColumnPlan | None) -> str:
    if column is not None and column.codec.type in ("double precision", "real"):
        try:
            return str(column.codec.cell(canonical))
        except (ValueError, OverflowError):
            pass
    shown = canonical if len(canonical) <= _SHOWN else canonical[:_SHOWN] + "…"
    return visible(shown)


def _advice(plan: TablePlan, column: ColumnPlan, keys: list[str], schema: str) -> str:
    """The statement that changes this one value."""
    place = sql.qualified(schema, plan.target)
    begin = 'change it on PostgreSQL: psql -c "SET default_transaction_read_only = off" -c "'
    if not plan.key:
        return f'{begin}UPDATE {place} SET {sql.name(column.target)} = … WHERE …"'
    where = " AND ".join(
        f"{sql.name(plan.column(c).target)} = {k if k[:1] in chr(39) + '-0123456789' else sql.string(k)}"
        for c, k in zip(plan.key, keys, strict=True)
    )
    text = f"UPDATE {place} SET {sql.name(column.target)} = … WHERE {where}"
    return begin + text.replace('"', '\\"') + '"'
