"""Types of which only PostgreSQL itself knows what they take: inet, arrays, ranges, an extension's.

A value fits if the server takes its text and gives the same text back. So the server is asked about
the values of a column before they are looked at; from then on it is known what it refuses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from migrate_db import sql
from migrate_db.codecs.codec import Codec
from migrate_db.codecs.texts import text
from migrate_db.postgresql.target import Target

#: How the server is asked for the text of a value, where ``::text`` is not what people write.
_SHOWN = {
    "inet": "CASE WHEN masklen({c}) = CASE family({c}) WHEN 4 THEN 32 ELSE 128 END"
    " THEN host({c}) ELSE {c}::text END",
}
_AS_TEXT = "{c}::text"
#: Bytes of the texts that the server is asked about at once.
_AT_ONCE = 4096
#: Parts of them that are asked about one by one where it refuses them together.
_PARTS = 8


def codec_of(type_name: str) -> Codec:
    """A codec for the texts that this type gives back as they were.

    Args:
        type_name: as ``format_type`` prints it.
    """
    plain, shown = text(type_name), _SHOWN.get(type_name, _AS_TEXT)
    asked = f"m_takes({sql.string(type_name)}, CAST({{c}} AS BLOB))"
    return Codec(
        type=plain.type,
        misfit=f"{plain.misfit} OR NOT {asked}",
        encode=plain.encode,
        stored=plain.stored,
        held=plain.held.replace(_AS_TEXT, f"({shown})"),
        decode=plain.decode,
        asks=("{c}", "{c}", shown),
    )


#: A text, and what the server must give back for it.
_Pair = tuple[str, str]


class _Answers:
    """What the server said of texts; one for all connections to the file."""

    def __init__(self) -> None:
        #: of a type, and how a value is shown as SQL: the pairs that come back as other ones, None if the server
        #: doesn't take them all; None: nobody asks
        self.ask: Callable[[str, str, list[_Pair]], list[_Pair] | None] | None = None
        self.examined: set[tuple[Codec, str, str]] = set()
        self.refused: set[tuple[str, _Pair]] = set()  #: with their types

    def refused_of(self, type_name: str, shown: str, pairs: list[_Pair]) -> list[_Pair]:
        """Those that the server doesn't take, or gives back as other ones."""
        changed = self.ask(type_name, shown, pairs) if self.ask else []
        if changed is not None:
            return changed
        if len(pairs) == 1:
            return pairs
        step = -(-len(pairs) // _PARTS)
        parts = [pairs[at : at + step] for at in range(0, len(pairs), step)]
        return [pair for part in parts for pair in self.refused_of(type_name, shown, part)]


_answers = _Answers()


def register(connection: sqlite3.Connection, encoding: str) -> None:
    """Make ``m_takes``, which gets the bytes of a text, and ``m_takes_list`` callable from SQL.

    What isn't known fits.
    """

    def m_takes(type_name: str, value: bytes | None) -> int:
        try:
            said = value.decode(encoding) if isinstance(value, bytes) else None
        except UnicodeDecodeError:
            return 1  # that is said elsewhere
        return int(said is None or (type_name, (said, said)) not in _answers.refused)

    def m_takes_list(type_name: str, array: str | None, listed: str | None) -> int:
        if array is None or listed is None:
            return 0
        return int((type_name, (array, listed)) not in _answers.refused)

    connection.create_function("m_takes_list", 3, m_takes_list, deterministic=True)
    connection.create_function("m_takes", 2, m_takes, deterministic=True)


def examine(connection: sqlite3.Connection, codec: Codec, relation: str, cell: str) -> None:
    """Ask about the texts of a column, if only the server knows, and somebody may ask it.

    Args:
        relation: SQL of the rows, after FROM.
    """
    asked = (codec, relation, cell)
    if codec.asks is None or _answers.ask is None or asked in _answers.examined:
        return
    _answers.examined.add(asked)
    said, expected = (part.replace("{c}", cell) for part in codec.asks[:2])
    rows = connection.execute(
        f"SELECT DISTINCT {said} COLLATE BINARY, {expected} COLLATE BINARY FROM {relation}"
        f" WHERE typeof({cell}) = 'text'"
    )
    for pairs in _portions(rows):
        refused = _answers.refused_of(codec.type, codec.asks[2], pairs)
        _answers.refused |= {(codec.type, pair) for pair in refused}


def _portions(rows: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[list[_Pair]]:
    pairs: list[_Pair] = []
    size = 0
    for said, expected in rows:
        if said is None or expected is None:  # no list
            continue
        with suppress(UnicodeDecodeError):  # that is said elsewhere
            pairs.append((said.decode(), expected.decode()))
            size += len(said)
        if size >= _AT_ONCE:
            yield pairs
            pairs, size = [], 0
    if pairs:
        yield pairs


@contextmanager
def asking(target: Target | None) -> Iterator[None]:
    """Ask this server about texts meanwhile."""
    if target is None:
        yield
        return
    import psycopg

    def ask(type_name: str, shown: str, pairs: list[_Pair]) -> list[_Pair] | None:
        value = f"%s::{type_name.replace('%', '%%')}"
        values = ", ".join(f"({n}, {value})" for n in range(len(pairs)))
        asked = f"SELECT n, {shown.replace('{c}', 'v')} FROM (VALUES {values}) t(n, v)"
        try:
            with target.connection.transaction():
                rows = target.connection.execute(
                    asked.encode(), [said for said, _ in pairs]
                ).fetchall()
        except psycopg.Error:
            # gone: whoever asks next says so
            return [] if target.connection.closed else None
        return [pairs[n] for n, given in rows if given != pairs[n][1]]

    _answers.ask = ask
    try:
        yield
    finally:
        _answers.ask = None
        _answers.examined.clear()
