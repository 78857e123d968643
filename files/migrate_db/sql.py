"""The one place where names and strings become SQL text, for both databases."""

from __future__ import annotations

import string as letters
from collections.abc import Iterable

#: What SQLite calls the number of a row, unless a column has that name.
ROWID = ("rowid", "_rowid_", "oid")
#: What a foreign key does, by the letter of ``pg_constraint``; other constraints have a blank.
ACTIONS = {
    "a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT", " ": "",
}  # fmt: skip
_GROUP = 100
_FOLDING = str.maketrans(letters.ascii_uppercase, letters.ascii_lowercase)


def name(identifier: str) -> str:
    """Quote an identifier; both SQLite and PostgreSQL read it as it is."""
    return '"' + identifier.replace('"', '""') + '"'


def folded(identifier: str) -> str:
    """An identifier as SQLite compares them: A to Z are a to z, and Ä is not ä."""
    return identifier.lower() if identifier.isascii() else identifier.translate(_FOLDING)


def names(identifiers: Iterable[str]) -> str:
    """Quote several identifiers, separated by commas."""
    return ", ".join(name(identifier) for identifier in identifiers)


def joined(parts: list[str], between: str = " || ") -> str:
    """Many parts as one, in groups: SQLite takes no expression that is 1,000 deep."""
    if len(parts) <= _GROUP:
        return between.join(parts)
    groups = (parts[at : at + _GROUP] for at in range(0, len(parts), _GROUP))
    return between.join(f"({between.join(group)})" for group in groups)


def on_events(update: str, delete: str) -> str:
    """``ON UPDATE … ON DELETE …`` of a foreign key, without what it does anyway."""
    return "".join(
        f" ON {event} {action}"
        for event, action in (("UPDATE", update), ("DELETE", delete))
        if action != "NO ACTION"
    )


def qualified(schema: str, table: str) -> str:
    """Quote ``schema.table``."""
    return f"{name(schema)}.{name(table)}"


def string(text: str) -> str:
    """Quote a string literal (``standard_conforming_strings`` is on in our sessions)."""
    return "'" + text.replace("'", "''") + "'"
