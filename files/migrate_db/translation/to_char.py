"""Formats of SQLite's strftime() in the words of PostgreSQL's to_char()."""

from __future__ import annotations

import re

from migrate_db.errors import Untranslated

#: What date(), time() and datetime() print.
DAY, CLOCK = "YYYY-MM-DD", "HH24:MI:SS"
MOMENT = f"{DAY} {CLOCK}"
_LETTERS = {
    "%Y": "YYYY", "%m": "MM", "%d": "DD", "%H": "HH24", "%M": "MI", "%S": "SS", "%f": "SS.MS", "%j": "DDD",
}  # fmt: skip
_PIECES = re.compile(r'%.|[-: ./,]+|[^-: ./,%"\\]+')


def form(strftime: str) -> str:
    """A format of strftime() for to_char(); what is no letter of it stands in quotes.

    Raises:
        Untranslated: it has a letter that to_char() doesn't have.
    """
    pieces = _PIECES.findall(strftime)
    unknown = not strftime or any(
        piece.startswith("%") and piece not in _LETTERS for piece in pieces
    )
    if unknown or "".join(pieces) != strftime:
        raise Untranslated(f"strftime('{strftime}') has no equal")
    text = ""
    for piece in pieces:
        word = _LETTERS.get(piece) or (piece if piece[0] in "-: ./," else f'"{piece}"')
        # DD and DDD are not to be read as DDD and DD
        text += '""' + word if text[-1:].isalpha() and word[0].isalpha() else word
    return text
