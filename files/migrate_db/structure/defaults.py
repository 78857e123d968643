"""What a column's DEFAULT becomes.

A constant is worked out by SQLite itself, in a column declared the same way, and
goes through the column's own codec: so a default is what a stored row would be.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from migrate_db import sql
from migrate_db.codecs.numbers import BOOLEAN, BOOLEAN_ANY, DOUBLE, DOUBLE_OR_INTEGER
from migrate_db.errors import Untranslated
from migrate_db.planning.plan import ColumnPlan
from migrate_db.sqlite import declaration, functions
from migrate_db.sqlite.schema import Column
from migrate_db.sqlite.source import HAS_LIMITS
from migrate_db.translation import chance, present
from migrate_db.translation.parsing import NOT_UTF8
from migrate_db.translation.typed import kind_of

#: Words that a constant may have, without SQLite being asked.
_CONSTANT = {"TRUE", "FALSE", "NULL"}
#: Bytes of a value that SQLite is to compute.
_LONGEST = 1 << 20


def default(planned: ColumnPlan, column: Column, epoch: str = "") -> str:
    """A column's DEFAULT in PostgreSQL's words.

    Args:
        epoch: what its numbers count, if they become moments.

    Raises:
        Untranslated: it is neither a constant nor the present time.
    """
    text = (column.default or "").strip()
    if "\ufffd" in text:
        raise Untranslated(NOT_UTF8)
    plain = _plain(text)
    varying = present.default(plain, planned.codec, column, epoch) or chance.default(
        plain, planned.codec, column
    )
    if varying is not None:
        return varying
    words = [token for token in declaration.tokens(text) if token.kind == "word"]
    alone = len(declaration.tokens(text)) == 1  # DEFAULT word is a string for SQLite
    constant = alone or all(word.word in _CONSTANT for word in words)
    if not constant and not _is_always_the_same(text):
        raise Untranslated("it is not a constant")
    return _constant(planned, column)


def is_false_in_sqlite(planned: ColumnPlan, column: Column, given: str) -> bool:
    """Whether a default that became true is a word among numbers, which SQLite's conditions take for false.

    Args:
        given: what ``default`` made of it.
    """
    if planned.codec is not BOOLEAN or given != "true":
        return False
    name = sql.name(column.name)
    return bool(_asked(column, f"typeof({name}) = 'text' AND NOT {name}")[0])


def _plain(text: str) -> str:
    """Without spaces and outer parentheses, keywords in lower case."""
    plain = "".join(token.text for token in declaration.tokens(text))
    while plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1]
    parts = plain.split("'")
    lowered = "'".join(part.lower() if i % 2 == 0 else part for i, part in enumerate(parts))
    return re.sub("(?i)'now'", "'now'", lowered)


def _is_always_the_same(text: str) -> bool:
    """Whether SQLite would take it in a generated column: neither chance nor the present time."""
    # the first two are another one elsewhere; the last is a column of ours
    if re.search(r"(?i)\b(?:sqlite_|localtime\b)|m_other", text):
        return False
    if not HAS_LIMITS:
        return False  # nobody would keep it from making a text of gigabytes
    scratch = sqlite3.connect(":memory:")
    scratch.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    try:
        scratch.execute(f"CREATE TABLE t (m_other, m_value AS ({text}))")
        scratch.execute("INSERT INTO t (m_other) VALUES (1)")
        scratch.execute("SELECT m_value FROM t").fetchone()
    except sqlite3.Error:
        return False
    finally:
        scratch.close()
    return True


def _constant(planned: ColumnPlan, column: Column) -> str:
    # the wishes of a mapping are about what an app will write, too; but no row points anywhere here
    name = sql.name(column.name)
    cell = name if " IN (SELECT " in planned.cell else planned.cell
    codec = planned.codec
    if codec is DOUBLE:  # a column of floats makes one of an integer
        codec = DOUBLE_OR_INTEGER
    elif codec.type == "boolean":  # declared with DEFAULT 'false', filled with 0 and 1
        codec = BOOLEAN_ANY
    field = codec.stored_of(cell) if codec.carries_text else codec.encode_of(cell)
    misfit, empty, field = _asked(column, codec.misfit_of(cell), f"{cell} IS NULL", field)
    if empty:
        return "NULL"
    if misfit and codec.type == "timestamptz":
        raise Untranslated("it says no time zone, as the rows do")
    if misfit:
        raise Untranslated(f"{codec.type} can't hold it")
    shown = (field if isinstance(field, bytes) else str(field).encode()).decode("utf-8")
    if codec.carries_text:
        shown = str(codec.cell(shown))
    if codec.type == "boolean":
        return "true" if shown == "1" else "false"
    number = kind_of(codec) in ("int", "real", "mixed")
    return shown if number and re.fullmatch(r"-?\d+(\.\d+)?", shown) else sql.string(shown)


def _asked(column: Column, *questions: str) -> tuple[Any, ...]:
    """SQLite's answers about what it stores by a constant default.

    Raises:
        Untranslated: it stores none.
    """
    text = (column.default or "").strip()
    # as the catalogue forgets parentheses; but DEFAULT word is a string
    text = text if len(declaration.tokens(text)) == 1 else f"({text})"
    name = sql.name(column.name)
    declared = "" if column.strict and column.affinity == "BLOB" else column.declared
    scratch = sqlite3.connect(":memory:")
    scratch.text_factory = bytes
    try:
        functions.register(scratch)
        scratch.execute(f"CREATE TABLE t (m_other, {name} {declared} DEFAULT {text})")
        scratch.execute("INSERT INTO t (m_other) VALUES (1)")
        answers: tuple[Any, ...] = scratch.execute(
            f"SELECT {', '.join(questions)} FROM t"
        ).fetchone()
    except sqlite3.Error:
        raise Untranslated("it is not a constant") from None
    finally:
        scratch.close()
    return answers
