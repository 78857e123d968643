"""Values that the operator wants changed, as SQL that SQLite evaluates: the cell that is carried.

A value that a wish can't change stays as it is, and is then a finding.
"""

from __future__ import annotations

from migrate_db import sql
from migrate_db.planning.choice import fraction, without_precision
from migrate_db.planning.mapping import ColumnWish
from migrate_db.sqlite.zones import UTC


def cell(column: str, wish: ColumnWish, type_name: str = "") -> str | None:
    """The expression of a column's value after the wishes; None if nothing is to be changed.

    Args:
        type_name: of the target's column, if that is there already.
    """
    stored = sql.name(column)
    ways = [wish.invalid_utf8, "nul" if wish.nul else "", "empty" if wish.empty else ""]
    if wish.mixed == "bytes":  # they hold anything
        ways = ways[2:]
    text = " ".join(way for way in ways if way)
    branches = []
    if text == "empty":
        branches.append(f"typeof({stored}) = 'text' AND {stored} = '' COLLATE BINARY THEN NULL")
    elif text:
        changed = f"CAST(m_text(CAST({stored} AS BLOB), {sql.string(text)}) AS TEXT)"
        branches.append(f"typeof({stored}) = 'text' THEN {changed}")
    rounded = type_name or wish.type
    kept = fraction(rounded)
    if wish.epoch and not type_name.startswith("interval"):  # a span's codec counts itself
        kind = sql.string(moment_type(wish, type_name))
        moment = f"m_epoch({stored}, {sql.string(wish.epoch)}, {kind})"
        if wish.round and kept is not None:
            moment = cut(moment, kept)
        branches.append(f"typeof({stored}) IN ('integer', 'real') THEN ifnull({moment}, {stored})")
    if wish.zone:
        short = cut(stored, kept) if wish.round and kept is not None else stored
        moment = _in_zone(short, moment_type(wish, type_name), wish.zone)
        # first, and only if it is a moment: any other text goes on to the other wishes
        branches.insert(0, f"typeof({stored}) = 'text' AND {moment} IS NOT NULL THEN {moment}")
    if wish.round and rounds(rounded):
        nearest = f"m_round({stored}, {sql.string(rounded)})"
        branches.append(f"typeof({stored}) IN ('integer', 'real') THEN {nearest}")
    if wish.round and kept is not None:
        branches.append(f"typeof({stored}) = 'text' THEN {cut(stored, kept)}")
    if wish.mixed == "bytes":
        digits = f"CASE typeof({stored}) WHEN 'real' THEN m_repr({stored}) ELSE {stored} END"
        as_bytes = f"m_bytes(CAST({stored} AS BLOB))"
        branches.append(f"typeof({stored}) = 'text' THEN ifnull({as_bytes}, {stored})")
        branches.append(
            f"typeof({stored}) IN ('integer', 'real') THEN m_bytes(CAST({digits} AS BLOB))"
        )
    elif wish.mixed == "text":
        branches.append(f"typeof({stored}) = 'blob' THEN m_of_blob({stored})")
    if not branches:
        return None
    return "CASE " + " ".join(f"WHEN {branch}" for branch in branches) + f" ELSE {stored} END"


def _in_zone(stored: str, kind: str, zone: str) -> str:
    text = f"CAST({stored} AS BLOB)"
    if kind == "time with time zone":  # as PostgreSQL writes it; elsewhere the day decides
        return f"rtrim(rtrim(m_time({text}), '0'), '.') || '+00'" if zone == UTC else "NULL"
    return f"m_zone({text}, {sql.string(f'{kind} {zone}')})"


def rounds(type_name: str) -> bool:
    """Whether a type keeps less of a number than SQLite does."""
    return type_name == "real" or type_name.startswith("numeric(")


def cut(stored: str, digits: int) -> str:
    """A text with no more digits of a second."""
    return f"ifnull(m_cut(CAST({stored} AS BLOB), {digits}), {stored})"


def moment_type(wish: ColumnWish, type_name: str) -> str:
    """What moments become, less a precision: as the target has it, as it is wished, or timestamptz."""
    plain = without_precision(type_name)
    short = {
        "timestamp without time zone": "timestamp",
        "timestamp with time zone": "timestamptz",
    }.get(plain, plain)
    return short or wish.type or "timestamptz"


def says(wish: ColumnWish) -> list[str]:
    """What each wish does, for plan and report."""
    words = {
        "nul: strip": wish.nul and "NUL characters are taken out",
        f"invalid_utf8: {wish.invalid_utf8}": wish.invalid_utf8
        and "texts that are not UTF-8 are read as "
        + {"replace": "UTF-8 with U+FFFD for what is wrong"}.get(
            wish.invalid_utf8, wish.invalid_utf8
        ),
        "empty: null": wish.empty and "'' becomes NULL",
        f"nulls: {wish.nulls}": wish.nulls
        and "the column may hold NULL; its NOT NULL is not carried",
        f"epoch: {wish.epoch}": wish.epoch and "numbers become moments",
        f"zone: {wish.zone}": wish.zone
        and f"times are {'UTC' if wish.zone == UTC else f'what clocks of {wish.zone} show'}",
        "round: type": wish.round and "numbers are rounded, and times cut, to what the type keeps",
        f"mixed: {wish.mixed}": wish.mixed
        and {"bytes": "texts and numbers become their bytes", "text": "BLOBs become texts"}[
            wish.mixed
        ],
        "misfit: null": wish.misfit and "values that don't fit become NULL",
        "orphans: null": wish.orphans == "null" and "references to nothing become NULL",
    }
    return [f"{key}, {meaning}" for key, meaning in words.items() if meaning]
