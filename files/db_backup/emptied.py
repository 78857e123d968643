"""A set without a single row after ones that had some: the data was lost, and an empty server is backed up."""

from __future__ import annotations

from db_backup import damage, store
from db_backup.errors import BackupError, Exit
from db_backup.store import Set, Store


def rows(one: Set) -> int:
    """Rows in a set; none, if it can't be read."""
    return one.manifest.contents.rows if one.manifest is not None else 0


def last_with_rows(sets: Store, of: Set) -> Set | None:
    """The newest set before one that has not a single row; None if it has some, or none before it had any."""
    if of.manifest is None or rows(of):
        return None
    before = [one for one in sets.sets(of.prefix) if one.is_regular and one.at < of.at]
    filled = [one for one in before if rows(one)]
    bad = damage.known(sets)
    filled = [one for one in filled if one.name not in bad] or filled
    return filled[-1] if filled else None


def newest(sets: Store) -> list[tuple[Set, Set]]:
    """Of each database whose newest set is such a one: that set, and the last one with rows."""
    found = {}
    for one in sets.sets():
        if one.manifest is not None and one.is_regular and not store.future(one.at):
            found[one.prefix] = one
    both = [(one, last_with_rows(sets, one)) for one in found.values()]
    return [(one, filled) for one, filled in both if filled is not None]


def lost(sets: Store, made: Set) -> BackupError | None:
    """What a run says that just made such a set; None if it is no such one."""
    filled = last_with_rows(sets, made)
    if filled is None:
        return None
    return BackupError(
        "the database has not a single row any more; the backup of it is there and proved",
        where=made.name,
        details=[
            f"the last set with rows: {described(filled)}",
            "it stays until a newer one has rows; `latest` is refused meanwhile",
        ],
        next=f"db_backup restore {filled.name} --replace; if it is meant to be empty, move the sets with rows"
        f" out of {sets.directory}",
        code=Exit.CHANGED,
    )


def refused(name: str, filled: str, again: str) -> BackupError:
    """``latest`` would be one without a row."""
    return BackupError(
        "the newest set has not a single row, and an earlier one has",
        where=name,
        details=[f"the last set with rows: {filled}"],
        next=f"name the one that you mean: {again}",
    )


def described(filled: Set) -> str:
    """Enough to see whether it is the one that is missed."""
    return f"{filled.name}, {rows(filled):,} rows"
