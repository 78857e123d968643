"""The text format of ``COPY``: SQLite writes nearly that, ``finished`` makes it so.

SQLite takes longer to double a backslash than to write the whole row, and Python's replace() does it
for some thousand rows in no time. So SQLite writes texts as they are, with three rare characters
for what isn't part of a text: between fields, for the backslash of an escape, at the end of a row.
Two bytes for one of them would be searched for thirty times as long.
"""

from __future__ import annotations

import re


def _without(text: str, character: str) -> str:
    return f"replace({text}, '{character}', '{_MARK}{ord(character):03o}')"


#: Between two fields.
DELIMITER = "\x01"
#: Begins an escape of ``COPY``'s, as a backslash will do.
_MARK = "\x02"
#: No value.
NULL = f"{_MARK}N"
#: The end of a row; a line feed could be part of a text.
END = "\x03"
#: Of a statement ``COPY … FROM STDIN``.
OPTIONS = f"DELIMITER E'\\x{ord(DELIMITER):02x}'"
#: Any of the three within a text, as SQLite writes it.
_ESCAPE = re.compile(f"{_MARK}(00[123])")
#: SQLite's SQL of a text ``{c}`` that may hold the three characters.
ESCAPED = _without(_without(_without("{c}", _MARK), DELIMITER), END)


def finished(rows: bytes) -> bytes:
    """What ``COPY`` reads, from whole rows as SQLite wrote them."""
    rows = _escaped(rows)
    return rows.replace(END.encode(), b"\n").replace(_MARK.encode(), b"\\")


def finished_piece(text: bytes) -> bytes:
    """The same of a piece of one text as it is stored."""
    return _escaped(text).replace(DELIMITER.encode(), b"\\001")


def value(field: object) -> str | None:
    """The text that ``COPY`` would read from a field, as SQLite gave it.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    if field is None:
        return None
    text = field.decode() if isinstance(field, bytes) else str(field)
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text) if _MARK in text else text


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
