"""Changed rows on their way back: written aside as SQLite would store them, and judged there.

First the difference is written down as it comes, canonical text by canonical text. Then SQL
makes whole rows of it, in a table that is declared like the real one: new values in the form of
their column (see ``textual_form``), all others as the kept file stores them. So what affinity,
NOT NULL, CHECK, UNIQUE and STRICT make of a row is seen before anything is changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from migrate_db import (
    bulky,
    collations,
    functions,
    inspection,
    line,
    schema,
    source,
    sql,
    textual_form,
)
from migrate_db.codec import Cell
from migrate_db.difference import Change, Tally, compare
from migrate_db.errors import MigrationError
from migrate_db.finding import Finding
from migrate_db.plan import ColumnPlan, Plan, TablePlan
from migrate_db.target import Target

#: What becomes of a row of the file.
REMOVED, ADDED, CHANGED = 0, 1, 2
_KINDS = {"missing": REMOVED, "extra": ADDED, "different": CHANGED}
#: Findings of one table that are told, at most.
_FEW = 10_000
#: KiB of each file that is kept in memory; they are written and read in their order.
_CACHE = 1024
#: Characters of a value that are shown.
_SHOWN = 60


class Misassumed(Exception):
    """The file has values that a look at some of them did not show."""


@dataclass
class TableReversal:
    """What PostgreSQL did to one table since, as the file sees it."""

    table: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Staged:
    """One table with changed rows."""

    plan: TablePlan
    number: int
    columns: tuple[str, ...]  #: of the file, all that can be written
    row: str  #: SQL of what names a row: its rowid, or empty for a WITHOUT ROWID table

    @property
    def keys(self) -> tuple[str, ...]:
        """What names a row of a WITHOUT ROWID table."""
        return self.plan.table.primary_key

    @property
    def name(self) -> str:
        return sql.name(self.plan.table.name)

    def removed(self, within: str = "true") -> str:
        """SQL condition: rows that go, or come back changed.

        Args:
            within: which of them, by ``f``'s columns.
        """
        going = (
            f"FROM staged.f{self.number} f JOIN staged.e{self.number} e ON e.n = f.n"
            f" WHERE e.kind <> {ADDED} AND {within}"
        )
        if self.row:
            return f"{self.row} IN (SELECT f.row {going})"
        parts = ", ".join(f"f.p{i}" for i in range(len(self.keys)))
        return f"({sql.names(self.keys)}) IN (SELECT {parts} {going})"


@dataclass
class Staging:
    """The changed rows of a whole file; ``changes`` as they came, ``rows`` as they will be."""

    changes: Path
    rows: Path
    tables: list[Staged] = field(default_factory=list)
    reversals: list[TableReversal] = field(default_factory=list)

    @classmethod
    def within(cls, directory: Path) -> Staging:
        """In a directory of its own, which need not be there."""
        directory.mkdir()
        return cls(directory / "changes.db", directory / "rows.db")

    def attach(self, connection: sqlite3.Connection) -> None:
        """As schemas ``staged`` and ``made``."""
        for path, name in ((self.changes, "staged"), (self.rows, "made")):
            connection.execute(f"ATTACH {sql.string(str(path.absolute()))} AS {name}")
            connection.execute(f"PRAGMA {name}.synchronous = OFF")
            connection.execute(f"PRAGMA {name}.cache_size = -{_CACHE}")


def scratch(path: Path, encoding: str) -> sqlite3.Connection:
    """A file that nobody misses."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    for setting in ("synchronous = OFF", f"cache_size = -{_CACHE}"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def collect(
    staging: Staging,
    base: sqlite3.Connection,
    target: Target,
    plan: Plan,
    progress: Callable[[str, int, int, int], None],
) -> None:
    """Write down every row that is not the same on both sides, in constant memory."""
    from migrate_db.blocks import SourceBlocks

    encoding = source.text(base.execute("PRAGMA encoding").fetchone()[0])
    with (
        closing(scratch(staging.changes, encoding)) as file,
        closing(scratch(staging.rows, encoding)) as made,
        SourceBlocks(base, plan.tables) as ahead,
    ):
        file.execute("BEGIN")
        for number, table in enumerate(plan.tables):
            told = TableReversal(table.table.name)
            keys = len(table.key) or 1
            names = [*(f"k{i}" for i in range(keys)), *(f"t{i}" for i in range(len(table.columns)))]
            file.execute(
                f"CREATE TABLE e{number} (n INTEGER PRIMARY KEY, kind, {', '.join(names)})"
            )
            marks = ", ".join("?" * (len(names) + 1))
            tally = Tally()

            def report(rows: int, size: int, table: TablePlan = table) -> None:
                progress(table.table.name, rows, table.rows, size)

            with closing(compare(base, target, table, tally, report, ahead)) as changes:
                file.executemany(
                    f"INSERT INTO e{number} (kind, {', '.join(names)}) VALUES ({marks})",
                    _written(table, changes, told),
                )
            told.unchanged = tally.equal
            staging.reversals.append(told)
            if told.added or told.changed or told.removed:
                staging.tables.append(_staged(table, number))
                _declare(made, base, table)
                if not (table.table.rowid_alias in table.key and keys == 1):
                    listed = ", ".join(f"k{i}" for i in range(keys))
                    file.execute(f"CREATE INDEX ek{number} ON e{number} ({listed})")
            else:
                file.execute(f"DROP TABLE e{number}")
        file.execute("COMMIT")


def _staged(table: TablePlan, number: int) -> Staged:
    row = inspection.rowid(table.table) or ""
    if table.table.rowid_alias:
        row = sql.name(table.table.rowid_alias)
    if not row and not table.table.without_rowid:
        raise MigrationError(
            "columns hide all names of the rowid, so no row can be named",
            where=f"table {table.table.name}",
            next=f"leave it as it was at the cut-over: --leave-out '{table.table.name}'",
        )
    if table.table.in_unknown_order:
        raise MigrationError(
            "an index is in an order that only the app knows; rows can't be written",
            where=f"table {table.table.name}",
            next=f"leave it as it was at the cut-over: --leave-out '{table.table.name}'",
        )
    columns = tuple(c.name for c in table.table.columns if not c.generated)
    return Staged(table, number, columns, "" if table.table.without_rowid else row)


def _written(
    plan: TablePlan, changes: Iterator[Change], told: TableReversal
) -> Iterator[tuple[object, ...]]:
    """One row of ``e…`` for each change; a value that stays is NULL."""
    positions = [plan.columns.index(plan.column(column)) for column in plan.key]
    width = len(plan.columns)
    for change in changes:
        kind = _KINDS[change.kind]
        ours, theirs = change.source, change.target
        if kind == REMOVED:
            told.removed += 1
        elif kind == ADDED:
            told.added += 1
        else:
            told.changed += 1
        one = ours or theirs
        assert one is not None
        keys = [one.fields[i] for i in positions] if positions else [",".join(one.fields)]
        if theirs is None:
            texts: list[str | None] = [None] * width
        elif ours is None:
            texts = list(theirs.fields)
        else:
            texts = [None if a == b else b for a, b in zip(ours.fields, theirs.fields, strict=True)]
        yield (kind, *keys, *texts)


def _declare(made: sqlite3.Connection, base: sqlite3.Connection, plan: TablePlan) -> None:
    """The table as the file declares it; or, where that needs the app, its columns alone."""
    table = plan.table
    try:
        if table.sql:
            collations.stand_in(made)
            made.execute(table.sql)
            functions.register(made)
            listed = sql.names([c.name for c in table.columns])
            made.execute(f"SELECT {listed} FROM {sql.name(table.name)}").fetchone()
            return
    except sqlite3.Error:  # a CHECK with a function of the app's own
        made.execute(f"DROP TABLE IF EXISTS {sql.name(table.name)}")
    made.execute(schema.bare(table))


def make_rows(
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
        yield from _differing(base, staged, target.schema)
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
    keys = [plan.column(c).codec.held_of(sql.name(plan.column(c).target)) for c in plan.key]
    shown = ", ".join(f"e.k{k}" for k in range(len(keys) or 1))
    for i, column in enumerate(plan.columns):
        if not column.bulky:
            continue
        rows = base.execute(
            f"SELECT f.row, {shown} FROM staged.e{number} e JOIN staged.f{number} f ON f.n = e.n"
            f" WHERE e.kind <> {REMOVED} AND e.t{i} LIKE 'sha256:%'"
        ).fetchall()
        cast = "" if column.codec.type == "bytea" else "::text"
        for row, *texts in rows:
            wanted = " AND ".join(
                f"({key}) = {sql.string(source.text(text))}"
                for key, text in zip(keys or [line.held(plan)], texts, strict=True)
            )
            value = target.value(
                f"SELECT {sql.name(column.target)}{cast}"
                f" FROM {sql.qualified(target.schema, plan.target)} WHERE {wanted} LIMIT 1"
            )
            base.execute(
                f"UPDATE made.{staged.name} SET {sql.name(column.source)} = ?"
                f" WHERE {staged.row} = ?", (value, row),
            )  # fmt: skip


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
        base.execute(f"CREATE TABLE staged.f{number} (row INTEGER PRIMARY KEY, n)")
        rows = f"SELECT {staged.row} AS m_row, {named} FROM {plan.relation}"
        found = _paired(rows, number) if not plan.key else (
            f"SELECT r.m_row AS row, e.n AS n FROM ({rows}) r CROSS JOIN staged.e{number} e ON {same}"
            f" WHERE e.kind <> {ADDED}"
        )  # fmt: skip
        base.execute(f"INSERT INTO staged.f{number} {found}")
        base.execute(
            f"INSERT INTO staged.f{number} SELECT (SELECT ifnull(max({staged.row}), 0)"
            f" FROM main.{staged.name}) + row_number() OVER (ORDER BY n), n"
            f" FROM staged.e{number} WHERE kind = {ADDED}"
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
                yield _finding(
                    base, staged, number, None, "", f"SQLite refuses the row: {error}",
                    "change the row on PostgreSQL, as an administrator; then run again",
                )  # fmt: skip
                told += 1
                if told == _FEW:
                    return


def _cells(staged: Staged) -> dict[str, tuple[int, ColumnPlan]]:
    """Columns whose values come from PostgreSQL."""
    return {
        column.source: (i, column)
        for i, column in enumerate(staged.plan.columns)
        if column.source in staged.columns
    } | (
        {c.source: (i, c) for i, c in enumerate(staged.plan.columns)}
        if not staged.plan.table.sql
        else {}
    )


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


def _differing(base: sqlite3.Connection, staged: Staged, schema: str) -> Iterator[Finding]:
    """Values that the file would store as another one than PostgreSQL's."""
    plan, number = staged.plan, staged.number
    made = {
        source.text(row[1])
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
    for row in islice(rows, _FEW):
        for (_, column), (wanted, got) in zip(judged, _pairs(row[1:]), strict=True):
            if wanted is not None and wanted != got:
                text = source.text(wanted)
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
    for row, *texts in islice(rows, _FEW):
        column, text = columns[0], source.text(texts[0])
        declared = plan.table.column(column.source)
        reason = textual_form.unfit(column.codec, text, declared.declared if declared else "")
        advice = _advice(plan, column, [source.text(t) for t in texts], schema)
        yield _finding(base, staged, int(row), column, text, reason, advice)


def _pairs(values: tuple[object, ...]) -> Iterator[tuple[object, object]]:
    return zip(values[::2], values[1::2], strict=True)


def _key(base: sqlite3.Connection, staged: Staged, number: int) -> list[str]:
    keys = ", ".join(f"k{i}" for i in range(len(staged.plan.key) or 1))
    row = base.execute(f"SELECT {keys} FROM staged.e{staged.number} WHERE n = {number}").fetchone()
    return [source.text(value) for value in row]


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
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")


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
