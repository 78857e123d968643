"""Types of which only PostgreSQL itself knows what they take: inet, arrays, ranges, an extension's.

A value fits if the server takes its text and gives the same text back. So the codec asks the server,
value by value, while values are looked at; later nobody is asked, as what it refuses is known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from migrate_db import arrays, sql
from migrate_db.codec import Codec, text

if TYPE_CHECKING:
    from migrate_db.target import Target

#: How the server is asked for the text of a value, where ``::text`` is not what people write.
_SHOWN = {
    "inet": "CASE WHEN masklen({c}) = CASE family({c}) WHEN 4 THEN 32 ELSE 128 END"
    " THEN host({c}) ELSE {c}::text END",
}
_AS_TEXT = "{c}::text"
#: Texts that are remembered, so that one that comes often is asked about once.
_MANY = 100_000


def codec_of(type_name: str) -> Codec:
    """A codec for the texts that this type gives back as they were.

    Args:
        type_name: as ``format_type`` prints it.
    """
    plain = text(type_name)
    asked = f"m_takes({sql.string(type_name)}, CAST({{c}} AS BLOB))"
    return Codec(
        type=plain.type,
        misfit=f"{plain.misfit} OR NOT {asked}",
        encode=plain.encode,
        stored=plain.stored,
        held=plain.held.replace(_AS_TEXT, f"({_SHOWN.get(type_name, _AS_TEXT)})"),
        decode=plain.decode,
    )


class _Answers:
    """What the server said of texts; one for all connections to the file."""

    def __init__(self) -> None:
        #: None: what isn't known fits
        self.ask: Callable[[str, str, str, str], bool] | None = None
        self.refused: set[tuple[str, str, str]] = set()
        self.taken: set[tuple[str, str, str]] = set()

    def fits(self, type_name: str, said: str, expected: str, shown: str) -> bool:
        """Whether PostgreSQL takes a text as this type, and shows what is expected.

        Args:
            shown: how it shows a value, as SQL.
        """
        asked = (type_name, said, expected)
        if asked in self.refused:
            return False
        if self.ask is None or asked in self.taken:
            return True
        if not self.ask(*asked, shown):
            self.refused.add(asked)
            return False
        if len(self.taken) < _MANY:
            self.taken.add(asked)
        return True


_answers = _Answers()


def register(connection: sqlite3.Connection, encoding: str) -> None:
    """Make ``m_takes``, which gets the bytes of a text, and ``m_takes_list`` callable from SQL."""

    def m_takes(type_name: str, value: bytes | None) -> int:
        try:
            said = value.decode(encoding) if isinstance(value, bytes) else None
        except UnicodeDecodeError:
            return 1  # that is said elsewhere
        shown = _SHOWN.get(type_name, _AS_TEXT)
        return int(said is None or _answers.fits(type_name, said, said, shown))

    def m_takes_list(type_name: str, array: str | None, listed: str | None) -> int:
        if array is None or listed is None:
            return 0
        return int(_answers.fits(type_name, array, listed, arrays.SHOWN))

    connection.create_function("m_takes_list", 3, m_takes_list, deterministic=True)
    connection.create_function("m_takes", 2, m_takes, deterministic=True)


@contextmanager
def asking(target: Target | None) -> Iterator[None]:
    """Ask this server about texts meanwhile."""
    if target is None:
        yield
        return
    import psycopg

    def ask(type_name: str, said: str, expected: str, shown: str) -> bool:
        asked = f"SELECT {shown.replace('{c}', 'v')} FROM (SELECT %s::{type_name.replace('%', '%%')}) t(v)"
        try:
            with target.connection.transaction():
                row = target.connection.execute(asked.encode(), (said,)).fetchone()
        except psycopg.Error:
            return target.connection.closed  # gone: whoever asks next says so
        return row is not None and row[0] == expected

    _answers.ask = ask
    try:
        yield
    finally:
        _answers.ask = None
