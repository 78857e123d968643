"""Codecs of numbers and booleans."""

from __future__ import annotations

import struct
from dataclasses import replace

from migrate_db import sql
from migrate_db.codecs.codec import Codec, unquote

#: Types of whole numbers.
WHOLE = ("smallint", "integer", "bigint")


def counts(codec: Codec) -> bool:
    """Whether a column has whole numbers on both sides, which both databases compare and order alike."""
    return codec.type in WHOLE and not codec.merges


def _double(canonical: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(canonical))[0]
    return value


def _number(canonical: str) -> int | float:
    try:
        whole = int(canonical)
    except ValueError:
        return float(canonical)
    return whole if -(2**63) <= whole < 2**63 else float(canonical)


def _are_millionths(column: str, million: str = "1e6", most: str = "1e8") -> str:
    """Whether a float is the one nearest to a number with six decimals, in SQL of either database.

    A quotient of two whole numbers is rounded as a decimal number is when it is read, so these
    six decimals are all there is to say of it. Zero has a sign that they don't say.
    """
    return (
        f"{column} BETWEEN -{most} AND {most} AND {column} <> 0"
        f" AND round({column} * {million}) / {million} = {column}"
    )


def _millionths(column: str, million: str = "1e6", whole: str = "INTEGER") -> str:
    """That number without its point: 15 digits at most, one less than a float in hexadecimal."""
    return f"CAST(round({column} * {million}) AS {whole})"


#: The same numbers in PostgreSQL, where they would else be numeric.
_MILLION, _MOST = "'1e6'::float8", "'1e8'::float8"
#: Python writes a float in three times the time of this.
_SHORTER = (
    f"CASE WHEN {_are_millionths('{c}')} THEN {_millionths('{c}')} || 'e-6' ELSE m_repr({{c}}) END"
)


def integer(type_name: str) -> Codec:
    """``smallint``, ``integer`` or ``bigint``."""
    bits = {"smallint": 15, "integer": 31, "bigint": 63}[type_name]
    low, high = -(2**bits), 2**bits - 1
    # -2**63 can't be written as a literal in SQLite
    bound = "" if bits == 63 else f" OR {{c}} NOT BETWEEN {low} AND {high}"
    return Codec(
        type=type_name,
        misfit=f"typeof({{c}}) <> 'integer'{bound}",
        encode="{c}",
        stored="quote({c})",
        held="{c}::text",
        decode=int,
    )


BOOLEAN = Codec(
    type="boolean",
    misfit="typeof({c}) <> 'integer' OR {c} NOT IN (0, 1)",
    encode="{c}",
    stored="quote({c})",
    held="{c}::int::text",
    decode=int,
)


def boolean_words(false: str, true: str) -> Codec:
    """Booleans stored as one pair of words."""
    pair = f"'{false}', '{true}'"
    return Codec(
        type="boolean",
        misfit=f"typeof({{c}}) <> 'text' OR {{c}} COLLATE BINARY NOT IN ({pair})",
        encode=f"({{c}} = '{true}')",
        # quote() ends a text at a NUL
        stored=f"CASE WHEN {{c}} COLLATE BINARY IN ({pair}) THEN quote({{c}}) ELSE quote(CAST({{c}} AS BLOB)) END",
        held=f"CASE {{c}} WHEN true THEN '''{true}''' WHEN false THEN '''{false}''' END",
        decode=unquote,
        says=f"'{true}' and '{false}' become true and false",
    )


#: What PostgreSQL reads as a boolean, in small letters.
TRUE, FALSE = ("1", "t", "true", "y", "yes", "on"), ("0", "f", "false", "n", "no", "off")
_TRUE, _FALSE = (
    f"lower(CAST({{c}} AS TEXT)) IN ({', '.join(map(sql.string, words))})"
    for words in (TRUE, FALSE)
)
#: In any words that PostgreSQL reads, one row so and the next one otherwise.
BOOLEAN_ANY = Codec(
    type="boolean",
    misfit=f"typeof({{c}}) NOT IN ('integer', 'text') OR NOT ({_TRUE} OR {_FALSE})",
    encode=f"CASE WHEN {_TRUE} THEN 1 WHEN {_FALSE} THEN 0 END",
    stored=f"CASE WHEN typeof({{c}}) IN ('integer', 'text') THEN"
    f" CASE WHEN {_TRUE} THEN '1' WHEN {_FALSE} THEN '0' END END",
    held=BOOLEAN.held,
    decode=int,
    merges=True,
    says="numbers and words become true and false",
)

#: Of a float alone: an integer may be none, and would be rounded here as PostgreSQL rounds it.
_HEX = "CASE typeof({c}) WHEN 'real' THEN m_hex({c}) END"
DOUBLE = Codec(
    type="double precision",
    misfit="typeof({c}) <> 'real'",
    encode="m_repr({c})",
    assumed_encode=_SHORTER,
    stored=_HEX,
    held="encode(float8send({c}), 'hex')",
    decode=_double,
    short_stored=f"CASE WHEN typeof({{c}}) <> 'real' THEN NULL WHEN {_are_millionths('{c}')}"
    f" THEN CAST({_millionths('{c}')} AS TEXT) ELSE m_hex({{c}}) END",
    short_held=f"CASE WHEN {_are_millionths('{c}', _MILLION, _MOST)}"
    f" THEN {_millionths('{c}', _MILLION, 'bigint')}::text ELSE encode(float8send({{c}}), 'hex') END",
)

_NO_DOUBLE = (
    "typeof({c}) NOT IN ('real', 'integer')"
    " OR (typeof({c}) = 'integer' AND {c} NOT BETWEEN -9007199254740992 AND 9007199254740992)"
)
#: SQLite itself turned 20.0 into 20 in such a column, and does so again.
DOUBLE_OR_INTEGER = Codec(
    type="double precision",
    misfit=_NO_DOUBLE,
    encode="m_repr(CAST({c} AS REAL))",
    stored=f"CASE WHEN {_NO_DOUBLE} THEN NULL ELSE m_hex(CAST({{c}} AS REAL)) END",
    held="encode(float8send({c}), 'hex')",
    decode=_double,
)

REAL4 = Codec(
    type="real",
    # a CASE, because both sides of an OR are worked out, and a text need not be UTF-8
    misfit="CASE typeof({c}) WHEN 'real' THEN NOT m_single({c}) ELSE 1 END",
    encode="m_repr({c})",
    assumed_encode=_SHORTER,
    stored=_HEX,
    held="encode(float8send({c}::float8), 'hex')",
    decode=_double,
)

_NO_REAL = f"CASE WHEN {_NO_DOUBLE} THEN 1 ELSE NOT m_single({{c}}) END"
#: As ``DOUBLE_OR_INTEGER``.
REAL4_OR_INTEGER = replace(
    REAL4,
    misfit=_NO_REAL,
    encode=DOUBLE_OR_INTEGER.encode,
    assumed_encode="",
    stored=f"CASE WHEN {_NO_REAL} THEN NULL ELSE m_hex(CAST({{c}} AS REAL)) END",
)


def numeric(precision: int | None = None, scale: int = 0) -> Codec:
    """``numeric``, or ``numeric(p, s)`` where a value that would be rounded is a misfit."""
    # there is no negative zero in numeric
    negative_zero = "typeof({c}) = 'real' AND {c} = 0 THEN m_hex({c}) <> '0000000000000000'"
    misfit = f"typeof({{c}}) NOT IN ('integer', 'real') OR CASE WHEN {negative_zero} ELSE 0 END"
    name = "numeric"
    if precision is not None:
        name = f"numeric({precision},{scale})"
        # for a CASE, see REAL4
        wide = f"m_scale({{c}}) > {scale} OR m_digits({{c}}) > {precision - scale}"
        misfit += f" OR CASE WHEN typeof({{c}}) IN ('integer', 'real') THEN {wide} ELSE 1 END"
    return Codec(
        type=name,
        misfit=misfit,
        encode="m_repr({c})",
        stored=f"CASE WHEN CASE WHEN {negative_zero} ELSE 0 END THEN NULL ELSE m_plain({{c}}) END",
        held="trim_scale({c})::text",
        decode=_number,
    )
