"""Whole rows of what came back: as SQLite would store them, in a table that is declared like the real one.

New values are in the form of their column (see ``textual_form``), all others as the kept file
stores them. So what affinity, NOT NULL, CHECK, UNIQUE and STRICT make of a row is seen before
anything is changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from migrate_db import sql
from migrate_db.codecs.codec import Cell
from migrate_db.errors import MigrationError, Misassumed
from migrate_db.finding import Finding
from migrate_db.planning import bulky
from migrate_db.planning.plan import ColumnPlan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.reverse import textual_form, unfit
from migrate_db.reverse.staging import ADDED, CHANGED, REMOVED, Staged, Staging
from migrate_db.rows import line
from migrate_db.visible import decoded


def make(
    staging: Staging, base: sqlite3.Connection, target: Target, assumed: bool
) -> Iterator[Finding]:
    """Make every row as it will be, and name each value that the file can't hold.

    Args:
        base: the kept file, with ``staging`` attached.
        assumed: only some values of large tables were looked at.

    Raises:
        Misassumed: that was not enough.
    """
    for staged in staging.tables:
        _name_rows(base, staged)
        if assumed:
            _demand_fitting(base, staged)
        forms = [_form(base, staged.plan, column) for column in staged.plan.columns]

        def cell(number: int, text: str, forms: list[textual_form.Form] = forms) -> Cell:
            return forms[number](text)

        base.create_function("m_cell", 2, cell, deterministic=True)
        yield from _fill(base, staged)
        _fetch(base, staged, target)
        yield from unfit.values(base, staged, target.schema)
        base.commit()


def _form(base: sqlite3.Connection, plan: TablePlan, column: ColumnPlan) -> textual_form.Form:
    form = textual_form.form_of(base, plan, column)
    if not column.bulky:
        return form
    nothing: Cell = b"" if column.codec.type == "bytea" else ""
    # such a value comes later, see ``_fetch``
    return lambda text: nothing if bulky.is_digest(text) else form(text)


def _fetch(base: sqlite3.Connection, staged: Staged, target: Target) -> None:
    """Values of megabytes, which were compared by their digests; one at a time."""
    plan, number = staged.plan, staged.number
    shown = ", ".join(f"e.k{k}" for k in range(len(plan.key) or 1))
    for i, column in enumerate(plan.columns):
        if not column.bulky:
            continue
        wanted: dict[tuple[str, ...], list[int]] = {}
        for row, *texts in base.execute(
            f"SELECT f.row, {shown} FROM staged.e{number} e JOIN staged.f{number} f ON f.n = e.n"
            f" WHERE e.kind <> {REMOVED} AND e.t{i} LIKE 'sha256:%'"
        ):
            wanted.setdefault(tuple(map(decoded, texts)), []).append(row)
        for key, value in _held(target, plan, column, list(wanted)):
            # rows that are alike in everything have one key
            for row in wanted.pop(key, ()):
                base.execute(
                    f"UPDATE made.{staged.name} SET {sql.name(column.source)} = ?"
                    f" WHERE {staged.row} = ?", (value, row),
                )  # fmt: skip


def _held(
    target: Target, plan: TablePlan, column: ColumnPlan, wanted: list[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Cell]]:
    """PostgreSQL's values of a column, each with the key of its row; the table is read once for all of them."""
    if not wanted:
        return
    keys = [plan.column(c).codec.held_of(sql.name(plan.column(c).target)) for c in plan.key]
    named = ", ".join(keys or [line.held(plan)])
    cast = "" if column.codec.type == "bytea" else "::text"
    place = sql.qualified(target.schema, plan.target)
    statement = f"SELECT {named}, {sql.name(column.target)}{cast} FROM {place} WHERE ({named}) IN"
    texts = [list(part) for part in zip(*wanted, strict=True)]
    arrays = ", ".join(["%s::text[]"] * len(texts))
    statement = statement.replace("%", "%%") + f" (SELECT * FROM unnest({arrays}))"
    with target.connection.cursor(name="bulky") as cursor:
        cursor.itersize = 1
        for *key, value in cursor.execute(statement.encode(), texts):
            yield tuple(key), value


def _name_rows(base: sqlite3.Connection, staged: Staged) -> None:
    """Find what names each row: in the file, or for a new one, what will."""
    plan, number = staged.plan, staged.number
    if plan.table.rowid_alias and plan.key == (plan.table.rowid_alias,):
        base.execute(f"CREATE TABLE staged.f{number} (row INTEGER PRIMARY KEY, n)")
        base.execute(
            f"INSERT INTO staged.f{number} SELECT CAST(k0 AS INTEGER), n FROM staged.e{number}"
        )
        return
    cells = [plan.column(column) for column in plan.key]
    keys = [c.codec.stored_of(c.cell) for c in cells] or [line.stored(plan)]
    named = ", ".join(f"{key} AS m_k{i}" for i, key in enumerate(keys))
    same = " AND ".join(f"e.k{i} = r.m_k{i}" for i in range(len(keys)))
    if staged.row:
        alias = plan.table.rowid_alias
        # a table of the app's own may lack the key that names a row here
        numbers = [i for i, c in enumerate(plan.columns) if c.source == alias]
        base.execute(f"CREATE TABLE staged.f{number} (row INTEGER, n)")
        base.execute(f"CREATE INDEX staged.fr{number} ON f{number} (row)")
        rows = f"SELECT {staged.row} AS m_row, {named} FROM {plan.relation}"
        found = _paired(rows, number) if not plan.key else (
            f"SELECT r.m_row AS row, e.n AS n FROM ({rows}) r CROSS JOIN staged.e{number} e ON {same}"
            f" WHERE e.kind <> {ADDED}"
        )  # fmt: skip
        base.execute(f"INSERT INTO staged.f{number} {found}")
        new = (
            f"CAST(t{numbers[0]} AS INTEGER)"
            if numbers
            else (
                f"(SELECT ifnull(max({staged.row}), 0) FROM main.{staged.name}) + row_number() OVER (ORDER BY n)"
            )
        )
        base.execute(
            f"INSERT INTO staged.f{number} SELECT {new}, n FROM staged.e{number} WHERE kind = {ADDED}"
        )
    else:
        own = ", ".join(f"{sql.name(c)} AS m_p{i}" for i, c in enumerate(staged.keys))
        parts = ", ".join(f"p{i}" for i in range(len(staged.keys)))
        theirs = ", ".join(f"r.m_p{i}" for i in range(len(staged.keys)))
        base.execute(f"CREATE TABLE staged.f{number} (n INTEGER PRIMARY KEY, {parts})")
        base.execute(
            f"INSERT INTO staged.f{number} SELECT e.n, {theirs} FROM (SELECT {own}, {named}"
            f" FROM {plan.relation}) r CROSS JOIN staged.e{number} e ON {same}"
            f" WHERE e.kind <> {ADDED}"
        )
    (named_rows,) = base.execute(
        f"SELECT (SELECT count(*) FROM staged.e{number} WHERE kind <> {ADDED})"
        f" - (SELECT count(*) FROM staged.f{number} f JOIN staged.e{number} e ON e.n = f.n"
        f" WHERE e.kind <> {ADDED})"
    ).fetchone()
    if named_rows:
        raise MigrationError(
            f"{abs(named_rows)} changed rows were not found again in the kept file",
            where=f"table {plan.table.name}",
            next="nothing was changed; please report this",
        )


def _paired(rows: str, number: int) -> str:
    """Of rows that are alike the last ones go, as many as are missing: the first with the first, each side counted."""
    removed = f"FROM staged.e{number} WHERE kind = {REMOVED}"
    return (
        "SELECT a.row, b.n FROM (SELECT m_row AS row, m_k0 AS k0, row_number() OVER"
        f" (PARTITION BY m_k0 ORDER BY m_row DESC) AS at FROM ({rows}) WHERE m_k0 IN (SELECT k0 {removed})) a"
        f" JOIN (SELECT n, k0, row_number() OVER (PARTITION BY k0 ORDER BY n) AS at {removed}) b"
        " ON a.k0 = b.k0 AND a.at = b.at"
    )


def _demand_fitting(base: sqlite3.Connection, staged: Staged) -> None:
    """What was proved once fits its codec; a row that doesn't shows that another one was right."""
    misfits = sql.joined([c.codec.misfit_of(c.cell) for c in staged.plan.columns], " OR ")
    row = base.execute(
        f"SELECT 1 FROM {staged.plan.relation} WHERE {staged.removed()} AND ({misfits}) LIMIT 1"
    ).fetchone()
    if row is not None:
        raise Misassumed


def _fill(base: sqlite3.Connection, staged: Staged) -> Iterator[Finding]:
    """Whole rows into ``made``; those that SQLite refuses are named."""
    statements = (_changed_rows(staged), _added_rows(staged))
    try:
        for statement in statements:
            base.execute(statement)
        return
    except sqlite3.IntegrityError:
        base.execute(f"DELETE FROM made.{staged.name}")
    if staged.row:
        base.execute(f"CREATE INDEX staged.fn{staged.number} ON f{staged.number} (n)")
    told = 0
    for kind, statement in zip((CHANGED, ADDED), statements, strict=True):
        rows = base.execute(f"SELECT n FROM staged.e{staged.number} WHERE kind = {kind}")
        for (number,) in rows:
            try:
                # in whatever order finds the one row soonest
                base.execute(f"{statement.replace('CROSS JOIN', 'JOIN')} AND e.n = {number}")
            except sqlite3.IntegrityError as error:
                yield unfit.row(base, staged, number, f"SQLite refuses the row: {error}")
                told += 1
                if told == unfit.FEW:
                    return


def _cells(staged: Staged) -> dict[str, tuple[int, ColumnPlan]]:
    """Columns whose values come from PostgreSQL."""
    return {
        column.source: (i, column)
        for i, column in enumerate(staged.plan.columns)
        if column.source in staged.columns
    }


def _changed_rows(staged: Staged) -> str:
    cells, number = _cells(staged), staged.number
    values = [
        f"CASE WHEN e.t{cells[c][0]} IS NULL THEN k.{sql.name(c)}"
        f" ELSE m_cell({cells[c][0]}, e.t{cells[c][0]}) END"
        if c in cells
        else f"k.{sql.name(c)}"
        for c in staged.columns
    ]
    names = sql.names(staged.columns)
    if staged.row and not staged.plan.table.rowid_alias:
        names, values = f"{staged.row}, {names}", ["f.row", *values]
    if staged.row:
        same = f"k.{staged.row} = f.row"
    else:
        same = " AND ".join(f"k.{sql.name(c)} = f.p{i}" for i, c in enumerate(staged.keys))
    return (
        f"INSERT OR ABORT INTO made.{staged.name} ({names}) SELECT {', '.join(values)}"
        f" FROM staged.f{number} f CROSS JOIN staged.e{number} e ON e.n = f.n"
        f" CROSS JOIN main.{staged.name} k ON {same} WHERE e.kind = {CHANGED}"
    )


def _added_rows(staged: Staged) -> str:
    cells, number = _cells(staged), staged.number
    # a column that was left out gets its default
    columns = [c for c in staged.columns if c in cells]
    values = [f"m_cell({cells[c][0]}, e.t{cells[c][0]})" for c in columns]
    names, rows = sql.names(columns), f"staged.e{number} e"
    if staged.row and not staged.plan.table.rowid_alias:
        names, values = f"{staged.row}, {names}", ["f.row", *values]
        rows = f"staged.f{number} f CROSS JOIN staged.e{number} e ON e.n = f.n"
    return (
        f"INSERT OR ABORT INTO made.{staged.name} ({names}) SELECT {', '.join(values)}"
        f" FROM {rows} WHERE e.kind = {ADDED}"
    )
