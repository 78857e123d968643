"""Which codecs come into question for a column: by what it is declared, or by the type that it has."""

from __future__ import annotations

import re
from dataclasses import replace

from migrate_db.codecs import arrays, foreign, spelled
from migrate_db.codecs.codec import Codec
from migrate_db.codecs.intervals import (
    INTERVAL_DAYS,
    INTERVAL_DOTTED,
    INTERVAL_MICROS,
    INTERVAL_MILLIS,
    INTERVAL_SECONDS,
    INTERVAL_SINCE_1970,
)
from migrate_db.codecs.numbers import (
    BOOLEAN,
    BOOLEAN_ANY,
    DOUBLE,
    DOUBLE_OR_INTEGER,
    REAL4,
    REAL4_OR_INTEGER,
    WHOLE,
    boolean_words,
    integer,
    numeric,
)
from migrate_db.codecs.texts import (
    BYTEA,
    JSON,
    JSONB,
    TEXT_OR_NUMBER,
    UUID,
    UUID_BLOB,
    UUID_BRACED,
    UUID_CAPITALS,
    UUID_PLAIN,
    enum,
    padded,
    text,
)
from migrate_db.codecs.times import (
    DATE,
    DATE_AT_MIDNIGHT,
    DATE_DIGITS,
    DATE_DIGITS_TEXT,
    TIME,
    TIME_ANY,
    TIME_OF_2000,
    TIMESTAMP,
    TIMESTAMP_ANY,
    TIMESTAMPTZ,
    TIMESTAMPTZ_ANY,
    TIMESTAMPTZ_NAMED,
    TIMESTAMPTZ_NAMED_ANY,
)
from migrate_db.sqlite.schema import Column

#: SQLite has 64 bits for each number. What counts seconds or bytes is to have room for the app's next ones, so
#: values in the last half of ``integer`` ask for ``bigint``; but for the very last one, which programs write for
#: "as many as there are".
_ROOMY = replace(
    integer("integer"),
    misfit=f"{integer('integer').misfit} OR {{c}} BETWEEN {2**30} AND {2**31 - 2}",
)
_INTEGERS = (integer("smallint"), _ROOMY, integer("bigint"))
_WORDS = (("false", "true"), ("False", "True"), ("f", "t"), ("no", "yes"))
_BOOLEANS = (BOOLEAN, *(boolean_words(*pair) for pair in _WORDS))
_WORDED = dict(zip(_BOOLEANS[1:], [(f"'{f}'", f"'{t}'") for f, t in _WORDS], strict=True))
#: SQLite's SQL of times with all their digits.
_WRITTEN = {
    TIMESTAMP: "{c}",
    TIMESTAMP_ANY: "m_timestamp(CAST({c} AS BLOB))",
    TIMESTAMPTZ: "m_timestamptz(CAST({c} AS BLOB))",
    TIMESTAMPTZ_ANY: "m_timestamptz_any(CAST({c} AS BLOB))",
    TIMESTAMPTZ_NAMED: "m_timestamptz_named(CAST({c} AS BLOB))",
    TIMESTAMPTZ_NAMED_ANY: "m_timestamptz_named_any(CAST({c} AS BLOB))",
    TIME: "m_time(CAST({c} AS BLOB))",
    TIME_ANY: "m_time(CAST({c} AS BLOB))",
    TIME_OF_2000: "substr(m_timestamp(CAST({c} AS BLOB)), 12)",
}
#: Digits of a fraction that PostgreSQL keeps at most.
_MICROSECONDS = 6
_REST = (text(), TEXT_OR_NUMBER, BYTEA)
#: The longest that varchar(n) may be; MySQL's and SQL Server's types go beyond.
_LONGEST = 10_485_760
#: Names that mean nothing to SQLite, and mean numbers or bytes to those who wrote them.
_COUNTS = re.compile(
    r"(?<!E)NUM|BIT|YEAR|MONEY|CURRENCY|SERIAL|LONG|FIXED|EPOCH|SECONDS|COUNT|\bID\b"
)
_BYTES = re.compile(r"BINARY|BYTE|IMAGE|RAW")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def family(type_name: str) -> str:
    """Types that PostgreSQL compares with each other, for a foreign key."""
    bare = type_name.partition("(")[0]
    if bare in ("text", "varchar", "char", "citext"):
        return "text"
    numbers = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
    return "number" if bare in numbers else bare


def counts_by_default(column: Column) -> bool:
    """Whether the default of a boolean, which rows are yet to get, is a number that none has."""
    default = re.fullmatch(r"[+-]?\d+", column.default or "")
    return "BOOL" in column.declared.upper() and bool(default and int(default[0]) not in (0, 1))


def _grows_large(column: Column) -> bool:
    """Whether a column's default is, or will be one day, beyond 32 bits: a count of seconds is in 2038."""
    default = column.default or ""
    if re.search(r"(?i)\b(strftime|unixepoch|julianday)\b", default):
        return True
    return bool(re.fullmatch(r"[+-]?\d+", default)) and not -(2**31) <= int(default) < 2**31


def _booleans(column: Column | None) -> tuple[Codec, ...]:
    """Codecs of booleans; the default says in which words they are written, where no row does."""
    default = (column.default if column else None) or ""
    said = [c for c in _BOOLEANS if default in _WORDED.get(c, ())]
    return (*said, *(c for c in _BOOLEANS if c not in said))


def for_declared(column: Column) -> tuple[Codec, ...]:
    """Codecs for a column of a table that is yet to be made, narrowest first.

    The first is what the declaration means; the others are wider ones, tried in
    turn when values don't fit it. The first one fits an empty column.
    """
    words = column.declared.upper()
    bare = re.sub(r"\(.*", "", words).strip()
    size = [int(n) for n in re.findall(r"\d+", words.partition("(")[2])]
    if counts_by_default(column):
        return (*_INTEGERS[1:], numeric(), *_REST)
    if "BOOL" in bare:
        return (*_booleans(column), *_INTEGERS, numeric(), *_REST)
    if bare in ("TIMESTAMPTZ", "DATETIMETZ", "DATETIMEOFFSET", "TIMESTAMP WITH TIME ZONE"):
        zoned = (TIMESTAMPTZ, TIMESTAMPTZ_NAMED)
        return (*zoned, TIMESTAMP, TIMESTAMP_ANY, integer("bigint"), *_REST)
    if "DATETIME" in bare or bare == "TIMESTAMP" or bare.startswith("TIMESTAMP "):
        times = (TIMESTAMP, TIMESTAMP_ANY, TIMESTAMPTZ, TIMESTAMPTZ_NAMED)
        return (*times, integer("bigint"), DOUBLE_OR_INTEGER, *_REST)
    if bare == "DATE":
        return (DATE, TIMESTAMP, TIMESTAMP_ANY, integer("bigint"), DOUBLE_OR_INTEGER, *_REST)
    if bare == "TIME" or bare.startswith("TIME "):
        return (TIME, TIME_ANY, integer("bigint"), DOUBLE_OR_INTEGER, *_REST)
    if bare in ("JSON", "JSONB"):
        return (JSON, *_REST)
    if bare == "UUID":
        return (UUID, UUID_PLAIN, UUID_BLOB, *_REST)
    if bare in ("NUMERIC", "DECIMAL", "DEC"):
        precision, scale = [*size, 0, 0][:2]
        sound = 0 < precision <= 1000 and scale <= precision and "-" not in words
        exact = (numeric(precision, scale),) if sound else ()
        return (*exact, numeric(), *_REST)
    if column.affinity == "INTEGER":
        if re.search(r"FLOA|DOUB|REAL", bare):  # FLOATING POINT has an INT in it
            return (DOUBLE, DOUBLE_OR_INTEGER, numeric(), *_REST)
        if _grows_large(column):
            return (integer("bigint"), numeric(), *_REST)
        small = bare in ("SMALLINT", "TINYINT", "INT2")
        start = 2 if "BIG" in bare or "INT8" in bare else 0 if small else 1
        return (*_INTEGERS[start:], numeric(), *_REST)
    if column.affinity == "REAL":
        return (DOUBLE, DOUBLE_OR_INTEGER, *_REST)
    if column.affinity == "TEXT":
        counted = size and "CHAR" in bare and 0 < size[0] <= _LONGEST
        limited = (text("varchar", size[0]),) if counted else ()
        return (*limited, *_REST)
    if bare == "BLOB" or "BLOB" in bare:
        return (BYTEA, text(), integer("bigint"), DOUBLE, numeric(), TEXT_OR_NUMBER)
    # no type, or a name that means nothing to SQLite: the values decide, or else the default
    default = _NUMBER.fullmatch(column.default or "")
    empty = () if default is None else (DOUBLE,) if default[1] else (integer("bigint"),)
    if column.affinity == "BLOB":  # SQLite itself keeps 1 and 1.0 apart here
        alike = replace(DOUBLE_OR_INTEGER, says="1 and 1.0 become the same number")
        wide = (integer("bigint"), DOUBLE, alike, numeric())
        return (*empty, text(), *wide, TEXT_OR_NUMBER, BYTEA)
    numbers = (integer("bigint"), DOUBLE_OR_INTEGER, numeric())
    if _COUNTS.search(bare):
        return (*empty, *numbers, *_REST)
    bytes_first = (BYTEA,) if _BYTES.search(bare) else ()
    # text first: it takes texts alone, and nobody knows what an empty column is for
    return (*bytes_first, *empty, text(), *numbers, TEXT_OR_NUMBER, BYTEA)


#: Types that a mapping may ask for, as ``for_existing`` knows them by another name.
_ALIASES = {
    "int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint", "bool": "boolean",
    "float4": "real", "float8": "double precision", "decimal": "numeric", "dec": "numeric",
    "char": "character", "bpchar": "character", "varchar": "character varying",
    "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
    "time": "time without time zone", "interval day to second": "interval",
}  # fmt: skip
#: The types that a mapping may ask for.
TYPES = (
    "smallint", "integer", "bigint", "numeric", "numeric(p,s)", "real", "double precision",
    "boolean", "text", "citext", "varchar", "varchar(n)", "char(n)", "bytea", "json", "jsonb",
    "date", "time", "timestamp", "timestamptz", "uuid",
)  # fmt: skip


def fraction(type_name: str) -> int | None:
    """Digits of a second that a type of times keeps; None for any other type."""
    if not type_name.startswith("time") or re.match(r"time(\(\d\))? with t", type_name):
        return None  # of a time with a zone only the server knows what it takes
    found = re.search(r"\((\d)\)", type_name)
    return int(found[1]) if found else _MICROSECONDS


def without_precision(type_name: str) -> str:
    """A type of times as the one without a precision; what that would round, the proof finds."""
    return re.sub(r"(?<=time|tamp) ?\(\d\)(?= with)", "", type_name)


def named(type_name: str) -> str | None:
    """A type as our codecs write it, e.g. ``int8`` as ``bigint``; None if there is no codec."""
    words = " ".join(without_precision(type_name).lower().split())
    match = re.fullmatch(r"([a-z0-9 ]+?) ?(\( ?\d+ ?(?:, ?\d+ ?)?\))?", words)
    if match is None:
        return None
    bare, size = _ALIASES.get(match[1], match[1]), (match[2] or "").replace(" ", "")
    short = {"character": "char", "character varying": "varchar"}.get(bare, bare)
    takes_size = short in ("char", "varchar", "numeric")
    if (size and not takes_size) or ("," in size and short != "numeric"):
        return None
    most = 1000 if short == "numeric" else _LONGEST
    numbers = [int(number) for number in re.findall(r"\d+", size)]
    if (numbers and not 0 < numbers[0] <= most) or numbers[1:] > numbers[:1]:
        return None
    known = next((name for name, alias in _ALIASES.items() if alias == bare and "time" in name), "")
    short = known or short
    return short + size if f"{short}" in {t.partition("(")[0] for t in TYPES} else None


def _rounded(found: Codec, digits: int) -> Codec:
    """The same with a misfit where PostgreSQL would round a fraction away.

    Args:
        digits: of the fraction that the type keeps.
    """
    beyond = (10 if found.type == "time" else 21) + digits
    rest = f"rtrim(substr({_WRITTEN[found]}, {beyond}), '0')"
    return replace(found, misfit=f"({found.misfit}) OR {rest} <> ''")


#: What a span's number counts, by the word of a mapping.
_COUNTED = {"s": INTERVAL_SECONDS, "ms": INTERVAL_MILLIS, "us": INTERVAL_MICROS}


def _spans(declared: str, unit: str) -> tuple[Codec, ...]:
    """Codecs of spans of time, by what their column is declared; nobody guesses what an INTEGER counts.

    Args:
        unit: as a mapping says it.
    """
    as_written = foreign.codec_of("interval")
    if unit in _COUNTED:
        return (_COUNTED[unit],)
    if "INTERVAL" in declared:
        return (INTERVAL_DAYS, as_written)
    if "SECOND" in declared:
        return (INTERVAL_SECONDS, as_written)
    if "BIGINT" in declared:
        return (INTERVAL_MICROS, as_written)
    if "TIME" in declared:
        return (INTERVAL_SINCE_1970, as_written)
    return (as_written, INTERVAL_DOTTED, INTERVAL_SINCE_1970)


def for_existing(
    type_name: str, labels: tuple[str, ...] = (), column: Column | None = None, unit: str = ""
) -> tuple[Codec, ...]:
    """Codecs that fill a column whose type the target has already decided.

    Args:
        type_name: as ``format_type`` prints it, e.g. ``character varying(20)``.
        labels: if it is an ENUM.
        column: the source's; what it says of itself decides where no value does.
        unit: what numbers count, as a mapping says it.
    """
    if labels:
        return (enum(type_name, labels),)
    bare, _, rest = without_precision(type_name).partition("(")
    bare = (
        type_name if type_name.endswith("[]") or type_name == "bpchar" else _ALIASES.get(bare, bare)
    )
    size = [int(n) for n in re.findall(r"\d+", rest.partition(")")[0])]
    limit = size[0] if size else None
    sizes = (limit, size[1] if len(size) > 1 else 0)
    known: dict[str, tuple[Codec, ...]] = {
        **{name: (integer(name), spelled.whole(name)) for name in WHOLE},
        "boolean": (*_booleans(column), BOOLEAN_ANY),
        "double precision": (DOUBLE, DOUBLE_OR_INTEGER, spelled.DOUBLE_SPELLED),
        "real": (REAL4, REAL4_OR_INTEGER),
        "text": (text(), TEXT_OR_NUMBER),
        "citext": (text("citext"),),
        "character varying": (text("varchar", limit), TEXT_OR_NUMBER)
        if limit is None
        else (text("varchar", limit), spelled.digits("varchar", limit)),
        "character": (padded(limit or 1), spelled.digits("char", limit or 1)),
        "bytea": (BYTEA,),
        "json": (JSON,),
        "jsonb": (JSONB,),
        # a number that a wish takes for a moment, and is none, is no day of eight digits either
        "date": (DATE, DATE_AT_MIDNIGHT, *(() if unit else (DATE_DIGITS,)), DATE_DIGITS_TEXT),
        "timestamp without time zone": (TIMESTAMP, TIMESTAMP_ANY),
        "timestamp with time zone": (
            TIMESTAMPTZ,
            TIMESTAMPTZ_ANY,
            TIMESTAMPTZ_NAMED,
            TIMESTAMPTZ_NAMED_ANY,
        ),
        "time without time zone": (TIME, TIME_ANY, TIME_OF_2000),
        "uuid": (UUID, UUID_PLAIN, UUID_BLOB, UUID_CAPITALS, UUID_BRACED),
        "interval": _spans(column.declared.upper() if column else "", unit),
        "numeric": (numeric(*sizes), spelled.decimal(*sizes)),
    }
    kept = fraction(type_name)
    if bare in known and kept is not None and kept < _MICROSECONDS:
        return tuple(_rounded(found, kept) for found in known[bare])
    if bare in known:
        return known[bare]
    lists = (arrays.codec_of(type_name),) if type_name.endswith("[]") else ()
    return (foreign.codec_of(type_name), *lists)
