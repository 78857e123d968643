"""What resolves a finding, in words: of a table that is yet to be made, and of one that the target has already."""

from __future__ import annotations

from dataclasses import replace

from migrate_db.finding import Finding
from migrate_db.planning import widening

#: Said of tables that are yet to be made; the others have their types.
_ANOTHER = " (or another `type`)"
_AS_BYTES = " (or `mixed: bytes`, which keeps all of it as bytea)"
_EITHER = "`mixed: bytes` (or `text`)"
#: Where neither another value nor none can stand for it.
_CORRECT = "correct it in the app, or --on-finding quarantine"
_OF_COMPUTED = (
    "correct what it is computed from, or `exclude: true` for {place} in --mapping, if PostgreSQL is to compute"
    " another value, or --on-finding quarantine"
)
#: What resolves each kind; the words of a mapping stand in ``mapping``. A rule of the target's own table, which a
#: mapping doesn't change, is one that is ``there``.
_RESOLVE = {
    "nul": "correct it in the app, or `nul: strip`" + _AS_BYTES + " for {place}"
    " in --mapping, or --on-finding quarantine",
    "utf8": "correct it in the app, or `invalid_utf8: latin1` (or `replace`)"
    + _AS_BYTES
    + " for {place}"
    " in --mapping, or --on-finding quarantine",
    "mixed": _EITHER + " for {place} in --mapping, or --on-finding quarantine",
    "misfit": "correct it in the app, or `misfit: null`" + _ANOTHER + " for {place}"
    " in --mapping, or --on-finding quarantine",
    "empty": "`empty: null` for {place} in --mapping, or --on-finding quarantine",
    "zone": "`zone: utc` (or a name as Europe/Berlin) for {place} in --mapping, by whose clocks these times are,"
    " or --on-finding quarantine",
    "unit": "`epoch: s` (or `ms`, `us`) for {place} in --mapping, by what the numbers count,"
    " or --on-finding quarantine",
    "round": "`round: type` for {place} in --mapping, or --on-finding quarantine",
    "null key": "correct it in the app, or `primary_key: unique` for {table} in --mapping,"
    " or --on-finding quarantine",
    "null": "correct it in the app, or `nulls: keep` for {place} in --mapping, if the table is yet"
    " to be made, or --on-finding quarantine",
    "null there": "correct it in the app, or drop NOT NULL of the column in the target (and a key that"
    " demands it), or --on-finding quarantine",
    "duplicate key": "correct it in the app, or `primary_key: index` for {table} in --mapping,"
    " or --on-finding quarantine",
    "duplicate": "correct it in the app, or `unique: index` for {table} in --mapping,"
    " or --on-finding quarantine",
    "duplicate there": "correct it in the app, or drop the target's own UNIQUE or PRIMARY KEY,"
    " or --on-finding quarantine",
    "check there": "correct it in the app, or change or drop that rule in the target, or --on-finding quarantine",
    "wide row": "leave columns out by `exclude: true` in --mapping, or --on-finding quarantine",
    "orphan": "add the parent, or `orphans: keep` (or `null`) for {place} in --mapping,"
    " or --on-finding quarantine",
    "orphan there": "add the parent, or `orphans: null` for {place} in --mapping, or drop the target's own"
    " FOREIGN KEY, or --on-finding quarantine",
    "orphan there, not null": "add the parent, or drop the target's own FOREIGN KEY, or --on-finding quarantine",
}


def of(kind: str, table: str, column: str) -> str:
    """What resolves a finding of a kind."""
    return _RESOLVE[kind].format(place=f"{table}.{column}", table=table)


def there(found: Finding, type_name: str, storage: str, required: bool, computed: bool) -> Finding:
    """The finding of a value that doesn't fit, with what resolves it in a table that has its types and rules.

    Args:
        type_name: of the column.
        storage: SQLite's storage class of the value.
        required: no NULL may be there.
        computed: the target itself computes the column.
    """
    if found.kind == "misfit" and computed:  # no type keeps it, and no NULL
        place = f"{found.table}.{found.column}"
        return replace(found, resolve=_OF_COMPUTED.format(place=place))
    if found.kind == "mixed":
        found = _as_the_other(found, type_name, required)
    elif found.kind in ("misfit", "empty") and required:
        found = replace(found, resolve=_CORRECT)
    return _by_a_wider_type(as_it_is(found), widening.wider(type_name, storage))


def as_it_is(found: Finding) -> Finding:
    """The same without the advice to take another type."""
    resolve = found.resolve.replace(_ANOTHER, "").replace(_AS_BYTES, "")
    return replace(found, resolve=resolve)


def _as_the_other(found: Finding, type_name: str, required: bool) -> Finding:
    """BLOBs where texts are held, or the other way round."""
    words = "`mixed: bytes`"
    if type_name != "bytea":
        rest = "" if required else " (and `misfit: null` for what is not UTF-8)"
        words = f"`mixed: text`{rest}"
    return replace(found, resolve=found.resolve.replace(_EITHER, words))


def _by_a_wider_type(found: Finding, wider: str) -> Finding:
    if not wider or found.kind not in ("misfit", "round"):
        return found
    kept = f"`ALTER TABLE … ALTER … TYPE {wider}` in the target, which keeps it, or "
    before = "`" if "`" in found.resolve else "--on-finding"
    return replace(found, resolve=found.resolve.replace(before, kept + before, 1))
