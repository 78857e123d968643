"""Foreign keys while tables are planned: both sides need one type, and every row its parent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from migrate_db.codecs.codec import Codec
from migrate_db.codecs.numbers import counts
from migrate_db.finding import Finding
from migrate_db.planning import choice, inspection
from migrate_db.planning.draft import Draft, uniques
from migrate_db.planning.profile import ColumnProfile
from migrate_db.planning.quarantine import Link, Quarantine
from migrate_db.sqlite.schema import ForeignKey

_MISSING = "points at a row of {} that doesn't exist"
_LOOSE = "points at a row of {} that has another case or more spaces, or doesn't exist"
_QUARANTINED = "points at a row of {} that is quarantined, too"


def carried(
    draft: Draft, drafts: dict[str, Draft]
) -> Iterator[tuple[ForeignKey, Draft, tuple[ColumnProfile, ...], tuple[ColumnProfile, ...]]]:
    """Foreign keys that the target can have: parent, own columns, the parent's columns."""
    for key in _foreign_keys(draft, drafts):
        parent = drafts.get(key.parent)
        if parent is None or not (draft.has(key.columns) and parent.has(key.parent_columns)):
            continue
        unique = {frozenset(columns) for columns, *_ in uniques(parent)}
        unique -= {frozenset(columns) for columns in parent.contradicted}
        if len(key.columns) == len(key.parent_columns) and frozenset(key.parent_columns) in unique:
            ours = tuple(draft.cell(column) for column in key.columns)
            theirs = tuple(parent.cell(column) for column in key.parent_columns)
            yield key, parent, ours, theirs


def _foreign_keys(draft: Draft, drafts: dict[str, Draft]) -> Iterator[ForeignKey]:
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


def agree(connection: sqlite3.Connection, drafts: dict[str, Draft], notes: list[str]) -> None:
    """A key and what it points at need types that PostgreSQL can compare.

    Where one of them has no value yet, it takes the other's; else they are widened to text.
    """
    takes_other, again = True, True
    while again:  # what became text for one key must be so for the others, too
        again = False
        for draft in drafts.values():
            for key, parent, ours, theirs in carried(draft, drafts):
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


_Side = tuple[Draft, ColumnProfile]


def _widened(
    connection: sqlite3.Connection, sides: tuple[_Side, _Side], takes_other: bool
) -> list[tuple[_Side, Codec]]:
    """The sides of a key that must become something else, and what."""
    if len({choice.family(column.codec.type) == "text" for _, column in sides}) == 1:
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


def _as_text(connection: sqlite3.Connection, draft: Draft, column: ColumnProfile) -> Codec | None:
    """The codec that carries a column as text, if it may become text and every value can be one."""
    if choice.family(column.codec.type) == "text":
        return column.codec
    numbered = draft.table.rowid_alias == column.column
    if draft.present is not None or numbered or draft.wish.column(column.column).type:
        return None
    for wider in choice.for_existing("text"):
        misfit = wider.misfit_of(column.cell)
        row = connection.execute(f"SELECT total({misfit}) FROM {draft.profile.relation}").fetchone()
        if not row[0]:
            return wider
    return None


def _is_blank(connection: sqlite3.Connection, draft: Draft, column: ColumnProfile) -> bool:
    """Whether no value says what a column of a new table is for."""
    numbered = draft.table.rowid_alias == column.column
    if draft.present is not None or numbered or draft.wish.column(column.column).type:
        return False
    found = connection.execute(
        f"SELECT 1 FROM {draft.profile.relation} WHERE {column.cell} IS NOT NULL LIMIT 1"
    ).fetchone()
    return found is None


def orphans(
    connection: sqlite3.Connection,
    drafts: dict[str, Draft],
    found: Callable[[Finding], bool],
    quarantine: Quarantine | None,
) -> None:
    """Rows without a parent; with a quarantine, also those that it leaves without one."""
    asked = list(_asked(drafts))
    for draft, _, reference in asked:
        rows = relation(draft, quarantine)
        reason = _MISSING if reference.indexed else _LOOSE
        for orphan in inspection.orphans(connection, draft.table, rows, reference, reason):
            found(orphan)
    if quarantine is None:
        return
    losing = _losing(asked, quarantine)
    quarantine.follow([_link(*one, quarantine) for one in losing])
    for draft, parent, reference in losing:
        rows = quarantine.untold(draft.table, draft.profile.relation)
        left = replace(reference, parent_relation=relation(parent, quarantine))
        for orphan in inspection.orphans(connection, draft.table, rows, left, _QUARANTINED):
            found(orphan)


#: A table, its parent, and how they are compared.
_Asked = tuple[Draft, Draft, inspection.Reference]


def _asked(drafts: dict[str, Draft]) -> Iterator[_Asked]:
    """The foreign keys whose orphans are looked for, among all rows of the parent."""
    for draft in drafts.values():
        for key, parent, ours, theirs in carried(draft, drafts):
            made = draft.present is None and parent.present is None
            numbers = all(counts(column.codec) for column in (*ours, *theirs))
            # PostgreSQL finds them, too, when it makes the key, and this one it can make
            found_later = draft.profile.assumed and made and numbers
            if not draft.profile.rows or found_later or _settled(draft, key):
                continue
            cells, parent_cells = compared(ours, theirs)
            yield (
                draft,
                parent,
                inspection.Reference(
                    column=next(_severable(draft, key), key.columns[0]),
                    parent=key.parent,
                    cells=cells,
                    parent_relation=parent.profile.relation,
                    parent_cells=parent_cells,
                    indexed=all(parent.table.collation(c) == "BINARY" for c in key.parent_columns),
                    searched=not parent.table.has_doubtful_index
                    or key.parent_columns == (parent.table.rowid_alias,),
                    kind=_kind(draft, key),
                ),
            )


def _losing(asked: list[_Asked], quarantine: Quarantine) -> list[_Asked]:
    """Those whose parent loses rows, to the quarantine or after a parent of its own."""
    losing = {parent.table.name for _, parent, _ in asked if quarantine.count(parent.table)}
    again = True
    while again:
        also = {draft.table.name for draft, parent, _ in asked if parent.table.name in losing}
        again = not also <= losing
        losing |= also
    return [one for one in asked if one[1].table.name in losing]


def _link(
    draft: Draft, parent: Draft, reference: inspection.Reference, quarantine: Quarantine
) -> Link:
    left = replace(reference, parent_relation=relation(parent, quarantine))
    rows = inspection.links(draft.table, relation(draft, quarantine), left, parent.table)
    return Link(draft.table.name, parent.table.name, rows)


def compared(
    ours: Sequence[ColumnProfile], theirs: Sequence[ColumnProfile]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What SQLite is to compare where PostgreSQL compares columns: 0 is 0.0, but not as texts."""
    own, other = [], []
    for pair in zip(ours, theirs, strict=True):
        merging = {choice.family(c.codec.type) for c in pair if c.codec.merges}
        if "text" in merging:
            forms = [c.codec.encode.replace("{c}", c.cell) for c in pair]
        elif "number" in merging:
            forms = [
                f"CASE WHEN {c.cell} IS NOT NULL THEN {c.codec.stored_of(c.cell)} END" for c in pair
            ]
        else:
            forms = [c.cell for c in pair]
        own.append(forms[0])
        other.append(forms[1])
    return tuple(own), tuple(other)


def _settled(draft: Draft, key: ForeignKey) -> bool:
    """Whether the operator said what becomes of this key's orphans, and it can be done."""
    kept = draft.wish.keeps_orphans(key.columns) and not draft.must_have_parents(key.columns)
    return kept or cut(draft, key) is not None


def _kind(draft: Draft, key: ForeignKey) -> str:
    """What sort of finding its orphans are."""
    if not draft.must_have_parents(key.columns):
        return "orphan"
    return "orphan there" if any(_severable(draft, key)) else "orphan there, not null"


def cut(draft: Draft, key: ForeignKey) -> str | None:
    """The column that becomes NULL in orphans, if the operator wants it and it may be NULL."""
    wanted = (c for c in _severable(draft, key) if draft.wish.column(c).orphans == "null")
    return next(wanted, None)


def _severable(draft: Draft, key: ForeignKey) -> Iterator[str]:
    """Columns of a key that may become NULL, so that it points nowhere."""
    must = set(key.columns) if draft.must_be_full(key.columns) else _must(draft)
    return (column for column in key.columns if column not in must)


def _must(draft: Draft) -> set[str]:
    """Columns that may not become NULL."""
    must = {column.name for column in draft.table.columns if column.not_null}
    must |= set(draft.table.primary_key)
    must |= {column for column in draft.names if draft.is_computed(column)}
    return must | {ours for ours, theirs in draft.names.items() if theirs in draft.strict}


def relation(draft: Draft, quarantine: Quarantine | None) -> str:
    plain = draft.profile.relation
    return quarantine.relation(draft.table, plain) if quarantine is not None else plain
