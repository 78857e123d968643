"""Databases with the schemas of some fifty apps, as a forensic tool's package lists them, filled at random.

The tool recognises each app's file by its DDL, and so carries it, literally, in its plugins. Every
column gets values of what it declares, and now and then others, as SQLite lets it.
"""

from __future__ import annotations

import ast
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

ROWS = 40
_DIRT = ("", "n/a", 0, 1, -1, 3.5, b"\x00\x01", "ünï", "x" * 3000, 2**40, 1e300, float("inf"))
#: Part of a declared type, and what is found in such columns; the first that matches counts.
_KINDS: tuple[tuple[tuple[str, ...], tuple[object, ...]], ...] = (
    (("INT", "LONG", "COUNT"), (0, 1, 999_999, 2**40, 13_300_000_000_000_000)),
    (
        ("CHAR", "TEXT", "CLOB", "STR", "URL"),
        ("a", "ä€😀\n\t\"'", '{"a": 1}', "2024-01-02 03:04:05"),
    ),
    (("REAL", "FLOA", "DOUB"), (1 / 7, 2.0, -0.0, 1e-300)),
    (("BOOL",), (0, 1)),
    (("DATE", "TIME"), (645_000_000.25, 1_700_000_000, "2024-01-02 03:04:05.678", "2024-02-30")),
    (("BLOB",), (b"", bytes(range(20)), "text")),
)
_ANY = (7, "v", 1 / 3, b"\xff")


def make(plugins: Path, directory: Path) -> list[Path]:
    """Make each schema's database anew.

    Args:
        plugins: a directory of Python files that assign dictionaries of DDL to SCHEMAS.
    """
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for file in sorted(plugins.glob("*.py")):
        for number, ddl in enumerate(_listed(ast.parse(file.read_text(encoding="utf-8")))):
            path = directory / f"{file.stem}-{number}.db"
            path.unlink(missing_ok=True)
            with closing(sqlite3.connect(path)) as connection:
                _create(connection, list(ddl.values()))
                _fill(connection, random.Random(path.name))
                connection.commit()
            if path.stat().st_size:
                made.append(path)
    return made


def _listed(module: ast.Module) -> Iterator[dict[str, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and any(
            isinstance(name, ast.Name) and "SCHEMA" in name.id for name in node.targets
        ):
            listed = node.value.elts if isinstance(node.value, ast.List) else [node.value]
            for schema in listed:
                try:
                    found = ast.literal_eval(schema)
                except ValueError:  # put together when the module is loaded
                    continue
                if isinstance(found, dict):
                    yield found


def _create(connection: sqlite3.Connection, statements: list[str]) -> None:
    """What SQLite itself makes (shadow tables, its own) or refuses is left out."""
    for name in ("LOCALIZED", "UNICODE", "PHONEBOOK"):
        connection.create_collation(name, lambda one, other: (one > other) - (one < other))
    for statement in statements:
        try:
            connection.execute(statement)
        except sqlite3.Error:
            continue


def _fill(connection: sqlite3.Connection, chance: random.Random) -> None:
    tables = connection.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        " AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (table,) in tables:
        columns = [
            (name, kind.upper())
            for _, name, kind, _, _, _, hidden in connection.execute(
                "SELECT * FROM pragma_table_xinfo(?)", (table,)
            )
            if not hidden
        ]
        names = ", ".join('"' + name.replace('"', '""') + '"' for name, _ in columns)
        marks = ", ".join("?" * len(columns))
        for number in range(ROWS):
            row = [_value(kind, number, chance) for _, kind in columns]
            try:
                connection.execute(
                    f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({marks})', row
                )
            except sqlite3.Error:  # a trigger, or a rowid that is none
                continue


def _value(kind: str, number: int, chance: random.Random) -> object:
    share = chance.random()
    if share < 0.08:
        return None
    if share < 0.11:
        return chance.choice(_DIRT)
    usual = next((values for words, values in _KINDS if any(w in kind for w in words)), _ANY)
    return number if share < 0.4 and isinstance(usual[0], int) else chance.choice(usual)
