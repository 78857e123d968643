"""A codec per column: what SQLite stores and what PostgreSQL holds, both ways.

It is four pieces of SQL, evaluated by the two databases, with ``{c}`` for the column,
and the way back in Python. What SQLite lacks is a function of ours (``sqlite.functions``):

=========  ==========  ====================================================
piece      runs in     gives
=========  ==========  ====================================================
misfit     SQLite      true for a stored value this codec can't carry
encode     SQLite      a field of what ``COPY`` reads, see ``copy_text``
stored     SQLite      the value in canonical text
held       PostgreSQL  the same canonical text, from what arrived
decode     Python      the SQLite value back, from canonical text
=========  ==========  ====================================================

``encode`` and ``stored`` share as little as can be, so that a slip in one doesn't hide in the
other: only readings of spans and of times in unusual forms.
Canonical text is injective: two values have the same text only if they are the
same value. Everything that knows about types lives in this package; ``choice`` picks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from migrate_db.codecs import copy_text

#: From here on json_array() takes some BLOBs for JSON; before, it refuses each.
_JSON_OF_BLOBS = (3, 45)
#: What SQLite hands back for one cell.
Cell = int | float | str | bytes | None


@dataclass(frozen=True)
class Codec:
    """How the values of one column travel; see the module."""

    type: str  #: PostgreSQL type
    misfit: str
    encode: str
    stored: str
    held: str
    decode: Callable[[str], Cell]
    assumed_encode: str = ""  #: as ``encode``, where nobody has looked, if that is cheaper
    merges: bool = (
        False  #: whether two stored values may become one, though SQLite tells them apart
    )
    says: str = ""  #: what a reader of the plan should know if this one is chosen
    short_stored: str = ""  #: as ``stored``, where whole blocks are compared, if that is cheaper
    short_held: str = ""  #: as ``held``, likewise
    #: what the server must be asked to know what fits, see ``foreign``: SQLite's SQL of a text, and of what must come
    #: back for it, PostgreSQL's of what does
    asks: tuple[str, str, str] | None = None

    def misfit_of(self, column: str) -> str:
        """``misfit`` for a column; NULL always fits."""
        misfit = self.misfit.replace("{c}", column)
        # IS NULL reads the whole of a blob that typeof() only looks at, and is false where NOT NULL is declared
        return (
            f"({misfit})" if "'null'" in misfit else f"(typeof({column}) <> 'null' AND ({misfit}))"
        )

    def encode_of(self, column: str, assumed: bool = False) -> str:
        """``encode`` for a column.

        Args:
            assumed: nobody has looked: texts are taken for texts without the characters that
                ``copy_text`` uses.
        """
        encode = self.encode
        if assumed:
            encode = "{c}" if self.carries_text else self.assumed_encode or encode
        return f"ifnull({encode.replace('{c}', column)}, '{copy_text.NULL}')"

    def stored_of(self, column: str) -> str:
        """``stored`` for a column; what this codec can't carry is written as SQLite's literal."""
        stored = self.stored.replace("{c}", column)
        if not stored.startswith("quote("):
            stored = f"ifnull({stored}, quote({column}))"
        # before 3.38 quote() gives a number as it is, which no text is equal to
        return stored if sqlite3.sqlite_version_info >= (3, 38) else f"CAST({stored} AS TEXT)"

    def held_of(self, column: str) -> str:
        """``held`` for a column."""
        return f"coalesce({self.held.replace('{c}', column)}, 'NULL')"

    @property
    def _text(self) -> str:
        """SQLite's SQL of a text whose bytes can be compared as they are; empty for other codecs."""
        plain = self.held == HELD_TEXT and self.stored in ("quote({c})", f"quote({AS_TEXT})")
        return self.stored.removeprefix("quote(")[:-1] if plain else ""

    @property
    def _is_quoted(self) -> bool:
        """Whether the canonical text is a literal with anything in it, which is no word of a JSON array."""
        return self.stored.startswith("quote(") or self.held == HELD_TEXT

    @property
    def is_whole(self) -> bool:
        """Whether JSON's own numbers are the canonical text."""
        return self.decode is int and self.stored == "quote({c})"

    def framed_stored_of(self, column: str, utf8: bool, assumed: bool = False) -> tuple[str, str]:
        """In SQLite, an element of a framed line's array, and what follows it (see ``line``).

        What follows without a size in the array begins with a comma: two quoted texts beside each other could be
        taken apart in two ways.

        Args:
            utf8: whether the file's texts are.
            assumed: nobody has looked at the values.
        """
        if self._text:
            size = "length(CAST({} AS BLOB))" if utf8 else "length(m_utf8(CAST({} AS BLOB)))"
            text = self._text.replace("{c}", column)
            other = "-2" if text == column else size.format(text)
            return (
                f"CASE typeof({column}) WHEN 'text' THEN {size.format(column)}"
                f" WHEN 'null' THEN -1 ELSE {other} END",
                f"ifnull({text}, '')",
            )
        if self.is_whole and assumed and sqlite3.sqlite_version_info >= _JSON_OF_BLOBS:
            return f"iif(typeof({column}) = 'blob', quote({column}), {column})", ""
        if self.is_whole:
            return column, ""
        if self._is_quoted:
            return "", f"',' || {self.stored_of(column)}"
        short = (self.short_stored or self.stored).replace("{c}", column)
        return f"iif({column} IS NULL, '', ifnull({short}, quote({column})))", ""

    def framed_held_of(self, column: str, not_null: bool) -> tuple[str, bool, str]:
        """The same in PostgreSQL: the element, whether it stands in quotes, and what follows.

        Args:
            not_null: whether there is no NULL; if there is one nevertheless, all of it is NULL.
        """
        if self._text:
            text, size = f"{column}::text", f"octet_length({column}::text)"
            if not_null:
                return f"{size}::text", False, text
            return f"coalesce({size}, -1)::text", False, f"coalesce({text}, '')"
        if self.is_whole:
            held = self.held.replace("{c}", column)
            return held if not_null else f"coalesce({held}, 'null')", False, ""
        if self._is_quoted:
            return "", False, f"',' || {self.held_of(column)}"
        short = (self.short_held or self.held).replace("{c}", column)
        return short if not_null else f"coalesce({short}, '')", True, ""

    @property
    def carries_text(self) -> bool:
        """Whether arbitrary bytes of text reach PostgreSQL, which takes only UTF-8."""
        return self.encode.startswith("replace(")

    @property
    def carries_bulk(self) -> bool:
        """Whether the bytes of the value arrive as they are, so that they can go in pieces."""
        kind = self.type.partition("(")[0]
        return kind == "bytea" or (self.carries_text and kind in ("text", "varchar", "json"))

    def cell(self, canonical: str) -> Cell:
        """The SQLite value that this canonical text stands for."""
        return None if canonical == "NULL" else self.decode(canonical)


def unquote(canonical: str) -> str:
    return canonical[1:-1].replace("''", "'")


def unhex(canonical: str) -> bytes:
    return bytes.fromhex(canonical[2:-1])


def word(length: int) -> str:
    """A text of some characters as it is: no blob with the same bytes, and nothing behind a NUL."""
    return (
        "CASE WHEN typeof({c}) = 'text' AND NOT instr({c}, char(0))"
        f" THEN CASE length({{c}}) WHEN {length} THEN {{c}} ELSE quote({{c}}) END"
        " ELSE quote({c}) END"
    )


# a collation that takes A for a can't look into a text
HELD_TEXT = "'''' || replace({c}::text COLLATE \"C\", '''', '''''') || ''''"
# GLOB, length() and json_valid() see only what stands before it
NUL = "instr({c}, char(0))"
# a number in a text column keeps its digits; the column's affinity makes it one again
AS_TEXT = (
    "(CASE typeof({c}) WHEN 'text' THEN {c}"
    # no codec of texts carries a blob: it must not look like the text with the same bytes
    " WHEN 'blob' THEN quote({c})"
    " WHEN 'real' THEN CASE {c}"
    # as SQLite itself writes what is beyond all numbers
    " WHEN 9e999 THEN '9.0e+999' WHEN -9e999 THEN '-9.0e+999' ELSE m_repr({c}) END"
    " ELSE CAST({c} AS TEXT) END)"
)
