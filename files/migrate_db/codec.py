"""A codec per column: what SQLite stores and what PostgreSQL holds, both ways.

A codec never touches a value in Python on the fast way. It is five pieces of
SQL, evaluated by the two databases at C speed, with ``{c}`` for the column:

=========  ==========  ====================================================
piece      runs in     gives
=========  ==========  ====================================================
misfit     SQLite      true for a stored value this codec can't carry
encode     SQLite      a field of what ``COPY`` reads, see ``copy_text``
stored     SQLite      the value in canonical text
held       PostgreSQL  the same canonical text, from what arrived
decode     Python      the SQLite value back, from canonical text
=========  ==========  ====================================================

``encode`` and ``stored`` share nothing: a slip in one can't hide in the other.
Canonical text is injective: two values have the same text only if they are the
same value. Everything that knows about types lives here, and in ``choice``.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from migrate_db import copy_text, sql

#: Types of whole numbers: both databases compare and order them alike, and number rows with them.
WHOLE = ("smallint", "integer", "bigint")
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
                ``copy_text`` uses, and floats in the shorter of two ways.
        """
        encode = self.encode
        if assumed and self.carries_text:
            encode = "{c}"
        elif assumed and encode == DOUBLE.encode:
            encode = _SHORTER
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
        plain = self.held == _HELD_TEXT and self.stored in ("quote({c})", f"quote({_AS_TEXT})")
        return self.stored.removeprefix("quote(")[:-1] if plain else ""

    @property
    def _is_quoted(self) -> bool:
        """Whether the canonical text is a literal with anything in it, which is no word of a JSON array."""
        return self.stored.startswith("quote(") or self.held == _HELD_TEXT

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
        as_stored = self.encode in (BYTEA.encode, copy_text.ESCAPED, TEXT_OR_NUMBER.encode)
        return as_stored and kind in ("text", "varchar", "json", "bytea")

    def cell(self, canonical: str) -> Cell:
        """The SQLite value that this canonical text stands for."""
        return None if canonical == "NULL" else self.decode(canonical)


def _unquote(canonical: str) -> str:
    return canonical[1:-1].replace("''", "'")


def _unhex(canonical: str) -> bytes:
    return bytes.fromhex(canonical[2:-1])


def _double(canonical: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(canonical))[0]
    return value


def _number(canonical: str) -> int | float:
    try:
        whole = int(canonical)
    except ValueError:
        return float(canonical)
    return whole if -(2**63) <= whole < 2**63 else float(canonical)


def _word(length: int) -> str:
    """A text of some characters as it is: no blob with the same bytes, and nothing behind a NUL."""
    return (
        "CASE WHEN typeof({c}) = 'text' AND NOT instr({c}, char(0))"
        f" THEN CASE length({{c}}) WHEN {length} THEN {{c}} ELSE quote({{c}}) END"
        " ELSE quote({c}) END"
    )


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
# a collation that takes A for a can't look into a text
_HELD_TEXT = "'''' || replace({c}::text COLLATE \"C\", '''', '''''') || ''''"
# GLOB, length() and json_valid() see only what stands before it
_NUL = "instr({c}, char(0))"
# a number in a text column keeps its digits; the column's affinity makes it one again
_AS_TEXT = (
    "(CASE typeof({c}) WHEN 'text' THEN {c}"
    # no codec of texts carries a blob: it must not look like the text with the same bytes
    " WHEN 'blob' THEN quote({c})"
    " WHEN 'real' THEN CASE {c}"
    # as SQLite itself writes what is beyond all numbers
    " WHEN 9e999 THEN '9.0e+999' WHEN -9e999 THEN '-9.0e+999' ELSE m_repr({c}) END"
    " ELSE CAST({c} AS TEXT) END)"
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
        decode=_unquote,
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
        encode="m_plain({c})",
        stored=f"CASE WHEN CASE WHEN {negative_zero} ELSE 0 END THEN NULL ELSE m_plain({{c}}) END",
        held="trim_scale({c})::text",
        decode=_number,
    )


def text(type_name: str = "text", limit: int | None = None) -> Codec:
    """``text``, or ``varchar(n)`` counted in characters."""
    longer = f" OR length({{c}}) > {limit}" if limit else ""
    return Codec(
        type=f"{type_name}({limit})" if limit else type_name,
        misfit=f"typeof({{c}}) <> 'text' OR {_NUL}{longer}",
        encode=copy_text.ESCAPED,
        stored="quote({c})",
        held=_HELD_TEXT,
        decode=_unquote,
    )


def enum(type_name: str, labels: tuple[str, ...]) -> Codec:
    """One of a list of texts."""
    known = ", ".join(map(sql.string, labels))
    misfit = f"typeof({{c}}) <> 'text' OR {{c}} COLLATE BINARY NOT IN ({known})"
    return replace(text(type_name), misfit=misfit)


def padded(limit: int) -> Codec:
    """``char(n)``, which forgets spaces at the end."""
    base = text("char", limit)
    return replace(base, misfit=base.misfit + " OR {c} <> rtrim({c}, ' ') COLLATE BINARY")


#: The last resort: texts and numbers in one column.
TEXT_OR_NUMBER = Codec(
    type="text",
    misfit=f"typeof({{c}}) = 'blob' OR {_NUL}",
    encode=copy_text.ESCAPED.replace("{c}", _AS_TEXT),
    stored=f"quote({_AS_TEXT})",
    held=_HELD_TEXT,
    decode=_unquote,
    merges=True,
    says="numbers among the texts are kept as their digits",
)

BYTEA = Codec(
    type="bytea",
    misfit="typeof({c}) NOT IN ('blob', 'null')",
    encode="CASE WHEN {c} IS NOT NULL THEN '\\x' || hex({c}) END",  # hex(NULL) is ''
    stored="quote({c})",
    held="'X''' || upper(encode({c}, 'hex')) || ''''",
    decode=_unhex,
)

JSON = Codec(
    type="json",
    # SQLite's parser is as strict as PostgreSQL's, but stops reading at a NUL
    misfit=f"typeof({{c}}) = 'blob' OR NOT json_valid({_AS_TEXT}) OR {_NUL}",
    encode=copy_text.ESCAPED.replace("{c}", _AS_TEXT),
    stored=f"quote({_AS_TEXT})",
    held=_HELD_TEXT,
    decode=_unquote,
)

JSONB = Codec(
    type="jsonb",
    misfit=f"typeof({{c}}) = 'blob' OR m_jsonb(CAST({_AS_TEXT} AS BLOB)) IS NULL",
    encode=copy_text.ESCAPED.replace("{c}", _AS_TEXT),
    # what is no JSON is no text here: quote() would end it at a NUL
    stored=f"ifnull('''' || replace(m_jsonb(CAST({_AS_TEXT} AS BLOB)), '''', '''''') || '''',"
    " quote(CAST({c} AS BLOB)))",
    held=_HELD_TEXT,
    decode=_unquote,
    merges=True,
    says="jsonb orders keys and forgets spaces; compared as jsonb",
)

# SQLite writes the day and the second again as they are, or they are none: 31 April is 1 May,
# if something is added to it
_NO_YEAR = "substr({c}, 1, 4) = '0000' OR substr({c}, 1, 1) = '-'"
_NO_DAY = f"{_NO_YEAR} OR date({{c}}, '+0 days') IS NOT {{c}} COLLATE BINARY"
_NO_SECOND = (
    f"{_NO_YEAR} OR"
    " datetime(substr({c}, 1, 19), '+0 days') IS NOT substr({c}, 1, 19) COLLATE BINARY"
)
_NO_MICROS = f"substr({{c}}, 20) NOT GLOB '.{'[0-9]' * 6}' OR {_NUL}"


def _held_moment(moment: str, form: str = "YYYY-MM-DD HH24:MI:SS.US") -> str:
    # to_char() says nothing of BC, and NULL of infinity
    return (
        f"CASE WHEN {moment} >= '0001-01-01' AND {moment} < 'infinity'"
        f" THEN to_char({moment}, '{form}') ELSE {moment}::text END"
    )


# 2026-01-31 09:05:07.000250 as SQLAlchemy writes a DateTime, or whole seconds as SQLite does
_TRIMMED = (
    # every blob is greater
    "CASE WHEN {c} COLLATE BINARY < x'' THEN CASE length({c})"
    " WHEN 26 THEN iif(substr({c}, 26) = '0', rtrim(rtrim({c}, '0'), '.'), {c})"
    " WHEN 19 THEN {c} ELSE quote({c}) END ELSE quote({c}) END"
)
TIMESTAMP = Codec(
    type="timestamp",
    misfit=f"typeof({{c}}) <> 'text' OR {_NO_SECOND}"
    f" OR CASE length({{c}}) WHEN 19 THEN {_NUL} WHEN 26 THEN {_NO_MICROS} ELSE 1 END",
    encode="{c}",
    stored=f"CASE WHEN {_NUL} THEN quote({{c}}) ELSE {_TRIMMED} END",
    held="{c}::text",  # ISO, as the session is set; far faster than to_char()
    decode=str,
    merges=True,
    short_stored=_TRIMMED,  # JSON shows a NUL
)


def _of_text(form: str) -> str:
    """NULL of anything else: PostgreSQL may take a blob's bytes for a time, too."""
    return f"CASE typeof({{c}}) WHEN 'text' THEN {form} END"


def _spelled(function: str, zone: str = "") -> str:
    """The text that PostgreSQL prints for a moment, of the common spellings without Python.

    What this makes of anything else PostgreSQL would not print, or ``function`` answers.

    Args:
        zone: how these texts end.
    """
    whole, after = 19 + len(zone), " || '+00'" if zone else ""
    shown = f"substr({{c}}, 1, 10) || ' ' || substr({{c}}, 12, length({{c}}) - {11 + len(zone)})"
    usual = (
        f"typeof({{c}}) = 'text' AND {{c}} GLOB '{'?' * 10}[ T]*{zone}' AND NOT {_NUL}"
        f" AND (length({{c}}) = {whole} OR length({{c}}) BETWEEN {whole + 2} AND {whole + 7})"
    )
    return (
        f"CASE WHEN {usual} THEN iif(length({{c}}) = {whole}, {shown},"
        f" rtrim(rtrim({shown}, '0'), '.')){after}"
        f" WHEN typeof({{c}}) = 'text'"
        f" THEN rtrim(rtrim({function}(CAST({{c}} AS BLOB)), '0'), '.'){after} END"
    )


#: The same moment in any of SQLite's spellings.
TIMESTAMP_ANY = Codec(
    type="timestamp",
    misfit="typeof({c}) <> 'text' OR m_timestamp(CAST({c} AS BLOB)) IS NULL",
    encode="{c}",  # PostgreSQL knows all of them
    stored=_of_text("rtrim(rtrim(m_timestamp(CAST({c} AS BLOB)), '0'), '.')"),
    held=TIMESTAMP.held,
    decode=str,
    merges=True,
    says="times are written in several ways; compared as moments",
    short_stored=_spelled("m_timestamp"),
)

TIMESTAMPTZ = Codec(
    type="timestamptz",
    misfit="typeof({c}) <> 'text' OR m_timestamptz(CAST({c} AS BLOB)) IS NULL",
    encode="{c}",
    stored=_of_text("m_timestamptz(CAST({c} AS BLOB)) || '+00:00'"),
    held=_held_moment("({c} AT TIME ZONE 'UTC')") + " || '+00:00'",
    decode=str,
    merges=True,
    says="all times say they are UTC",
    short_stored=_spelled("m_timestamptz", "Z"),
    short_held="{c}::text",  # the session is in UTC
)

#: Any offset; PostgreSQL keeps the moment and forgets the offset.
TIMESTAMPTZ_ANY = Codec(
    type="timestamptz",
    misfit="typeof({c}) <> 'text' OR m_timestamptz_any(CAST({c} AS BLOB)) IS NULL",
    encode="{c}",
    stored=_of_text("m_timestamptz_any(CAST({c} AS BLOB)) || '+00:00'"),
    held=TIMESTAMPTZ.held,
    decode=str,
    merges=True,
    says="offsets other than UTC are forgotten; compared as moments",
    short_stored=_spelled("m_timestamptz_any", "Z"),
    short_held="{c}::text",
)

#: Wider codecs whose misfits PostgreSQL or the proof notices, though nobody has looked.
NOTICED = (TIMESTAMP_ANY, TIMESTAMPTZ)

DATE = Codec(
    type="date",
    misfit=f"typeof({{c}}) <> 'text' OR {_NO_DAY}",
    encode="{c}",
    stored=_word(10),
    held=_held_moment("{c}", "YYYY-MM-DD"),
    decode=str,
)

_AS_MOMENT = "m_timestamp(CAST({c} AS BLOB))"
#: A moment that is a midnight, as it stays where a model has made a date of it since.
DATE_AT_MIDNIGHT = replace(
    DATE,
    misfit=f"typeof({{c}}) <> 'text' OR ifnull({_AS_MOMENT}, '') NOT GLOB '* 00:00:00.000000'",
    encode=f"substr({_AS_MOMENT}, 1, 10)",
    stored=_of_text(f"replace({_AS_MOMENT}, ' 00:00:00.000000', '')"),
    merges=True,
    says="midnights are days",
)
_DIGITS_OF_DAY = "printf('%04d-%02d-%02d', {c} / 10000, {c} / 100 % 100, {c} % 100)"
#: 20240131
DATE_DIGITS = Codec(
    type="date",
    misfit="CASE WHEN typeof({c}) = 'integer' AND {c} BETWEEN 10000101 AND 99991231"
    f" THEN date({_DIGITS_OF_DAY}, '+0 days') IS NOT {_DIGITS_OF_DAY} ELSE 1 END",
    encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_DIGITS_OF_DAY} END",
    stored="quote({c})",
    held=_held_moment("{c}", "YYYYMMDD"),
    decode=int,
    says="numbers of eight digits are days",
)

#: A time of day in any of SQLite's spellings.
TIME_ANY = Codec(
    type="time",
    misfit="typeof({c}) <> 'text' OR m_time(CAST({c} AS BLOB)) IS NULL",
    encode="m_time(CAST({c} AS BLOB))",
    stored=_of_text("m_time(CAST({c} AS BLOB))"),
    held="to_char({c}, 'HH24:MI:SS.US')",
    decode=str,
    merges=True,
    says="times are written in several ways; compared as times",
)
#: With its seconds, as SQLite writes it, or with microseconds, as SQLAlchemy does.
TIME = replace(
    TIME_ANY,
    misfit=f"length({{c}}) NOT IN (8, 15) OR {TIME_ANY.misfit}",
    stored=_of_text("CASE WHEN length({c}) IN (8, 15) THEN m_time(CAST({c} AS BLOB)) END"),
    says="",
)
#: As Rails writes it: the moment of that day.
TIME_OF_2000 = replace(
    TIME_ANY,
    misfit=f"typeof({{c}}) <> 'text' OR ifnull({_AS_MOMENT}, '') NOT GLOB '2000-01-01 *'",
    encode=f"substr({_AS_MOMENT}, 12)",
    stored=_of_text(_AS_MOMENT),
    held=f"'2000-01-01 ' || {TIME_ANY.held}",
    says="times of 2000-01-01 are times of a day",
)

_HEX4 = "[0-9a-f]" * 4
_UUID = f"{_HEX4 * 2}-{_HEX4}-{_HEX4}-{_HEX4}-{_HEX4 * 3}"
UUID = Codec(
    type="uuid",
    misfit=f"typeof({{c}}) <> 'text' OR NOT {{c}} GLOB '{_UUID}' OR {_NUL}",
    encode="{c}",
    stored=_word(36),
    held="{c}::text",
    decode=str,
)
#: As .NET writes it.
UUID_CAPITALS = replace(
    UUID,
    misfit=UUID.misfit.replace("a-f", "A-F"),
    held="upper({c}::text)",
    says="in capitals",
)
UUID_PLAIN = Codec(
    type="uuid",
    misfit=f"typeof({{c}}) <> 'text' OR NOT {{c}} GLOB '{_HEX4 * 8}' OR {_NUL}",
    encode="{c}",
    stored=_word(32),
    held="replace({c}::text, '-', '')",
    decode=str,
    says="32 hex digits without dashes",
)
UUID_BLOB = Codec(
    type="uuid",
    misfit="typeof({c}) <> 'blob' OR length({c}) <> 16",
    encode="CASE WHEN {c} IS NOT NULL THEN hex({c}) END",
    stored="quote({c})",
    held="'X''' || upper(replace({c}::text, '-', '')) || ''''",
    decode=_unhex,
    says="16 bytes, the first one first",
)
