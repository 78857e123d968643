"""The text format of ``COPY``: SQLite writes nearly that, ``finished`` makes it so.

SQLite takes longer to double a backslash than to write the whole row, and Python's replace() does it
for some thousand rows in no time. So SQLite writes texts as they are, with two rare characters
for what isn't part of a text: one between fields, one for the backslash of an escape.
"""

from __future__ import annotations

#: Between two fields.
DELIMITER = "\x01"
#: Begins an escape of ``COPY``'s, as a backslash will do.
_MARK = "\x02"
#: No value.
NULL = f"{_MARK}N"
#: The end of a row; a line feed could be part of a text.
END = f"{_MARK}E"
#: Of a statement ``COPY … FROM STDIN``.
OPTIONS = f"DELIMITER E'\\x{ord(DELIMITER):02x}'"
#: SQLite's SQL of a text ``{c}`` that may hold the two characters.
ESCAPED = f"replace(replace({{c}}, '{_MARK}', '{_MARK}002'), '{DELIMITER}', '{_MARK}001')"


def finished(rows: bytes) -> bytes:
    """What ``COPY`` reads, from whole rows as SQLite wrote them."""
    rows = _escaped(rows)
    return rows.replace(END.encode(), b"\n").replace(_MARK.encode(), b"\\")


def finished_piece(text: bytes) -> bytes:
    """The same of a piece of one text as it is stored."""
    return _escaped(text).replace(DELIMITER.encode(), b"\\001")


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
