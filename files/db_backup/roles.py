"""Roles of a backup on a server that lacks them; the ones it has stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg

# pg_dumpall writes one statement after another; between them comments and psql's own commands.
_PART = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]*\n | ; | [^'";-]+ | -""", re.VERBOSE
)
_NAME = r'(?P<name>"(?:[^"]|"")*"|[^\s;"]+)'
_ROLE = re.compile(rf"(?P<verb>CREATE|ALTER) ROLE {_NAME}(?P<rest>\s.*)?", re.DOTALL)
_MEMBER = re.compile(
    r'GRANT (?P<group>"(?:[^"]|"")*"|\S+) TO (?P<member>"(?:[^"]|"")*"|[^\s;]+)(?P<rest>.*)',
    re.DOTALL,
)


def make_missing(connection: psycopg.Connection, path: Path) -> list[str]:
    """Make the roles that the server lacks, with their passwords, settings and memberships.

    Args:
        path: what ``pg_dumpall --globals-only`` wrote.

    Returns:
        the names of the roles that were made.
    """
    rows = connection.execute("SELECT rolname::text FROM pg_roles")
    known = {name for (name,) in rows}
    made: list[str] = []
    with connection.transaction():
        for statement in statements(path.read_text(encoding="utf-8")):
            role = _ROLE.fullmatch(statement)
            member = _MEMBER.fullmatch(statement)
            if role is not None:
                name = _unquoted(role["name"])
                if role["verb"] == "CREATE" and name not in known:
                    made.append(name)
                elif name not in made:
                    continue
            elif member is None or not {
                _unquoted(member["group"]),
                _unquoted(member["member"]),
            } & set(made):
                continue
            else:
                # who granted it may be a role that never could, here
                statement = re.sub(r"\s+GRANTED BY .*$", "", statement, flags=re.DOTALL)
            connection.execute(statement.encode())
    return made


def statements(text: str) -> Iterator[str]:
    """The SQL statements of a script, without their semicolons."""
    lines = [line for line in text.split("\n") if not line.startswith("\\")]
    current = ""
    for part in _PART.findall("\n".join(lines) + "\n"):
        if part == ";":
            yield current.strip()
            current = ""
        elif not part.startswith("--"):
            current += part


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
