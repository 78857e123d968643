"""Whether the DEFAULT of a table that was there before gives another value than the source's."""

from __future__ import annotations

import re

from migrate_db.errors import Untranslated
from migrate_db.failures import is_about_the_statement
from migrate_db.planning.plan import TablePlan
from migrate_db.postgresql.target import Target
from migrate_db.sqlite.schema import Column
from migrate_db.structure import defaults

_NUMBER = r"-?\d+(?:\.\d+)?"
_TYPE = r"::[\w .,()\[\]\"]+"
#: A constant, as PostgreSQL writes it and as ``defaults`` does. A text that is cast once more may be 'now'.
_CONSTANT = re.compile(
    rf"(E?'(?:[^']|'')*'|{_NUMBER}|true|false|NULL)(?:{_TYPE})?"
    rf"|\((?:{_NUMBER}|'{_NUMBER}'{_TYPE})\){_TYPE}",
    re.DOTALL,
)
_PRESENT = re.compile(r"now\(\)|(?:CURRENT_(?:TIMESTAMP|DATE|TIME)|LOCALTIME(?:STAMP)?)(?:\(\d\))?")


def differs(target: Target, table: TablePlan, column: Column, theirs: str) -> bool:
    """Whether it certainly does; what can't be told apart is the same.

    Args:
        theirs: the target's, as PostgreSQL writes it.
    """
    there = _CONSTANT.fullmatch(theirs)
    if there is None and not _PRESENT.fullmatch(theirs):
        return False
    planned = table.column(column.name)
    try:
        ours = defaults.default(planned, column, table.wish.column(column.name).epoch)
    except Untranslated:
        return False
    here = _CONSTANT.fullmatch(ours)
    if here is None or there is None:
        return here is not there  # the one is the same each time, the other is not
    if here[1] == there[1]:
        return False
    held = [planned.codec.held_of(f"({one})::{planned.codec.type}") for one in (ours, theirs)]
    return _are_unequal(target, *held)


def _are_unequal(target: Target, one: str, other: str) -> bool:
    """Whether the server has two canonical texts for two expressions."""
    import psycopg

    try:
        with target.connection.transaction():
            return bool(target.value(f"SELECT {one} <> {other}"))
    except psycopg.Error as error:
        if not is_about_the_statement(error):
            raise
        return False
