"""Parts of an expression in the words of PostgreSQL, with what SQLite holds there for sure.

Every part of an expression has a *kind*: what SQLite holds there for sure. An
``int`` is an integer in each row, a ``real`` a float, ``mixed`` either of them,
``text`` a text; ``cond`` is a truth value of PostgreSQL's. ``loose`` are texts and
numbers, which PostgreSQL has as their digits: they are equal or not, but have no
order. A column whose values are only alike (times in several spellings) is
``other``: it can be NULL or not, and nothing else is certain about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrate_db import sql
from migrate_db.codecs import numbers, texts, times
from migrate_db.codecs.codec import Codec
from migrate_db.errors import Untranslated
from migrate_db.sqlite.schema import Column

NUMBERS = ("int", "real", "mixed")
#: Of a number that every float of 64 bits has.
_DIGITS = 15
#: Up to here every integer is one.
_EXACT = 2**53
#: Affinities that make a number of a text where they can.
NUMERIC = ("INTEGER", "REAL", "NUMERIC")
#: Those that make an integer of 5.0, so that the digits of two equal numbers are the same.
EXACT = ("INTEGER", "NUMERIC")


@dataclass(frozen=True)
class Typed:
    """A part of an expression in PostgreSQL's words, and what SQLite holds there."""

    sql: str
    kind: str
    affinity: str = ""  #: only columns have one
    collation: str = ""  #: of a column, or said with COLLATE
    codec: Codec | None = None  #: of a plain column
    constant: str | None = None  #: a literal's text
    explicit: bool = False  #: COLLATE was said


def kind_of(found: Codec) -> str:
    """What SQLite holds in a column that this codec carries."""
    if found.type in numbers.WHOLE:
        return "int" if found.is_whole else "other"
    if found.type.startswith("numeric"):
        return "mixed" if found.misfit.startswith(numbers.numeric().misfit) else "other"
    plain = {
        numbers.BOOLEAN.misfit: "bool",
        numbers.DOUBLE.misfit: "real",
        numbers.REAL4.misfit: "real",
        numbers.DOUBLE_OR_INTEGER.misfit: "mixed",
        numbers.REAL4_OR_INTEGER.misfit: "mixed",
        texts.BYTEA.misfit: "bytea",
        times.DATE.misfit: "date",
        times.TIMESTAMP.misfit: "timestamp",
        texts.UUID.misfit: "uuid",
        texts.TEXT_OR_NUMBER.misfit: "loose",
    }
    if found.misfit in plain:
        return plain[found.misfit]
    if found.type.startswith(("text", "varchar", "char", "citext")):
        return "text" if found.misfit.startswith(texts.text().misfit) else "other"
    return "other"


def column(target: str, found: Codec, declared: Column | None) -> Typed:
    """A column as a part of an expression.

    Args:
        target: its name in PostgreSQL, quoted and qualified as need be.
    """
    kind = kind_of(found)
    affinity = declared.affinity if declared else ""
    # what SQLite would make of later values: of 3 an integer, of '007' a number
    if kind == "real" and affinity != "REAL":
        kind = "mixed"
    elif kind == "text" and affinity in NUMERIC:
        kind = "loose"
    if found.type in ("real", "citext") or found.type.startswith("char("):
        target += "::double precision" if found.type == "real" else "::text"
    return Typed(
        target,
        kind,
        affinity=affinity,
        collation=declared.collation if declared else "",
        codec=found,
    )


def literal(kind: str, text: str) -> Typed:
    shown = f"{sql.string(text)}::text" if kind == "text" else text
    if kind == "text" and "\x00" in text:
        raise Untranslated("a NUL in a text")
    return Typed(shown, kind, constant=text)


def wide(part: Typed) -> str:
    """An integer of 64 bits, as SQLite's are."""
    if part.kind != "int":
        return part.sql
    return f"{part.sql}::bigint" if part.constant is None else f"'{part.constant}'::bigint"


def double(part: Typed) -> str:
    shown = part.sql if part.constant is None else f"'{part.constant}'"
    return f"{shown}::double precision"


def fits_double(part: Typed) -> bool:
    """Whether its integers, of which SQLite makes no float, all are floats as well."""
    if part.codec is None:
        return part.kind != "int" or abs(int(part.constant or _EXACT + 1)) <= _EXACT
    declared = part.codec.type
    if declared.startswith("numeric"):
        digits = declared[8:].partition(",")[0].strip(")")
        return digits.isdigit() and int(digits) <= _DIGITS
    return declared != "bigint"


def is_double(part: Typed) -> bool:
    """Whether PostgreSQL has a float there, of which it makes one of the other side, too."""
    if part.codec is not None:
        return part.codec.type in ("double precision", "real")
    return part.constant is None and part.kind in ("real", "mixed")


def is_moment(part: Typed) -> bool:
    """Whether it is a time without a zone, however it is spelt."""
    return part.codec is not None and part.codec.type == "timestamp"
