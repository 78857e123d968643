"""The plan: which table goes where, with which codec per column, and what stands against it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from migrate_db import bulky, codec, conversion, epochs, inspection, names, sql
from migrate_db.codec import Codec
from migrate_db.errors import Exit, MigrationError, Untranslated
from migrate_db.finding import Finding, Findings
from migrate_db.mapping import ColumnWish, Mapping, TableWish
from migrate_db.profile import ColumnProfile, TableProfile, assume, scan
from migrate_db.quarantine import Quarantine
from migrate_db.reading import Reading, all_rows
from migrate_db.schema import Column, ForeignKey, Schema, Table, Uncarried
from migrate_db.target import TargetColumn, TargetTable

#: Every table has them already.
_SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
#: Of `integer`; a table whose rows have come so far needs the next size.
_LAST_INTEGER = 2**31 - 1
#: That PostgreSQL's tables can have.
_MOST_COLUMNS = 1600


@dataclass(frozen=True)
class ColumnPlan:
    """One column on its way."""

    source: str
    target: str
    codec: Codec
    not_null: bool
    cell: str  #: SQLite's SQL of the value that is carried: the column, or its conversion
    computed: str = ""  #: what PostgreSQL computes it from; such a column is compared, not loaded
    bulky: int = 0  #: where its values of megabytes are noted, see ``bulky``; 0: it has none


@dataclass(frozen=True)
class TablePlan:
    """One table on its way."""

    table: Table
    target: str
    exists: bool  #: the target already has it, and its types rule
    rows: int  #: that are carried
    target_rows: int
    columns: tuple[ColumnPlan, ...]
    key: tuple[str, ...]  #: source names of the key columns; empty: rows are a multiset
    highest: int  #: the highest rowid ever given to a row, as far as SQLite knows
    relation: str  #: SQLite's SQL of the rows that are carried, after FROM
    wish: TableWish = field(default_factory=TableWish)
    #: columns of UNIQUEs that rows contradict, where a plain index is wanted instead
    contradicted: frozenset[tuple[str, ...]] = frozenset()
    assumed: bool = False  #: nobody has looked at every value

    @property
    def is_whole(self) -> bool:
        """Whether every row is carried, and every value as it is stored."""
        as_stored = all(column.cell == sql.name(column.source) for column in self.columns)
        return as_stored and self.relation == all_rows(self.table).relation

    def column(self, source_name: str) -> ColumnPlan:
        """The plan of a column, by its name in the source.

        Raises:
            Untranslated: the column is left out.
        """
        for column in self.columns:
            if column.source == source_name:
                return column
        raise Untranslated(f"column {source_name} is left out")

    def keeps_orphans(self, key: ForeignKey) -> bool:
        """Whether rows without a parent are to stay, and the key is not validated."""
        return any(self.wish.column(column).orphans == "keep" for column in key.columns)


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is written."""

    schema: Schema
    tables: tuple[TablePlan, ...]  #: parents first
    notes: tuple[str, ...]  #: what is carried in another shape, and why
    uncarried: tuple[Uncarried, ...]
    blocking: int = 0  #: findings that nothing resolves yet
    quarantine: Quarantine | None = None  #: the rows that stay behind
    mapping: Mapping = field(default_factory=Mapping)
    #: some values weren't looked at: the load or the proof finds what is not as declared
    assumed: bool = False

    def table(self, source_name: str) -> TablePlan:
        """The plan of a table, by its name in the source."""
        return next(table for table in self.tables if table.table.name == source_name)


@dataclass
class _Draft:
    """A table while it is planned."""

    table: Table
    wish: TableWish
    present: TargetTable | None
    target: str
    names: dict[str, str]  #: of the columns that are carried, source to target
    profile: TableProfile
    reading: Reading
    highest: int
    contradicted: set[tuple[str, ...]] = field(default_factory=set)

    def cell(self, column: str) -> ColumnProfile:
        return next(c for c in self.profile.columns if c.column == column)

    def is_declared(self, column: str) -> bool:
        found = self.table.column(column)
        return found is not None and found.declared != ""

    def replace(self, column: ColumnProfile) -> None:
        columns = tuple(column if c.column == column.column else c for c in self.profile.columns)
        self.profile = replace(self.profile, columns=columns)

    def has(self, columns: tuple[str, ...]) -> bool:
        return bool(columns) and {c.column for c in self.profile.columns} >= set(columns)


def make(
    connection: sqlite3.Connection,
    schema: Schema,
    existing: dict[str, TargetTable],
    mapping: Mapping,
    findings: Findings,
    quarantine: Quarantine | None = None,
    quick: bool = False,
    reversing: bool = False,
) -> Plan:
    """Scan every value and decide.

    Args:
        connection: the snapshot, with ``functions`` registered.
        existing: the target's tables, by name; they keep their own columns.
        findings: receives whatever stands against it.
        quarantine: receives the rows with findings; None: they stand in the way.
        quick: take a large table as declared if a sample fits.
        reversing: the target's rows are what counts; the source's need only be readable.
    """
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

    drafts: dict[str, _Draft] = {}
    for table in schema.tables:
        wish = _readable(table, mapping.table(table.name))
        if wish.exclude:
            uncarried.append(Uncarried("table", table.name, "excluded, as you asked"))
            continue
        drafts[table.name], problems = _draft(
            connection, schema, table, wish, existing, notes, quick
        )
        filled = drafts[table.name].profile.rows or not drafts[table.name].profile.columns
        for problem in problems:
            if filled or problem.kind == "too wide":  # the others are about rows to come
                found(problem)
        uncarried += [
            Uncarried("column", f"{table.name}.{column}", _why_not(table.column(column)))
            for column, wanted in wish.columns.items()
            if wanted.exclude
        ]
    _agree(connection, drafts, notes)
    object_to = _misfits if reversing else _objections
    for draft in drafts.values():
        for finding in object_to(connection, draft):
            found(finding)
    if not reversing:
        _orphans(connection, drafts, found, quarantine)
    tables = []
    for draft in drafts.values():
        notes += _notes(draft)
        notes += _epochs(connection, draft)
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


def _readable(table: Table, wish: TableWish) -> TableWish:
    """The wish, without the columns that SQLite can't work out."""
    lost = {c.name: ColumnWish(exclude="true") for c in table.columns if c.unreadable}
    return replace(wish, columns={**wish.columns, **lost}) if lost else wish


def _why_not(column: Column | None) -> str:
    if column is None or not column.unreadable:
        return "excluded, as you asked"
    return f"it is stored nowhere, and SQLite can't work it out: {column.unreadable}"


def _draft(
    connection: sqlite3.Connection,
    schema: Schema,
    table: Table,
    wish: TableWish,
    existing: dict[str, TargetTable],
    notes: list[str],
    quick: bool,
) -> tuple[_Draft, list[Finding]]:
    """Choose names and codecs of a table, and say what doesn't line up."""
    target = wish.rename or target_name(table.name)
    present = existing.get(target)
    highest = _highest(connection, table, schema)
    candidates, names, problems = _candidates(table, wish, present)
    numbered = table.rowid_alias in candidates
    if present is None and table.rowid_alias and numbered and highest >= _LAST_INTEGER:
        candidates[table.rowid_alias] = (codec.integer("bigint"),)
        notes.append(
            f"{table.name}.{table.rowid_alias}: becomes bigint, because new rows need"
            f" numbers beyond {highest}"
        )
    types = {column.name: column.type for column in present.columns} if present else {}
    cells = {
        column: cell
        for column, wanted in wish.columns.items()
        if column in names
        and (cell := conversion.cell(column, wanted, types.get(names[column], "")))
    }
    reading = Reading(all_rows(table).relation, cells)
    # wishes are about values, so these must be looked at
    taken = (
        assume(connection, table, candidates, reading) if quick and wish == TableWish() else None
    )
    profile = taken or scan(connection, table, candidates, reading)
    columns = tuple(
        replace(column, misfits=0, cell=_fitting(column))
        if column.misfits and wish.column(column.column).misfit
        else column
        for column in profile.columns
    )
    cells |= {
        column.column: column.cell for column in columns if column.cell != sql.name(column.column)
    }
    reading, profile = replace(reading, cells=cells), replace(profile, columns=columns)
    return _Draft(table, wish, present, target, names, profile, reading, highest), problems


def _fitting(column: ColumnProfile) -> str:
    """The cell with NULL where the codec can't carry it."""
    return f"CASE WHEN {column.codec.misfit_of(column.cell)} THEN NULL ELSE {column.cell} END"


def _misfits(connection: sqlite3.Connection, draft: _Draft) -> Iterator[Finding]:
    yield from inspection.misfits(connection, draft.table, draft.profile, exists=True)


def _objections(connection: sqlite3.Connection, draft: _Draft) -> Iterator[Finding]:
    """Everything within one table that PostgreSQL would not take."""
    table, profile = draft.table, draft.profile
    if not profile.rows or profile.assumed:
        return
    yield from inspection.misfits(connection, table, profile, draft.present is not None)
    yield from inspection.bad_text(connection, table, profile)
    yield from inspection.nulls(connection, table, draft.reading, _required(draft))
    for columns, kind, enforced in _uniques(draft):
        cells = [draft.cell(column) for column in columns]
        # SQLite itself sees to it, unless two of its values become one
        if not enforced or any(c.codec.merges or c.cell != sql.name(c.column) for c in cells):
            canonical = [c.codec.stored_of(c.cell) for c in cells]
            found = inspection.duplicates(
                connection, table, profile.relation, columns, canonical, kind
            )
            if kind == "duplicate" and draft.wish.unique:
                if next(found, None) is not None:
                    draft.contradicted.add(columns)
            else:
                yield from found


def _uniques(draft: _Draft) -> list[tuple[tuple[str, ...], str, bool]]:
    """Columns that are to be unique in the target, the kind of finding, whether they are in SQLite."""
    table, present = draft.table, draft.present
    found: dict[frozenset[str], tuple[tuple[str, ...], str, bool]] = {}
    if table.primary_key and draft.wish.primary_key != "index":
        found[frozenset(table.primary_key)] = (table.primary_key, "duplicate key", True)
    for index in table.indexes:
        names = tuple(column.name or "" for column in index.columns)
        if index.unique and not index.partial and index.origin != "pk":
            found.setdefault(frozenset(names), (names, "duplicate", True))
    sources = {theirs: ours for ours, theirs in draft.names.items()}
    for columns in present.uniques if present else ():
        names = tuple(sources.get(column, "") for column in columns)
        found.setdefault(frozenset(names), (names, "duplicate", False))
    return [entry for entry in found.values() if draft.has(entry[0])]


def _foreign_keys(draft: _Draft, drafts: dict[str, _Draft]) -> Iterator[ForeignKey]:
    """The source's foreign keys, and those that only the target has."""
    yield from draft.table.foreign_keys
    known = {(frozenset(key.columns), key.parent) for key in draft.table.foreign_keys}
    sources = {theirs: ours for ours, theirs in draft.names.items()}
    parents = {other.target: other for other in drafts.values()}
    for reference in draft.present.references if draft.present else ():
        parent = parents.get(reference.parent)
        ours = tuple(sources.get(column, "") for column in reference.columns)
        if parent is None or (frozenset(ours), parent.table.name) in known:
            continue
        others = {theirs: name for name, theirs in parent.names.items()}
        theirs = tuple(others.get(column, "") for column in reference.parent_columns)
        yield ForeignKey(ours, parent.table.name, theirs, "NO ACTION", "NO ACTION")


def _references(
    draft: _Draft, drafts: dict[str, _Draft]
) -> Iterator[tuple[ForeignKey, _Draft, tuple[ColumnProfile, ...], tuple[ColumnProfile, ...]]]:
    """Foreign keys that the target can have: parent, own columns, the parent's columns."""
    for key in _foreign_keys(draft, drafts):
        parent = drafts.get(key.parent)
        if parent is None or not (draft.has(key.columns) and parent.has(key.parent_columns)):
            continue
        unique = {frozenset(columns) for columns, *_ in _uniques(parent)}
        unique -= {frozenset(columns) for columns in parent.contradicted}
        if len(key.columns) == len(key.parent_columns) and frozenset(key.parent_columns) in unique:
            ours = tuple(draft.cell(column) for column in key.columns)
            theirs = tuple(parent.cell(column) for column in key.parent_columns)
            yield key, parent, ours, theirs


def _agree(connection: sqlite3.Connection, drafts: dict[str, _Draft], notes: list[str]) -> None:
    """A key and what it points at need types that PostgreSQL can compare.

    Where one of them has no value yet, it takes the other's; else they are widened to text.
    """
    takes_other, again = True, True
    while again:  # what became text for one key must be so for the others, too
        again = False
        for draft in drafts.values():
            for key, parent, ours, theirs in _references(draft, drafts):
                place = f"{draft.table.name}({', '.join(key.columns)})"
                for own, other in zip(ours, theirs, strict=True):
                    sides = ((draft, own), (parent, other))
                    for (side, column), chosen in _widened(connection, sides, takes_other):
                        again = True
                        side.replace(replace(column, codec=chosen))
                        notes.append(
                            f"{side.table.name}.{column.column}: becomes {chosen.type}, because"
                            f" the foreign key {place} needs one type on both sides"
                        )
        takes_other = False


_Side = tuple[_Draft, ColumnProfile]


def _widened(
    connection: sqlite3.Connection, sides: tuple[_Side, _Side], takes_other: bool
) -> list[tuple[_Side, Codec]]:
    """The sides of a key that must become something else, and what."""
    if len({codec.family(column.codec.type) == "text" for _, column in sides}) == 1:
        return []
    blank = [at for at in (0, 1) if takes_other and _is_blank(connection, *sides[at])]
    if blank:
        # a declared type says more than none
        at = min(blank, key=lambda at: sides[at][0].is_declared(sides[at][1].column))
        return [(sides[at], sides[1 - at][1].codec)]
    wider = [_as_text(connection, *side) for side in sides]
    if None in wider:
        return []
    pairs = zip(sides, wider, strict=True)
    return [(side, found) for side, found in pairs if found and found is not side[1].codec]


def _as_text(connection: sqlite3.Connection, draft: _Draft, column: ColumnProfile) -> Codec | None:
    """The codec that carries a column as text, if it may become text and every value can be one."""
    if codec.family(column.codec.type) == "text":
        return column.codec
    numbered = draft.table.rowid_alias == column.column
    if draft.present is not None or numbered or draft.wish.column(column.column).type:
        return None
    for wider in codec.for_existing("text"):
        misfit = wider.misfit_of(column.cell)
        row = connection.execute(f"SELECT total({misfit}) FROM {draft.profile.relation}").fetchone()
        if not row[0]:
            return wider
    return None


def _is_blank(connection: sqlite3.Connection, draft: _Draft, column: ColumnProfile) -> bool:
    """Whether no value says what a column of a new table is for."""
    numbered = draft.table.rowid_alias == column.column
    if draft.present is not None or numbered or draft.wish.column(column.column).type:
        return False
    found = connection.execute(
        f"SELECT 1 FROM {draft.profile.relation} WHERE {column.cell} IS NOT NULL LIMIT 1"
    ).fetchone()
    return found is None


def _orphans(
    connection: sqlite3.Connection,
    drafts: dict[str, _Draft],
    found: Callable[[Finding], bool],
    quarantine: Quarantine | None,
) -> None:
    """Rows without a parent; with a quarantine, also those that it leaves without one."""
    first, again = True, True
    while again:
        again = first and quarantine is not None
        reason = (
            "points at a row of {} that doesn't exist"
            if first
            else "points at a row of {} that is quarantined, too"
        )
        for draft in drafts.values():
            for key, parent, ours, theirs in _references(draft, drafts):
                made = draft.present is None and parent.present is None
                # PostgreSQL finds them, too, when it makes the key
                found_later = draft.profile.assumed and made
                if not draft.profile.rows or found_later or _settled(draft, key):
                    continue
                pairs = [_compared(*pair) for pair in zip(ours, theirs, strict=True)]
                reference = inspection.Reference(
                    column=key.columns[0],
                    parent=key.parent,
                    cells=tuple(own for own, _ in pairs),
                    parent_relation=_relation(parent, None if first else quarantine),
                    parent_cells=tuple(other for _, other in pairs),
                )
                rows = inspection.orphans(
                    connection, draft.table, _relation(draft, quarantine), reference, reason
                )
                for orphan in rows:
                    again = found(orphan) or again
        first = False


def _compared(own: ColumnProfile, other: ColumnProfile) -> tuple[str, str]:
    """What SQLite is to compare where PostgreSQL compares two columns: 0 is 0.0, but not as texts."""
    if codec.TEXT_OR_NUMBER not in (own.codec, other.codec):
        return own.cell, other.cell
    return own.codec.encode.replace("{c}", own.cell), other.codec.encode.replace("{c}", other.cell)


def _settled(draft: _Draft, key: ForeignKey) -> bool:
    """Whether the operator said what becomes of this key's orphans."""
    if any(draft.wish.column(column).orphans == "keep" for column in key.columns):
        return True
    return _cut(draft, key) is not None


def _cut(draft: _Draft, key: ForeignKey) -> str | None:
    """The column that becomes NULL in orphans, if the operator wants it and it may be NULL."""
    must = {column.name for column in draft.table.columns if column.not_null}
    must |= set(draft.table.primary_key)
    if draft.present is not None:
        strict = {column.name for column in draft.present.columns if column.not_null}
        must |= {ours for ours, theirs in draft.names.items() if theirs in strict}
    wanted = (c for c in key.columns if draft.wish.column(c).orphans == "null" and c not in must)
    return next(wanted, None)


def _relation(draft: _Draft, quarantine: Quarantine | None) -> str:
    plain = draft.profile.relation
    return quarantine.relation(draft.table, plain) if quarantine is not None else plain


def _planned(
    connection: sqlite3.Connection,
    draft: _Draft,
    drafts: dict[str, _Draft],
    quarantine: Quarantine | None,
) -> TablePlan:
    table = draft.table
    cells = {column.column: column.cell for column in draft.profile.columns}
    for key, parent, ours, theirs in _references(draft, drafts):
        cut = _cut(draft, key)
        if cut is not None:
            own = ", ".join(f"{column.cell} COLLATE BINARY" for column in ours)
            other = ", ".join(column.cell for column in theirs)
            there = f"(SELECT {other} FROM {_relation(parent, quarantine)})"
            row = f"({own})" if len(ours) > 1 else own
            cells[cut] = f"CASE WHEN {row} IN {there} THEN {cells[cut]} END"
    left = quarantine.count(table) if quarantine is not None else 0
    relation = _relation(draft, quarantine)
    plain = {
        c.column: c.codec for c in draft.profile.columns if cells[c.column] == sql.name(c.column)
    }
    large = {} if draft.profile.assumed else bulky.find(connection, table, relation, plain)
    keyed = not draft.wish.primary_key and draft.has(key_columns := _key(table))
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
                not_null=bool((c := table.column(column.column)) and c.not_null),
                cell=cells[column.column],
                computed=_computed(draft.present, draft.names[column.column]),
                bulky=large.get(column.column, 0),
            )
            for column in draft.profile.columns
        ),
        key=key_columns if keyed else (),
        highest=draft.highest,
        relation=relation,
        wish=draft.wish,
        contradicted=frozenset(draft.contradicted),
        assumed=draft.profile.assumed,
    )


def target_names(schema: Schema, mapping: Mapping) -> set[str]:
    """The tables' names in PostgreSQL."""
    return {mapping.table(t.name).rename or target_name(t.name) for t in schema.tables}


def target_name(source_name: str) -> str:
    """The name in PostgreSQL: the same, or a stable short form of an overlong one."""
    return names.fitting(source_name)


def _computed(present: TargetTable | None, column: str) -> str:
    own = present is not None and any(c.name == column and c.generated for c in present.columns)
    return "the target's own expression" if own else ""


def _for_new(table: Table, column: Column, wish: TableWish) -> tuple[Codec, ...]:
    asked = wish.column(column.name)
    if asked.mixed == "bytes":
        return codec.for_existing("bytea")
    if asked.type or asked.epoch:
        return codec.for_existing(asked.type or conversion.moment_type(asked, ""))
    wanted = codec.for_declared(column)
    return tuple(c for c in wanted if c is not codec.JSON) if _indexed(table, column) else wanted


def _indexed(table: Table, column: Column) -> bool:
    """Whether rows are found by this column; PostgreSQL can't compare json."""
    indexed = {part.name for index in table.indexes for part in index.columns}
    return column.name in indexed | set(table.primary_key)


def _column_name(source_name: str) -> str:
    return source_name + "_" if source_name in _SYSTEM_COLUMNS else target_name(source_name)


def _column_names(table: Table, wish: TableWish) -> dict[str, str]:
    """The columns' names in a table that is yet to be made; no two are the same."""
    renamed = {c.name: given for c in table.columns if (given := wish.column(c.name).rename)}
    wanted = {c.name: renamed.get(c.name) or _column_name(c.name) for c in table.columns}
    kept = [name for name in wanted if wanted[name] == name or name in renamed]
    space = names.Names.of(wanted[name] for name in kept)
    return {
        name: place if name in kept else space.free(place, "column", table.name)
        for name, place in wanted.items()
    }


def _highest(connection: sqlite3.Connection, table: Table, schema: Schema) -> int:
    if table.rowid_alias is None:
        return 0
    column, place = sql.name(table.rowid_alias), sql.name(table.name)
    (largest,) = connection.execute(f"SELECT ifnull(max({column}), 0) FROM main.{place}").fetchone()
    return max(int(largest), schema.sequences.get(table.name, 0))


def _candidates(
    table: Table, wish: TableWish, present: TargetTable | None
) -> tuple[dict[str, tuple[Codec, ...]], dict[str, str], list[Finding]]:
    """Codecs to try per column, the target's column names, and what doesn't line up."""
    wanted = [column for column in table.columns if not wish.column(column.name).exclude]
    ours = _column_names(table, wish)
    if present is None:
        return (
            {column.name: _for_new(table, column, wish) for column in wanted},
            {column.name: ours[column.name] for column in wanted},
            [_too_wide(table, len(wanted))] if len(wanted) > _MOST_COLUMNS else [],
        )
    candidates: dict[str, tuple[Codec, ...]] = {}
    mapping: dict[str, str] = {}
    findings: list[Finding] = []
    pairs, free = paired(table, wish, present)
    for column, match in pairs:
        if match is None:
            findings.append(
                Finding(
                    table.name,
                    "",
                    column.name,
                    "",
                    f"the target's table {present.name} has no such column",
                    f'ALTER TABLE "{present.name}" ADD COLUMN …, or drop the empty table'
                    f" and let the migration make it, or `exclude: true` for"
                    f" {table.name}.{column.name} in --mapping",
                    kind="no column",
                )
            )
        elif not match.generated or column.generated:
            _demand_type(table, column, wish, match)
            candidates[column.name] = codec.for_existing(match.type)
            mapping[column.name] = match.name
    findings += [
        Finding(
            table.name, "", left.name, "",
            f"the target's column {present.name}.{left.name} is NOT NULL without a default,"
            " and the source has no such column",
            "give it a default",
        )
        for left in free
        if left.not_null and not left.has_default and not left.generated
    ]  # fmt: skip
    return candidates, mapping, findings


def _too_wide(table: Table, columns: int) -> Finding:
    return Finding(
        table.name, "", "", f"{columns:,} columns",
        f"a table of PostgreSQL has {_MOST_COLUMNS:,} columns at most",
        "leave columns or the table out: `exclude: true` in --mapping",
        kind="too wide",
    )  # fmt: skip


def _demand_type(table: Table, column: Column, wish: TableWish, match: TargetColumn) -> None:
    """A table that is there keeps its types: a mapping may say the same, not another."""
    wanted = wish.column(column.name).type
    if wanted and codec.named(match.type) != wanted:
        raise MigrationError(
            f"the mapping wants {table.name}.{column.name} as {wanted},"
            f" but the target has it as {match.type}",
            where="the mapping, and the target's own table",
            next="correct the mapping, or change or drop the target's table",
            code=Exit.USAGE,
        )


def paired(
    table: Table, wish: TableWish, present: TargetTable
) -> tuple[list[tuple[Column, TargetColumn | None]], list[TargetColumn]]:
    """Each column that is wanted with the target's own, and the target's that are left over."""
    ours = _column_names(table, wish)
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
    alike = [c for c in free.values() if c.name.lower() == column.lower()]
    return alike[0] if len(alike) == 1 else None


def _required(draft: _Draft) -> dict[str, str]:
    """Columns where a NULL may come and the target takes none, each with the reason."""
    table, present = draft.table, draft.present
    strict = {column.name for column in present.columns if column.not_null} if present else set()
    required = {}
    for found in draft.profile.columns:
        column, name = table.column(found.column), found.column
        converted = found.cell != sql.name(name)
        if column is None or ((column.not_null or name == table.rowid_alias) and not converted):
            continue
        if name in table.primary_key and not draft.wish.primary_key:
            required[name] = "NULL in a primary key"
        elif draft.names[name] in strict or (column.not_null and not present):
            required[name] = "NULL where the target's column is NOT NULL"
    return required


def _notes(draft: _Draft) -> list[str]:
    table, scanned, exists = draft.table, draft.profile, draft.present is not None
    carried = {found.column for found in scanned.columns}
    notes = [
        f"{table.name}.{column.name}: the target computes it itself; neither loaded nor compared"
        for column in table.columns
        if exists and column.name not in carried and not draft.wish.column(column.name).exclude
    ]
    if draft.target != table.name:
        why = "the name is too long" if table.name else "the name is empty"
        why = "renamed" if draft.wish.rename else why
        notes.append(f"table {table.name}: {why}, it becomes {draft.target}")
    notes += [
        f"foreign key of {table.name} ({', '.join(key.columns)}): not validated, because rows"
        f" without a {key.parent} stay, as you asked; it holds for new rows"
        for key in table.foreign_keys
        if any(draft.wish.column(column).orphans == "keep" for column in key.columns)
    ]
    for found in scanned.columns:
        column = table.column(found.column)
        wish = draft.wish.column(found.column)
        place = f"{table.name}.{found.column}"
        if not exists and draft.names[found.column] != found.column:
            why = "PostgreSQL keeps that name" if found.column in _SYSTEM_COLUMNS else "too long"
            why = "renamed" if wish.rename else why if found.column else "empty"
            notes.append(f"{place}: {why}, it becomes {draft.names[found.column]}")
        if found.codec is not found.declared and not found.misfits and not exists:
            notes.append(
                f"{place}: declared {column.declared or 'without a type' if column else '?'},"
                f" becomes {found.codec.type}, because that holds every value"
            )
        means_json = column is not None and codec.JSON in codec.for_declared(column)
        if means_json and not exists and found.declared is not codec.JSON and not wish.type:
            notes.append(f"{place}: declared JSON, becomes text; json can't be indexed")
        if found.codec.says and scanned.rows:
            notes.append(f"{place}: {found.codec.says}")
        notes += [f"{place}: {said}" for said in conversion.says(wish)]
    return notes


def _epochs(connection: sqlite3.Connection, draft: _Draft) -> Iterator[str]:
    for found in draft.profile.columns:
        column = draft.table.column(found.column)
        if column is None or draft.wish.column(column.name).epoch or not draft.profile.rows:
            continue
        seen = epochs.guess(connection, draft.table, column, found.codec, draft.profile.relation)
        if seen:
            unit, _, span = seen.partition(" ")
            yield (
                f"{draft.table.name}.{column.name}: numbers that seem to count moments"
                f" {span}; they stay numbers, unless a mapping says `epoch: {unit}`"
            )


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
