"""The one place where names and strings become SQL text, for both databases."""

from __future__ import annotations

from collections.abc import Iterable


def name(identifier: str) -> str:
    """Quote an identifier; both SQLite and PostgreSQL read it as it is."""
    return '"' + identifier.replace('"', '""') + '"'


def names(identifiers: Iterable[str]) -> str:
    """Quote several identifiers, separated by commas."""
    return ", ".join(name(identifier) for identifier in identifiers)


def qualified(schema: str, table: str) -> str:
    """Quote ``schema.table``."""
    return f"{name(schema)}.{name(table)}"


def string(text: str) -> str:
    """Quote a string literal (``standard_conforming_strings`` is on in our sessions)."""
    return "'" + text.replace("'", "''") + "'"
