"""Codecs of spans of time, which SQLite hasn't: for the columns of an app's own tables."""

from __future__ import annotations

import re
from dataclasses import replace

from migrate_db.codecs.codec import Cell, Codec
from migrate_db.codecs.numbers import DOUBLE, integer, numeric
from migrate_db.codecs.times import TIMESTAMP

_DAY = 86_400 * 1_000_000
#: PostgreSQL keeps months, days and microseconds apart; an app's span has no months.
_NO_MONTHS = "extract(year FROM {c}) = 0 AND extract(month FROM {c}) = 0"


def _span(micros: str) -> str:
    """Microseconds in SQLite as PostgreSQL's days and the rest, as psycopg writes a timedelta."""
    return f"(({micros}) / {_DAY}) || ' days ' || (({micros}) % {_DAY}) || ' microseconds'"


def _count(canonical: str) -> Cell:
    return int(canonical) if re.fullmatch(r"-?\d+", canonical) else canonical


#: As Django's DurationField writes it.
INTERVAL_MICROS = Codec(
    type="interval",
    misfit=integer("bigint").misfit,
    encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_span('{c}')} END",
    stored="quote({c})",
    held=f"CASE WHEN {_NO_MONTHS} THEN trunc(extract(epoch FROM {{c}}) * 1000000)::text"
    " ELSE {c}::text END",
    decode=_count,
    says="numbers are microseconds",
)


def _counted(unit: str, length: int, count: str) -> Codec:
    """Whole numbers or floats that count a unit.

    Args:
        length: of the unit, in microseconds.
        count: PostgreSQL's SQL of the unit's number in the seconds ``{c}``.
    """
    micros = f"m_micros_of({{c}}, {length})"
    seconds = "extract(epoch FROM {c})"
    return Codec(
        type="interval",
        misfit=f"{micros} IS NULL",
        encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_span(micros)} END",
        stored=f"CASE WHEN {micros} IS NOT NULL THEN m_plain({{c}}) END",
        held=f"CASE WHEN {_NO_MONTHS} THEN trim_scale({count.replace('{c}', seconds)})::text"
        " ELSE {c}::text END",
        decode=numeric().decode,
        says=f"numbers are {unit}",
    )


#: As Piccolo declares and writes a timedelta.
INTERVAL_SECONDS = _counted("seconds", 1_000_000, "{c}")
INTERVAL_MILLIS = _counted("milliseconds", 1000, "({c} * 1000)")

_OF_TEXT = "m_micros_of_span(CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) END)"


def _written(canonical: str) -> Cell:
    """A count of microseconds as .NET writes it."""
    if not re.fullmatch(r"-?\d+", canonical):
        return canonical
    micros = int(canonical)
    days, rest = divmod(abs(micros), _DAY)
    seconds, fraction = divmod(rest, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return "-" * (micros < 0) + f"{days}." * (days > 0) + text + f".{fraction:06}0" * (fraction > 0)


#: As .NET's TimeSpan: ``1.02:03:04.5000000``.
INTERVAL_DOTTED = replace(
    INTERVAL_MICROS,
    misfit=f"{_OF_TEXT} IS NULL",
    encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_span(_OF_TEXT)} END",
    stored=f"CAST({_OF_TEXT} AS TEXT)",
    decode=_written,
    says="texts are days and a time of day",
)

_EPOCH = "extract(epoch FROM {c})"
_WHOLE_DAYS = f"floor({_EPOCH} / 86400)"
_SECONDS = f"({_EPOCH} - 86400 * {_WHOLE_DAYS})"
#: As Pony works it out.
_DAYS = f"{_WHOLE_DAYS}::float8 + (floor({_SECONDS})::float8 + ({_SECONDS} % 1)::float8) / 86400"
_OF_DAYS = "CASE WHEN typeof({c}) IN ('integer', 'real') THEN m_micros_of_days({c}) END"
#: As Pony writes a timedelta.
INTERVAL_DAYS = Codec(
    type="interval",
    misfit=f"{_OF_DAYS} IS NULL",
    encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_span(_OF_DAYS)} END",
    stored="CASE WHEN typeof({c}) IN ('integer', 'real') THEN m_hex(CAST({c} AS REAL)) END",
    held=f"CASE WHEN {_NO_MONTHS} THEN encode(float8send({_DAYS}), 'hex') ELSE {{c}}::text END",
    decode=DOUBLE.decode,
    says="numbers are days",
)

_MICROS = (
    "CAST(strftime('%s', substr({c}, 1, 19)) AS INTEGER) * 1000000"
    " + CAST(substr({c} || '.000000', 21, 6) AS INTEGER)"
)
#: As SQLAlchemy's Interval writes it: the moment that so much later than 1970 is.
INTERVAL_SINCE_1970 = replace(
    TIMESTAMP,
    type="interval",
    encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_span(_MICROS)} END",
    held=f"CASE WHEN {_NO_MONTHS} THEN (timestamp '1970-01-01' + {{c}})::text ELSE {{c}}::text END",
    says="times are spans since 1970",
    short_stored="",
)
