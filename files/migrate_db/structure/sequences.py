"""Numbers for new rows: every sequence goes on after the highest one ever used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.errors import MigrationError
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import WITHOUT_DOMAIN, Target

#: Sequences asked at once.
_BATCH = 50
#: In SQL, of a default that looks its sequence up when it is asked: how that may be called. Such a text may be any.
LATE = (
    r"SELECT trim(both '\"' from (regexp_match(pg_get_expr(f.adbin, f.adrelid),"
    r" '^nextval\(\(''(?:[^'']*\.)?([^''.]*)''::text\)::regclass\)$'))[1])"
)


@dataclass(frozen=True)
class Sequence:
    """A sequence that numbers a column."""

    table: str
    column: str
    next: int  #: the number the next row gets
    highest: int  #: the highest number in use, 0 for an empty table
    step: int = 1
    last: int = 2**63 - 1  #: it ends here
    cycles: bool = False  #: it begins anew at its end

    @property
    def behind(self) -> bool:
        """Whether its next number may be in use."""
        return self.next <= self.highest

    @property
    def sound(self) -> bool:
        """Whether each new row gets a number of its own."""
        return not self.why

    @property
    def why(self) -> str:
        """Why a new row gets none of its own; empty if it does."""
        if self.behind:
            return f"the next number {self.next} is in use (highest {self.highest})"
        if self.step < 0:
            return f"it counts down, to numbers that are in use (highest {self.highest})"
        if self.next > self.last and not self.cycles:
            return f"it ends at {self.last}: a new row gets no number (highest {self.highest})"
        if self.cycles:
            return f"it begins anew after {self.last}, at numbers that are in use (CYCLE)"
        return ""


def advance(target: Target, plan: Plan) -> None:
    """Move every sequence past max(column) and past SQLite's own memory; never back.

    Raises:
        MigrationError: a table of the app's own has no number left.
    """
    behind: dict[str, tuple[_Numbered, int]] = {}
    for numbered, found in _read(target, plan):
        if found.behind:  # two tables may ask the same one
            _, before = behind.get(numbered.sequence, (numbered, 0))
            behind[numbered.sequence] = (numbered, max(found.highest, before))
    for numbered, highest in behind.values():
        if highest >= numbered.last:
            column = f"{sql.name(numbered.plan.target)} ALTER COLUMN {sql.name(numbered.column)}"
            raise MigrationError(
                f"{numbered.plan.target}.{numbered.column}: {highest} is in use, and its sequence"
                f" ends at {numbered.last}: a new row would get no number",
                where=str(target),
                next=f"ALTER TABLE {column} TYPE bigint; ALTER SEQUENCE {numbered.sequence} AS bigint;"
                " then run again",
            )
        # RESTART is undone with the transaction, setval() is not
        target.execute(f"ALTER SEQUENCE {numbered.sequence} RESTART WITH {highest + 1}")


def read(target: Target, plan: Plan) -> list[Sequence]:
    """Where every sequence stands; changes nothing."""
    return [found for _, found in _read(target, plan)]


@dataclass(frozen=True)
class _Numbered:
    """A column and the sequence that its new rows ask."""

    plan: TablePlan
    column: str
    sequence: str  #: quoted, with its schema
    step: int
    last: int  #: the sequence ends here
    cycles: bool

    def query(self, number: int, schema: str) -> str:
        """One row: the given number, where the sequence stands, the highest in the column."""
        place, column = sql.qualified(schema, self.plan.target), sql.name(self.column)
        return (
            f"SELECT {number}, CASE WHEN is_called THEN last_value::numeric + {self.step}"
            f" ELSE last_value END, (SELECT coalesce(ceil(max({column})), 0) FROM {place})"
            f" FROM {self.sequence}"
        )

    def remembered(self) -> int:
        """The highest number that SQLite knows of, rows that are gone included."""
        alias = self.plan.table.rowid_alias
        ours = any((c.source, c.target) == (alias, self.column) for c in self.plan.columns)
        return self.plan.highest if ours else 0


def _read(target: Target, plan: Plan) -> Iterator[tuple[_Numbered, Sequence]]:
    columns = _numbered(target, plan)
    for begin in range(0, len(columns), _BATCH):
        batch = columns[begin : begin + _BATCH]
        queries = (numbered.query(i, target.schema) for i, numbered in enumerate(batch))
        rows = target.execute(" UNION ALL ".join(queries)).fetchall()
        for i, following, highest in sorted(rows):
            numbered = batch[i]
            used = max(int(highest), numbered.remembered())
            table = numbered.plan.table.name
            ends = numbered.step, numbered.last, numbered.cycles
            yield numbered, Sequence(table, numbered.column, int(following), used, *ends)


def _numbered(target: Target, plan: Plan) -> list[_Numbered]:
    """Columns whose identity or default asks a sequence, whoever owns it."""
    rows = target.connection.execute(
        """
        SELECT DISTINCT c.relname, a.attname, a.attnum,
               format('%%I.%%I', n.nspname, s.relname), q.seqincrement, q.seqmax, q.seqcycle
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef f ON f.adrelid = c.oid AND f.adnum = a.attnum
        CROSS JOIN """
        + WITHOUT_DOMAIN
        + """ b
        LEFT JOIN pg_depend d ON (d.deptype = 'i' AND d.classid = 'pg_class'::regclass
                             AND d.refclassid = 'pg_class'::regclass
                             AND d.refobjid = c.oid AND d.refobjsubid = a.attnum)
                         OR (d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                             AND d.refclassid = 'pg_class'::regclass)
        JOIN pg_class s ON s.relkind = 'S'
             AND (s.oid = CASE WHEN d.deptype = 'i' THEN d.objid ELSE d.refobjid END
                  OR s.relnamespace = c.relnamespace AND s.relname IN ("""
        + LATE
        + """))
        JOIN pg_namespace n ON n.oid = s.relnamespace
        JOIN pg_sequence q ON q.seqrelid = s.oid
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
          AND b.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
        ORDER BY c.relname, a.attnum
        """,
        (sql.name(target.schema), [table.target for table in plan.tables]),
    ).fetchall()
    tables = {table.target: table for table in plan.tables}
    return [
        _Numbered(tables[table], column, sequence, int(step), int(last), cycles)
        for table, column, _, sequence, step, last, cycles in rows
    ]
