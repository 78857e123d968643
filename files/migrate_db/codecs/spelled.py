"""Codecs of numbers that SQLite has as texts, and of texts that it has as numbers.

For the columns of an app's own tables, whose types are decided: .NET keeps a decimal as a text in SQLite,
and as ``numeric`` in PostgreSQL. Only what one number is written as, but for zeros at the end, is taken for one:
of '007' the zeros would be lost.
"""

from __future__ import annotations

from dataclasses import replace

from migrate_db import sql
from migrate_db.codecs.codec import AS_TEXT, Codec
from migrate_db.codecs.numbers import DOUBLE, DOUBLE_OR_INTEGER, integer, numeric
from migrate_db.codecs.texts import TEXT_OR_NUMBER

_SAYS = "texts become the numbers that they spell"


def _either(of_text: str, of_number: str) -> str:
    return f"CASE typeof({{c}}) WHEN 'text' THEN {of_text} ELSE {of_number} END"


def _number_of(type_name: str) -> str:
    """The number that a text spells, in digits; NULL if it doesn't fit the type."""
    return f"m_decimal(CAST({{c}} AS BLOB), {sql.string(type_name)})"


def whole(type_name: str) -> Codec:
    """``smallint``, ``integer`` or ``bigint``, of integers and their texts."""
    plain, number = integer(type_name), "CAST({c} AS INTEGER)"
    # a collation may not tell '42 ' from '42'
    spelled = f"CAST({number} AS TEXT) = {{c}} COLLATE BINARY"
    bounds = plain.misfit.replace("typeof({c})", "'integer'").replace("{c}", number)
    misfit = _either(f"NOT {spelled} OR {bounds}", plain.misfit)
    return replace(
        plain,
        misfit=misfit,
        encode=number,
        stored=f"CASE WHEN NOT ({misfit}) THEN CAST({number} AS TEXT) END",
        decode=str,
        merges=True,
        says=_SAYS,
    )


def decimal(precision: int | None = None, scale: int = 0) -> Codec:
    """``numeric``, or ``numeric(p, s)``, of numbers and their texts."""
    plain = numeric(precision, scale)
    number = _number_of(plain.type)
    return replace(
        plain,
        misfit=_either(f"{number} IS NULL", plain.misfit),
        encode=_either("{c}", plain.encode),
        stored=_either(number, plain.stored),
        decode=str,
        merges=True,
        says=_SAYS,
    )


#: The float's own shortest digits; of any others it would not be known who rounded.
_EXACT = f"ifnull({_number_of('numeric')} = m_plain(CAST({{c}} AS REAL)), 0)"
DOUBLE_SPELLED = replace(
    DOUBLE_OR_INTEGER,
    misfit=_either(f"NOT {_EXACT}", DOUBLE_OR_INTEGER.misfit),
    stored=_either(f"CASE WHEN {_EXACT} THEN m_hex(CAST({{c}} AS REAL)) END", DOUBLE_OR_INTEGER.stored),
    decode=lambda canonical: repr(DOUBLE.decode(canonical)),
    merges=True,
    says=_SAYS,
)  # fmt: skip


def digits(type_name: str, limit: int) -> Codec:
    """``varchar(n)`` or ``char(n)``, of texts and numbers."""
    longer = f" OR length({AS_TEXT}) > {limit}"
    blank = f" OR {AS_TEXT} <> rtrim({AS_TEXT}, ' ') COLLATE BINARY" * (type_name == "char")
    return replace(
        TEXT_OR_NUMBER,
        type=f"{type_name}({limit})",
        misfit=TEXT_OR_NUMBER.misfit + longer + blank,
    )
