"""The proof: every value read back and compared, and what a new row would meet."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.rows.blocks import SourceBlocks
from migrate_db.rows.difference import Change, Tally, compare
from migrate_db.structure import catalogue, sequences
from migrate_db.structure.sequences import Sequence
from migrate_db.visible import visible

#: Who wants to know of each row that differs.
Told = Callable[[TablePlan, Change], None]
#: What new rows can't rely on, in some tables.
_BROKEN = (
    "SELECT 'index ' || indexrelid::regclass || ' is not valid'"
    " FROM pg_index WHERE NOT (indisvalid AND indisready) AND indrelid = ANY(%s::regclass[])",
    "SELECT DISTINCT 'a foreign key of ' || tgrelid::regclass || ' is switched off (ALTER TABLE … TRIGGER)'"
    " FROM pg_trigger WHERE tgisinternal AND tgenabled IN ('D', 'R') AND tgrelid = ANY(%s::regclass[])",
    "SELECT 'table ' || oid::regclass || ' is UNLOGGED: a crash of the server empties it'"
    " FROM pg_class WHERE relpersistence = 'u' AND oid = ANY(%s::regclass[])",
)
#: Differences kept per table for the report; all are counted.
_KEPT = 20


@dataclass
class TableProof:
    """The comparison of one table."""

    table: str
    source_rows: int = 0
    target_rows: int = 0
    equal: int = 0  #: rows with every value the same
    values: int = 0  #: values compared
    missing: int = 0
    extra: int = 0
    different: int = 0
    counted: bool = True  #: whether count(*) agrees with what was read, on both sides
    doubtful: bool = False  #: see ``difference.Tally``
    examples: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether both sides are the same."""
        return not (self.missing or self.extra or self.different) and self.counted


@dataclass
class Proof:
    """What was compared, and what came of it."""

    tables: list[TableProof] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)
    #: foreign keys and checks that the server holds but hasn't validated, broken indexes,
    #: and what is gone since the load
    unsound: list[str] = field(default_factory=list)
    #: keys, constraints, indexes, defaults and the like of the load that were looked for
    structure: int = 0
    of_target: bool = True  #: whether new rows of PostgreSQL were thought of, too
    without_tables: bool = False  #: the source has none, and had none at the load

    @property
    def holds(self) -> bool:
        """Whether everything is equal; a proof that compared nothing, where there is something, doesn't."""
        return (
            (bool(self.tables) or self.without_tables)
            and all(table.holds for table in self.tables)
            and all(sequence.sound for sequence in self.sequences)
            and not self.unsound
        )

    @property
    def failures(self) -> list[str]:
        """One line for each thing that isn't equal."""
        lines = [] if self.tables or self.without_tables else ["nothing was compared"]
        for table in self.tables:
            if not table.holds:
                lines.append(
                    f"{table.table}: {table.missing} missing, {table.extra} extra,"
                    f" {table.different} different"
                    + ("" if table.counted else ", and count(*) disagrees")
                )
                lines += [f"  {example}" for example in table.examples]
        lines += [
            f"sequence of {sequence.table}.{sequence.column}: {sequence.why}"
            for sequence in self.sequences
            if not sequence.sound
        ]
        return lines + self.unsound


def prove(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: Plan,
    progress: Callable[[str, int, int, int], None],
    before: catalogue.Recorded | None = None,
    ahead: SourceBlocks | None = None,
    told: Told | None = None,
) -> Proof:
    """Compare everything; changes nothing.

    Args:
        before: the structure at the load; what is gone of it is a difference.
        progress: called with table, rows so far, rows in all, bytes so far.
        ahead: the source's blocks, if somebody has begun to read them.
        told: called with every row that differs.
    """
    proof = Proof(rows(snapshot, target, plan, progress, ahead, told))
    proof.without_tables = not plan.schema.tables and all(
        name.startswith("view ") for name in before or ()
    )
    proof.sequences = sequences.read(target, plan)
    proof.unsound = _unsound(target, plan) + catalogue.gone(target, plan, before or {})
    proof.structure = sum(len((before or {}).get(table.target, ())) for table in plan.tables)
    return proof


def rows(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: Plan,
    progress: Callable[[str, int, int, int], None],
    ahead: SourceBlocks | None = None,
    told: Told | None = None,
) -> list[TableProof]:
    """Compare every row of every table; see ``prove``."""
    with ExitStack() as stack:
        ahead = ahead or stack.enter_context(SourceBlocks(snapshot, plan.tables))
        return [_table(snapshot, target, table, progress, ahead, told) for table in plan.tables]


def _table(
    snapshot: sqlite3.Connection,
    target: Target,
    plan: TablePlan,
    progress: Callable[[str, int, int, int], None],
    ahead: SourceBlocks,
    told: Told | None,
) -> TableProof:
    tally = Tally()
    proof = TableProof(plan.table.name)

    def report(rows: int, size: int) -> None:
        progress(plan.table.name, rows, plan.rows, size)

    with closing(compare(snapshot, target, plan, tally, report, ahead)) as changes:
        for change in changes:
            if told is not None:
                told(plan, change)
            if change.kind == "missing":
                proof.missing += 1
            elif change.kind == "extra":
                proof.extra += 1
            else:
                proof.different += 1
            if len(proof.examples) < _KEPT:
                proof.examples.append(describe(plan, change))
    proof.source_rows, proof.target_rows, proof.equal = (
        tally.source_rows,
        tally.target_rows,
        tally.equal,
    )
    proof.doubtful = tally.doubtful
    proof.values = tally.equal * len(plan.columns)
    ours = snapshot.execute(f"SELECT count(*) FROM {plan.relation}").fetchone()
    theirs = target.value(f"SELECT count(*) FROM {sql.qualified(target.schema, plan.target)}")
    proof.counted = (ours[0], theirs) == (proof.source_rows, proof.target_rows)
    return proof


def describe(plan: TablePlan, change: Change) -> str:
    """A difference as one line: table, key, and each column that isn't the same."""
    key = ", ".join(change.key)
    if change.source is None or change.target is None:
        side = "only in SQLite" if change.target is None else "only in PostgreSQL"
        return f"{plan.table.name} [{key}]: {side}"
    columns = [
        f"{column.source}: {_short(ours, start)} became {_short(theirs, start)}"
        for column, ours, theirs in zip(plan.columns, change.source, change.target, strict=True)
        if ours != theirs
        for start in [max(_common(ours, theirs) - 20, 0)]
    ]
    return f"{plan.table.name} [{key}]: {'; '.join(columns)}"


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _short(text: str, start: int) -> str:
    """A window on a value; of two long ones, where they begin to differ."""
    window = text if len(text) <= 60 else ("…" if start else "") + text[start : start + 57]
    window += "…" if len(text) > 60 and start + 57 < len(text) else ""
    return visible(window)


def unvalidated(target: Target, plan: Plan) -> list[tuple[TablePlan, str]]:
    """Constraints that the server doesn't know to hold, though nobody wants them so; names as SQL."""
    places = {sql.qualified(target.schema, table.target): table for table in plan.tables}
    rows = target.connection.execute(
        "SELECT quote_ident(conname), contype::text, ARRAY(SELECT attname::text"
        " FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)), p.place"
        " FROM unnest(%s::text[]) p(place) JOIN pg_constraint ON conrelid = p.place::regclass"
        " WHERE NOT convalidated",
        (list(places),),
    ).fetchall()
    return [
        (places[place], name)
        for name, kind, columns, place in rows
        if kind != "f" or not _keeps_orphans(places[place], set(columns))
    ]


def _unsound(target: Target, plan: Plan) -> list[str]:
    places = [sql.qualified(target.schema, table.target) for table in plan.tables]
    lines = [
        f"constraint {name} of {table.target} is not validated"
        for table, name in unvalidated(target, plan)
    ]
    for query in _BROKEN:
        lines += [row[0] for row in target.connection.execute(query, (places,)).fetchall()]
    return lines


def _keeps_orphans(plan: TablePlan, columns: set[str]) -> bool:
    """Whether the operator wants the key of these columns as it is."""
    names = {column.source: column.target for column in plan.columns}
    return any(
        plan.keeps_orphans(key) and {names.get(c) for c in key.columns} == columns
        for key in plan.table.foreign_keys
    )
